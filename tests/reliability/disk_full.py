"""The disk becomes full at each kind of file that a command writes: the line, and what is left.

    python tests/reliability/disk_full.py     prints the table as Markdown, minutes

Each command runs in a process of its own, forked from one that has loaded torch.
"""

from __future__ import annotations

import hashlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))

from full_disk import full_from
from PIL import Image
from shapes import paint

LONGEST = 300  # seconds of a command
TINY = (
    *("--data.source=Folder", "--data.crop_size=33", "--data.batch_size=5", "--data.workers=0"),
    *("--model.network.encoder=tu-test_resnet", "--model.network.decoder_channels=16"),
    *("--model.network.auxiliary_channels=16", "--trainer.max_epochs=1"),
    "--trainer.log_every_n_steps=1",
)
QUIET = (
    *("--trainer.accelerator=cpu", "--trainer.precision=32-true"),
    *("--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"),
)
SCENES = ["--data.source=Scenes", "--data.batch_size=2", "--data.crop_size=65"]
SCENES += [f"--data.source.{split}=2" for split in ("train", "val", "test")]
CHECKPOINT = "--ckpt_path=logs/good/v/checkpoints/best.ckpt"
RUN = ("--name=run", "--version=v")
REPORT = ["--limit=2", "--device=cpu"]


@dataclass(frozen=True)
class Case:
    """A command and the file at which the disk becomes full.

    `status` is the exit status, and `left` the files that the command leaves nevertheless.
    """

    command: str
    at: str
    words: tuple[str, ...]
    status: int
    left: tuple[str, ...] = ()


SCORES = ("config.yaml", "metrics.csv", "results.json")
FIT = ("fit", *TINY, "--data.source.root=data", *QUIET, *RUN)
OFF = "--wandb=off"
VALIDATE = ("validate", CHECKPOINT, OFF, *QUIET, *RUN)
PREDICT = ("predict", CHECKPOINT, "--data.images=data/images", OFF, *QUIET, *RUN)
CASES = (
    Case("fit", "config.yaml", (*FIT, OFF), 1),
    Case("fit", "metrics.csv", (*FIT, OFF), 1, ("config.yaml",)),
    Case("fit", "checkpoints", (*FIT, OFF), 1, ("config.yaml",)),
    Case("fit", "curves.png", (*FIT, OFF), 1, ("config.yaml", "metrics.csv", "costs.json")),
    Case("fit", "results.json", (*FIT, OFF), 1, ("config.yaml", "metrics.csv", "curves.png")),
    Case("fit", "iou_per_class.png", (*FIT, OFF), 0, SCORES),
    Case("fit", "predictions.png", (*FIT, OFF), 0, (*SCORES, "confusion.png")),
    Case("fit with W&B", "predictions.png", (*FIT, "--wandb=offline"), 0, SCORES),
    Case("fit on scenes", "train_0001.png", (*FIT, *SCENES, "--data.source.root=new", OFF), 1),
    Case("fit with a cache", "kept", (*FIT, "--data.cache=kept", OFF), 1),
    Case("validate", "results.json", VALIDATE, 1, ("config.yaml",)),
    Case("validate", "confusion.png", VALIDATE, 0, ("config.yaml", "results.json")),
    Case("predict", "07.png", PREDICT, 1, ("06.png", "06.jpg", "config.yaml")),
    Case("convert", "new.ckpt", ("convert", CHECKPOINT.partition("=")[2], "new.ckpt"), 1),
    Case("score", "new.json", ("score", "voc", "voc", "--dataset=voc", "--json=new.json"), 1),
    Case("explain", "layers.csv", ("explain", CHECKPOINT.partition("=")[2], *REPORT), 1),
    Case("explain", "report.md", ("explain", CHECKPOINT.partition("=")[2], *REPORT), 1),
)


@dataclass(frozen=True)
class Outcome:
    """What a command has left: its status, its lines, new files, and earlier ones that changed."""

    status: int
    lines: tuple[str, ...]
    traceback: bool
    new: tuple[str, ...]
    changed: tuple[str, ...]


def prepare(folder: Path, *, trained: bool = True) -> None:
    """Write a data set, and a run if it is `trained`, that the commands start from."""
    paint(folder / "data", count=15)
    (folder / "voc").mkdir()
    Image.new("L", (8, 8)).save(folder / "voc" / "a.png")
    if not trained:
        return
    words = ["fit", *TINY, "--data.source.root=data", *QUIET, OFF, "--name=good", "--version=v"]
    status, said = forked(lambda: _main(words), folder)
    assert status == 0, said


def run(case: Case, folder: Path) -> Outcome:
    """Run a case in a prepared folder, and remove what it left."""
    before = contents(folder)

    def command() -> None:
        with full_from(case.at):
            _main([*case.words])

    status, said = forked(command, folder)
    after = contents(folder)
    new = sorted(after.keys() - before.keys())
    changed = [name for name in before if before[name] != after.get(name)]
    for name in new:
        (folder / name).unlink()
    lines = tuple(x for x in said.splitlines() if x.startswith(("error: ", "warning: ")))
    return Outcome(status, lines, "Traceback" in said, tuple(new), tuple(changed))


def contents(folder: Path) -> dict[str, str]:
    """Return the digest of each file below a folder."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(f.relative_to(folder)): hashlib.md5(f.read_bytes()).hexdigest() for f in files}


def forked(work: Callable[[], None], folder: Path) -> tuple[int, str]:
    """Do work in a folder and a process of its own; return its status and what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(LONGEST)  # a fork of a process with threads may hang
        os.chdir(folder)
        os.dup2(writing, 1)
        os.dup2(writing, 2)
        status = 70
        try:
            work()
            status = 0
        except SystemExit as stop:
            status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            os._exit(status)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said


def _main(words: list[str]) -> None:
    logging.raiseExceptions = False  # of the handlers that write to files of pytest's
    # the streams of a test are not those of a terminal
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    sys.__stdout__, sys.__stderr__ = sys.stdout, sys.stderr
    from pspnet.__main__ import main

    main(words)


def table(folder: Path) -> str:
    """Run every case and return the table."""
    prepare(folder)
    rows = ["| command | full at | status | the lines | left | lost |", "|---|---|---|---|---|---|"]
    for case in CASES:
        end = run(case, folder)
        lines = "<br>".join(end.lines) + (" **traceback**" if end.traceback else "")
        left = ", ".join(sorted({Path(name).name for name in end.new})) or "–"
        lost = ", ".join(end.changed) or "–"
        rows.append(f"| {case.command} | {case.at} | {end.status} | {lines} | {left} | {lost} |")
        print(rows[-1], file=sys.stderr)
    return "\n".join(rows)


if __name__ == "__main__":
    import pspnet.cli  # noqa: F401  (once for all commands)

    with tempfile.TemporaryDirectory() as place:
        print(table(Path(place)))
