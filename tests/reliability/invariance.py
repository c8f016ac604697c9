"""One training, divided among processes, accumulated batches, loading processes and sittings.

PYTHONPATH=tests python tests/reliability/invariance.py     # prints a Markdown table
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import lightning
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from pspnet import PSPNet
from pspnet.callbacks.run_state import Position
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.folder import Folder
from pspnet.losses import CrossEntropy
from pspnet.task import Segmentation

TESTS = Path(__file__).parents[1]
EPOCHS, BATCH = 3, 4  # 14 images: three steps per epoch, which leave two images out


class GroupNormPSPNet(PSPNet):
    """A PSPNet without batch statistics, which processes on CPUs cannot share."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(
            num_classes,
            encoder="tu-resnet10t",
            decoder_channels=8,
            auxiliary_channels=8,
            dropout=0.3,
        )
        for name, module in list(self.named_modules()):
            if isinstance(module, nn.BatchNorm2d):
                owner, _, attribute = name.rpartition(".")
                groups = nn.GroupNorm(4, module.num_features)
                setattr(self.get_submodule(owner), attribute, groups)


@dataclass(frozen=True)
class Division:
    """A way to divide the training; it is interrupted after step `stop`, or never if that is 0."""

    processes: int = 1
    accumulated: int = 1
    workers: int = 0
    stop: int = 0


DIVISIONS = [
    Division(*parts, *sitting)
    for parts in ((1, 1), (1, 2), (1, 4), (2, 1), (2, 2), (4, 1))
    # 2: a validation is due, 6: the end of an epoch
    for sitting in ((0, 0), (2, 0), (0, 4), (2, 2), (2, 6))[: 5 if parts[0] == 1 else 2]
] + [Division(2, 1, 2, 2), Division(2, 2, 0, 4), Division(4, 1, 0, 4)]


class Stop(Callback):
    """Save the run at the end of a step, and leave it there."""

    def __init__(self, step: int, path: Path) -> None:
        self.step, self.path = step, path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        complete = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if complete and trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            raise InterruptedError


def fit(folder: Path, division: Division, *, shapes: Path, resumed: bool = False) -> None:
    """Train in this process, and in those that Lightning starts; write `folder`/weights.pt."""
    source, saved = Folder(shapes), folder / "stopped.ckpt"
    data = SegmentationData(source, crop_size=33, batch_size=BATCH, workers=division.workers)
    lightning.seed_everything(3 + resumed, verbose=False)  # a resumed run has another past
    task = Segmentation(
        GroupNormPSPNet(len(source.classes)),
        source.classes,
        loss=CrossEntropy(class_weights=[1.0, 3.0, 0.5]),
        optimizer=lambda params: torch.optim.SGD(params, lr=0.02, momentum=0.9),
    )
    stops = [Stop(division.stop, saved)] if division.stop and not resumed else []
    trainer = lightning.Trainer(
        accelerator="cpu",
        devices=division.processes,
        strategy="ddp" if division.processes > 1 else "auto",
        precision="64-true",
        accumulate_grad_batches=division.accumulated,
        max_epochs=EPOCHS,
        val_check_interval=2 * division.accumulated,  # after two of the three steps of an epoch
        log_every_n_steps=1,
        logger=CSVLogger(folder, name="", version="after" if resumed else "before"),
        callbacks=[Position(), *stops],
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(task, data, ckpt_path=saved if resumed else None, weights_only=True)
    if trainer.is_global_zero:
        torch.save(task.network.state_dict(), folder / "weights.pt")


def run(folder: Path, division: Division, *, shapes: Path) -> Path:
    """Train in one or two sittings, several processes in some of their own; return the folder."""
    folder.mkdir(parents=True)
    for sitting in ("first", "resumed") if division.stop else ("first",):
        if division.processes == 1:
            with suppress(InterruptedError):
                fit(folder, division, shapes=shapes, resumed=sitting == "resumed")
            continue
        words = [str(folder), str(shapes), sitting, *map(str, asdict(division).values())]
        path = os.pathsep.join([str(TESTS), *sys.path])
        done = subprocess.run(
            [sys.executable, __file__, *words],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path},
            capture_output=True,
            text=True,
            timeout=600,
        )
        expected = "InterruptedError" if division.stop and sitting == "first" else ""
        if expected not in done.stderr or bool(done.returncode) != bool(expected):
            raise AssertionError(done.stderr[-3000:])
    return folder


def difference(one: Path, other: Path) -> float:
    """Return the largest difference of a weight, relative to the largest of its tensor."""
    first, second = (torch.load(folder / "weights.pt") for folder in (one, other))
    return max(
        float((first[key] - second[key]).abs().max() / first[key].abs().max().clamp(min=1e-9))
        for key in first
    )


def scores(folder: Path) -> dict[str, str]:
    """Return val/miou, to the last digit, by step."""
    found = {}
    for file in (folder / "before" / "metrics.csv", folder / "after" / "metrics.csv"):
        lines = (
            [line.split(",") for line in file.read_text().splitlines()] if file.is_file() else []
        )
        rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
        found |= {row["step"]: row["val/miou"] for row in rows if row.get("val/miou")}
    return found


def table(folder: Path) -> None:
    """Print a row for each division: its difference from the training that is not divided."""
    from shapes import paint

    shapes = paint(folder / "shapes", count=21)
    alone = run(folder / "alone", Division(), shapes=shapes)
    print("| processes | accumulated | workers | resumed after step | weights | val/miou |")
    print("|---|---|---|---|---|---|")
    for division in DIVISIONS:
        cells = [*map(str, asdict(division).values())]
        done = run(folder / "-".join(cells), division, shapes=shapes)
        equal = "equal" if scores(done) == scores(alone) else "DIFFERENT"
        cells[-1] = "–" if division.stop == 0 else cells[-1]
        print(f"| {' | '.join(cells)} | {difference(alone, done):.1e} | {equal} |", flush=True)


def main(words: list[str]) -> None:
    if not words:
        with tempfile.TemporaryDirectory() as folder:
            return table(Path(folder))
    folder, shapes, sitting, *numbers = words
    division = Division(*map(int, numbers))
    return fit(Path(folder), division, shapes=Path(shapes), resumed=sitting == "resumed")


if __name__ == "__main__":
    main(sys.argv[1:])
