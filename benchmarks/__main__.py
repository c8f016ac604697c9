"""Measure this package beside the published formulation, in turns in one run.

python -m benchmarks                      minutes on a CPU
python -m benchmarks --full               all that nine minutes allow for, on a GPU
python -m benchmarks --full --minutes 60  more of it
python -m benchmarks --only augmentation
python -m benchmarks --check              counts and ratios beside the recorded ones, in minutes

A run leaves report.md, results.json and ratios.png in a folder of its own. A check writes nothing,
and ends with code 1 if more than 5 % of a recorded number are lost.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain, count, zip_longest
from pathlib import Path
from typing import Any

import torch

from benchmarks import peak_memory, regression
from benchmarks.compare import LONGEST, Comparison, Row, Settings, compare
from benchmarks.machine import describe, matmul_rate, pinned
from benchmarks.plan import DTYPE_NAMES, FULL, QUICK, SECTIONS, Plan
from benchmarks.report import describe_machine, describe_row, write_report
from benchmarks.sections import augmentation, epoch, evaluation, forms, networks, reliability
from pspnet.errors import Parser, one_line_errors
from pspnet.files.paths import path_argument
from pspnet.files.writing import check_new
from pspnet.inference.numeric_precision import default_precision

FOLDER = Path("logs/bench")
SHARES = 20  # comparisons that share the minutes, if each takes all that it may
MOST = 16_385  # pixels, images, classes, rounds, threads
DTYPES = {"bf16-mixed": torch.bfloat16, "32-true": torch.float32}
COMPARISONS: dict[str, Callable[[Plan], Iterator[Comparison]]] = {
    "step": networks.training,
    "inference": networks.inference,
    "forms": forms.comparisons,
    "augmentation": augmentation.comparisons,
    "evaluation": evaluation.comparisons,
    "epoch": epoch.comparisons,
    "growth": networks.growth,
    "reliability": reliability.comparisons,
}


def main(args: list[str] | None = None) -> None:
    """Run the command line; `args` replaces `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for values that are refused, 1 if a check finds a
            loss, 2 for wrong options.
    """
    options = _parser().parse_args(args)
    if options.check or options.record:
        if not regression.check(record=options.record):
            raise SystemExit(1)
        return
    device = options.device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    threads = options.threads or torch.get_num_threads()
    precision = options.precision or default_precision(device)
    start = time.monotonic()
    with one_line_errors(), pinned(threads):
        plan = replace(_plan(options), device=str(device), dtype=DTYPES[precision])
        plan.check()
        folder = _make_folder(options.out)
        dtypes = {torch.float32, plan.dtype}
        rates = {dtype: matmul_rate(dtype, device=device) for dtype in dtypes}
        machine = describe(device, threads=threads) | {"precision": precision}
        machine |= {f"{DTYPE_NAMES[dtype]} TFLOP/s": rate / 1e12 for dtype, rate in rates.items()}
        print(describe_machine(machine), flush=True)
        if not peak_memory.measurable(device):
            print(peak_memory.UNKNOWN)
        longest = LONGEST if plan.minutes is None else min(LONGEST, plan.minutes * 60 / SHARES)
        settings = Settings(
            device, threads, plan.rounds, longest, rates, _print_row, _print_progress
        )
        rows: list[Row] = []
        left = _in_turns(plan)
        total = len(left)
        end = math.inf if plan.minutes is None else start + 60 * plan.minutes
        while left and time.monotonic() < end:
            comparison = left.popleft()
            place = f"{total - len(left)} of {total}"
            _print_progress(f"{place}, {comparison.section}: {comparison.case}")
            rows += compare(settings, comparison)
            write_report(folder, rows, machine=machine)
    print(f"{folder}/report.md, results.json and ratios.png written")
    if left:
        names = dict.fromkeys(comparison.section for comparison in left)
        print(f"{len(left)} comparisons not begun in {plan.minutes:g} minutes: {', '.join(names)}")


def _in_turns(plan: Plan) -> deque[Comparison]:
    """Return the comparisons: the first of each section, the second of each, and so on."""
    sections = [COMPARISONS[section](plan) for section in plan.sections]
    if plan.minutes is None:
        return deque(chain.from_iterable(sections))
    return deque(filter(None, chain.from_iterable(zip_longest(*sections))))


def _parser() -> Parser:
    about = (__doc__ or "").partition("\n")[0]
    parser = Parser(prog="python -m benchmarks", description=about)
    add = parser.add_argument
    add("--full", action="store_true", help="every section at all sizes, for a GPU")
    add("--minutes", type=_count, help="begin no comparison after them; --full: by default 9")
    add("--check", action="store_true", help="compare counts and ratios with recorded ones")
    add("--record", action="store_true", help="record them: write benchmarks/recorded.json")
    add("--only", nargs="+", choices=SECTIONS, help="sections; by default the first three")
    add("--encoder", nargs="+", help="encoders, such as tu-resnet50s")
    add("--size", nargs="+", type=_count, help="sides of images and crops, 8n + 1 pixels")
    add("--classes", nargs="+", type=_count, help="numbers of classes")
    add("--batch", nargs="+", type=_count, help="images per step or forward pass")
    add("--image", nargs=2, type=_count, metavar=("H", "W"), help="size of the evaluated image")
    add("--rounds", type=_count, help="repetitions of each time; fewer where they take minutes")
    add("--precision", choices=[*DTYPES], help="precision of ours; the device's default")
    add("--device", type=_device, help="cpu or cuda; by default a GPU where there is one")
    add("--threads", type=_count, help="CPU threads; by default torch's choice")
    add("--out", type=path_argument, help="new folder; by default the next number in logs/bench")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9 or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number, 1 or more, up to {MOST}")
    return int(text)


def _device(text: str) -> torch.device:
    try:
        torch.zeros(1, device=text)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise argparse.ArgumentTypeError(f"{text}: {reason}; give cpu or cuda") from error
    if torch.device(text).type not in ("cpu", "cuda"):
        raise argparse.ArgumentTypeError(f"{text}: give cpu or cuda")
    return torch.device(text)


def _plan(options: argparse.Namespace) -> Plan:
    """Return the quick or the full plan with the sizes that are given."""
    plan = FULL if options.full else QUICK
    changes: dict[str, Any] = {
        "sections": options.only and tuple(name for name in SECTIONS if name in options.only),
        "encoders": options.encoder and tuple(options.encoder),
        "evaluated": options.image and tuple(options.image),
        "rounds": options.rounds,
        "minutes": options.minutes,
    }
    growth = plan.growth
    if options.size:
        changes |= {"sizes": tuple(options.size), "crop": max(options.size)}
        growth = replace(growth, sizes=_led_by(options.size[0], growth.sizes))
    if options.classes:
        changes |= {"classes": tuple(options.classes), "memory_classes": ()}
        changes["evaluated_classes"] = options.classes[0]
        growth = replace(growth, classes=_led_by(options.classes[0], growth.classes))
    if options.batch:
        changes |= {"batches": tuple(options.batch), "inference_batches": tuple(options.batch)}
        growth = replace(growth, batches=_led_by(options.batch[0], growth.batches))
    given = {key: value for key, value in changes.items() if value is not None}
    return replace(plan, **given, growth=growth)


def _led_by(first: int, values: tuple[int, ...]) -> tuple[int, ...]:
    return first, *(value for value in values if value != first)


def _make_folder(out: Path | None) -> Path:
    """Make the folder of a run, which never holds another's results."""
    if out is None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        out = next(path for n in count() if not (path := FOLDER / str(n)).exists())
    check_new(out)
    out.mkdir()
    return out


def _print_row(row: Row) -> None:
    print(describe_row(row), flush=True)


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
