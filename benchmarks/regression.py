"""A guard against losses: counts and ratios of today beside those that were recorded.

Operations, operators and waits are counted and hold for every machine. Memory and time are ratios
to the published formulation in float32 on one thread, and hold for processors with the same
instructions. A time is lost only if three quarters of its rounds say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from benchmarks import device_traces
from benchmarks.compare import Comparison, Row, Settings, compare
from benchmarks.plan import Case, Plan
from benchmarks.sections import augmentation, networks
from pspnet.callbacks.costs import count_flops
from pspnet.files.writing import write_atomic
from pspnet.models.pspnet import PSPNet

RECORD = Path(__file__).with_name("recorded.json")
LOSS = 0.05
ROUNDS = 9
CPU = torch.device("cpu")
FORWARD = (("resnet18", 473), ("tu-resnet50s", 473), ("tu-resnet50s", 713), ("vgg16_bn", 473))
STEP = Case("training step", "resnet18", 233, 21, 2, "cpu", torch.float32)
WARP = Plan(image=(512, 1024), crop=353)


@dataclass(frozen=True)
class Measure:
    """A number that is recorded.

    Args:
        name: what it is a number of.
        value: the number of today.
        best: the most that the noise of a ratio allows for; the value itself for a count.
        ratio: whether it is the published formulation's number over ours, of which more is better,
            and which holds for one kind of processor; otherwise a count, of which less is.
    """

    name: str
    value: float
    best: float
    ratio: bool

    def lost(self, recorded: float) -> bool:
        """Return whether more than 5 % of the recorded number are lost."""
        if self.ratio:
            return self.best < (1 - LOSS) * recorded
        return self.value > (1 + LOSS) * recorded


def counts() -> Iterator[Measure]:
    """Yield operations of forward passes, and what steps ask of an accelerator."""
    for encoder, size in FORWARD:
        flops = float(count_flops(PSPNet(21, encoder=encoder), size=(size, size)) or 0)
        yield _count(f"operations of a forward pass: {encoder}, {size}×{size}", flops)
    for encoder, classes, size, batch in device_traces.ROWS:
        task = device_traces.task_of(encoder, classes=classes)
        steps = {
            "training": device_traces.training_step,
            "validation": device_traces.validation_step,
        }
        for name, step in steps.items():
            images = batch if name == "training" else 1
            step(task, size=size, batch=images)  # what is kept from step to step is built
            trace = step(task, size=size, batch=images)
            case = f"{encoder}, {classes} classes, {images} of {size}×{size}"
            yield _count(f"operators of a {name} step: {case}", trace.operators.total())
            yield _count(f"waits of a {name} step: {case}", trace.waits.total())


def ratios() -> Iterator[Measure]:
    """Yield memory and time of the published formulation over ours."""
    settings = Settings(CPU, threads=1, rounds=ROUNDS)
    ours, *_, published = networks.variants(STEP, smp=False)
    step = Comparison(STEP.task, str(STEP), (ours, published), threads=1)
    for comparison in (step, *augmentation.comparisons(WARP)):
        _, *others = compare(settings, comparison)
        for row in others:
            if row.variant.startswith(networks.PUBLISHED):
                yield from _ratios(row)


def _count(name: str, value: float) -> Measure:
    return Measure(name, value, value, ratio=False)


def _ratios(row: Row) -> Iterator[Measure]:
    name = f"{row.section}: {row.case}, {row.variant}"
    memory, time = row.memory_ratio, row.time_ratio
    if memory:
        yield Measure(f"memory over ours: {name}", memory, memory, ratio=True)
    if time:
        yield Measure(f"time over ours: {name}", time.median, time.high, ratio=True)


def check(*, record: bool = False) -> bool:
    """Print each number beside the recorded one, and return whether none is lost.

    Args:
        record: write today's numbers in place of the recorded ones; those of other kinds of
            processors stay.
    """
    recorded = json.loads(RECORD.read_text()) if RECORD.exists() else {"counts": {}, "ratios": {}}
    processor = torch.backends.cpu.get_cpu_capability()
    known = {"counts": recorded["counts"], "ratios": recorded["ratios"].get(processor, {})}
    found: dict[str, dict[str, float]] = {"counts": {}, "ratios": {}}
    lost = 0
    for measures in (counts, ratios):
        for measure in measures():
            kind = measures.__name__
            found[kind][measure.name] = measure.value
            before = cast("float | None", known[kind].get(measure.name))
            lost += before is not None and measure.lost(before)
            print(_line(measure, before), flush=True)
    for name in [
        *known["counts"].keys() - found["counts"],
        *known["ratios"].keys() - found["ratios"],
    ]:
        print(f"no longer measured: {name}")
    if record:
        content: dict[str, Any] = recorded | {"counts": found["counts"]}
        content["ratios"][processor] = found["ratios"]
        write_atomic(RECORD, f"{json.dumps(content, indent=1)}\n".encode())
        print(f"{RECORD} written")
        return True
    if not known["ratios"]:
        print(
            f"no ratio is recorded for {processor}: --record on its last good commit records them"
        )
    print(f"{lost} lost more than {LOSS:.0%}" if lost else f"nothing lost more than {LOSS:.0%}")
    return not lost


def _line(measure: Measure, before: float | None) -> str:
    value = f"{measure.value:.2f}" if measure.ratio else f"{measure.value:,.0f}"
    if before is None:
        return f"{measure.name}: {value}, not recorded"
    said = f"{before:.2f}" if measure.ratio else f"{before:,.0f}"
    verdict = "LOST" if measure.lost(before) else "ok"
    return f"{measure.name}: {value}, recorded {said}: {verdict}"
