"""Measures this package beside the published formulation, in turns in one run.

python -m benchmarks                      within minutes on a CPU
python -m benchmarks --full               everything, on a GPU
python -m benchmarks --only augmentation

It leaves report.md, results.json and ratios.png in a folder of its own.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import torch

from benchmarks import augmentation, epoch, evaluation
from benchmarks.machine import describe, matrix_rate, pinned
from benchmarks.measure import Bench, Row, compare
from benchmarks.networks import NAMES, Case, sides
from benchmarks.plan import FULL, QUICK, SECTIONS, Plan
from benchmarks.report import facts, line, write_report
from pspnet.errors import Parser, check_new, one_line_errors
from pspnet.precision import Precision, default_precision

FOLDER = Path("logs/bench")


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number, 1 or more")
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


def _parser() -> Parser:
    about = (__doc__ or "").partition("\n")[0]
    parser = Parser(prog="python -m benchmarks", description=about, allow_abbrev=False)
    add = parser.add_argument
    add("--full", action="store_true", help="every section at all sizes, for a GPU")
    add("--only", nargs="+", choices=SECTIONS, help="sections; by default the first three")
    add("--encoder", nargs="+", help="of networks, such as tu-resnet50s")
    add("--size", nargs="+", type=_count, help="sides of images and crops, 8n + 1 pixels")
    add("--classes", nargs="+", type=_count, help="numbers of classes")
    add("--batch", nargs="+", type=_count, help="images of a step or pass")
    add("--picture", nargs=2, type=_count, help="height and width of what is evaluated")
    add("--rounds", type=_count, help="of every time; fewer where they take minutes")
    add("--precision", choices=("bf16-mixed", "32-true"), help="ours; the device's default")
    add("--device", type=_device, help="cpu or cuda; a GPU where there is one")
    add("--threads", type=_count, help="of the CPU; as torch chooses")
    add("--out", type=Path, help="folder to make; the next number in logs/bench")
    return parser


def _plan(given: argparse.Namespace) -> Plan:
    plan = FULL if given.full else QUICK
    changes: dict[str, Any] = {
        "sections": given.only and tuple(name for name in SECTIONS if name in given.only),
        "encoders": given.encoder and tuple(given.encoder),
        "evaluated": given.picture and tuple(given.picture),
        "rounds": given.rounds,
    }
    batches, sizes, classes, bins = plan.growing
    if given.size:
        changes |= {"sizes": tuple(given.size), "crop": max(given.size)}
        sizes = _led(sizes, given.size[0])
    if given.classes:
        changes |= {"classes": tuple(given.classes), "sized_classes": ()}
        changes["evaluated_classes"] = given.classes[0]
        classes = _led(classes, given.classes[0])
    if given.batch:
        changes |= {"batches": tuple(given.batch), "inference_batches": tuple(given.batch)}
        batches = _led(batches, given.batch[0])
    changes["growing"] = (batches, sizes, classes, bins)
    return replace(plan, **{key: value for key, value in changes.items() if value is not None})


def _led(values: tuple[int, ...], first: int) -> tuple[int, ...]:
    return first, *(value for value in values if value != first)


def _run(plan: Plan, bench: Bench, *, precision: Precision) -> Iterator[list[Row]]:
    """The rows of one comparison after the other."""
    where: Any = {"device": bench.device, "precision": precision}
    for section in plan.sections:
        if section == "step":
            for case in plan.cases("training step", **where):
                yield _compare(bench, case, section=case.task)
            for case in plan.sized(**where):
                yield _compare(bench, case, section=case.task, timed=False, other=False)
        elif section == "inference":
            for case in plan.cases("inference", **where):
                yield _compare(bench, case, section=case.task)
        elif section == "augmentation":
            yield augmentation.measure(bench, size=plan.picture, crop=plan.crop)
        elif section == "evaluation":
            case = plan.evaluation(**where)
            yield evaluation.measure(bench, case, size=plan.evaluated)
            yield evaluation.measure_metric(bench, case, size=plan.evaluated)
        elif section == "epoch":
            case = plan.epoch(**where)
            yield from epoch.measure(
                bench, case, size=plan.stored, pictures=plan.pictures, workers=plan.workers
            )
        else:
            for what, cases in plan.grown(**where):
                for case in cases:
                    yield _compare(bench, case, section=f"training step by {what}", other=False)


def _compare(
    bench: Bench, case: Case, *, section: str, timed: bool = True, other: bool = True
) -> list[Row]:
    return compare(
        bench,
        sides(case, other=other),
        section=section,
        case=str(case),
        images=case.batch,
        timed=timed,
    )


def _folder(out: Path | None) -> Path:
    """Makes the folder of a run, which never holds another's results."""
    if out is None:
        FOLDER.mkdir(parents=True, exist_ok=True)
        out = next(path for n in count() if not (path := FOLDER / str(n)).exists())
    check_new(out)
    out.mkdir()
    return out


def main(args: list[str] | None = None) -> None:
    """Runs the command line; `args` stands in for `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for what is refused, 2 for wrong options.
    """
    given = _parser().parse_args(args)
    device = given.device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    threads = given.threads or torch.get_num_threads()
    rows: list[Row] = []
    with one_line_errors(), pinned(threads):
        plan = _plan(given)
        folder = _folder(given.out)
        precision = given.precision or default_precision(device)
        machine = describe(device, threads=threads) | {"precision": precision}
        types = {torch.float32, torch.bfloat16 if precision == "bf16-mixed" else torch.float32}
        rates = {dtype: matrix_rate(dtype, device=device) for dtype in types}
        machine |= {f"{NAMES[dtype]} TFLOP/s": rate / 1e12 for dtype, rate in rates.items()}
        print(facts(machine), flush=True)
        bench = Bench(device, threads, plan.rounds, rates, lambda row: print(line(row), flush=True))
        for found in _run(plan, bench, precision=precision):
            rows += found
            write_report(folder, rows, machine=machine)
    print(f"{folder}/report.md, results.json and ratios.png written")


if __name__ == "__main__":
    main()
