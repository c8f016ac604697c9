"""Trainings that are killed and continued, beside one that nobody disturbs.

    PYTHONPATH=src:tests python -m reliability.kill_matrix [--quick]

Each cell signals a training at a moment, continues it, and compares the weights of its end, the
optimizer's state, metrics.csv and results.json to those of an undisturbed training. The table is
printed as Markdown.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import torch
from reliability import killed
from shapes import paint

STATUS = {"SIGKILL": -9, "SIGTERM": 143, "SIGINT": 130, "SIGUSR1": 138}
PATIENCE = 300  # seconds for a training of seconds
OPTIONS = [
    *("--data.source=Folder", "--data.crop_size=33", "--data.batch_size=2"),
    *("--model.network.encoder=tu-test_resnet", "--model.network.bins=[1,2]"),
    *("--model.network.decoder_channels=8", "--model.network.auxiliary_channels=8"),
    *("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--trainer.max_epochs=3"),
    *("--trainer.log_every_n_steps=1", "--trainer.enable_model_summary=false", "--wandb=off"),
    *("--checkpoint_every=2 steps", "--name=run", "--version=v", "--seed_everything=1"),
]


@dataclass(frozen=True)
class Cell:
    """A moment, a signal, and the training that it comes to."""

    moment: str
    signal: str
    workers: int = 0
    processes: int = 1
    rank: int = 0

    @property
    def words(self) -> list[str]:
        pair = ["--trainer.strategy=ddp"] if self.processes > 1 else []
        counts = [f"--data.workers={self.workers}", f"--trainer.devices={self.processes}"]
        return [*OPTIONS, *counts, *pair]


@dataclass
class Outcome:
    """How a training that was signaled ended, and how it was continued."""

    status: int = 0
    lost: int | None = None  # steps; None before the first checkpoint
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


def full() -> Iterator[Cell]:
    """All cells: each moment with each signal, some with workers, some on two processes."""
    for moment in killed.MOMENTS:
        yield Cell(moment, "SIGKILL")
    for name in ("SIGTERM", "SIGINT", "SIGUSR1"):
        for moment in ("start", "first step", "forward", "step end", "last step of an epoch"):
            yield Cell(moment, name)
        for moment in ("draft", "validation", "best.ckpt", "epoch end", "closing evaluation"):
            yield Cell(moment, name)
    for moment in ("first step", "forward", "rename", "validation", "closing evaluation"):
        for name in ("SIGKILL", "SIGTERM"):
            yield Cell(moment, name, workers=2)
    for moment in ("forward", "rename", "validation", "closing evaluation"):
        yield Cell(moment, "SIGKILL", processes=2)
        yield Cell(moment, "SIGTERM", processes=2)
    yield Cell("forward", "SIGKILL", processes=2, rank=1)
    yield Cell("forward", "SIGTERM", processes=2, rank=1)
    yield Cell("forward", "SIGINT", workers=2, processes=2)
    yield Cell("forward", "SIGUSR1", workers=2, processes=2)


QUICK = (Cell("rename", "SIGKILL"),)


def run(words: list[str], folder: Path, log: str, *, alone: bool, **environment: str) -> int:
    """Run the command line in `folder`, in a fork of this process if one runs `alone`."""
    with (folder / log).open("ab") as file:
        if not alone:
            here = os.pathsep.join(map(os.path.abspath, sys.path))
            variables = {**os.environ, **environment, "PYTHONPATH": here}
            command = [sys.executable, "-m", "reliability.killed", *words]
            return subprocess.call(
                command, cwd=folder, stdout=file, stderr=file, env=variables, timeout=PATIENCE
            )
        child = os.fork()
        if child == 0:
            _run_here(words, folder, file.fileno(), environment)
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.02)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise TimeoutError(f"no end within {PATIENCE} s: {words}")


def _run_here(words: list[str], folder: Path, log: int, environment: dict[str, str]) -> None:
    code = 1
    try:
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(folder)
        os.environ.update(environment)
        killed.main(words)
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def play(cell: Cell, folder: Path, data: Path, reference: Path) -> Outcome:
    """Signal a training, continue it, and compare its end to the reference's."""
    folder.mkdir()
    words = ["fit", *cell.words, f"--data.source.root={data}"]
    alone, note, start = cell.processes == 1, folder / "note", time.monotonic()
    out = Outcome()
    signaled = {"KILL": f"{cell.moment}:{cell.signal}", "KILL_RANK": str(cell.rank)}
    marks = {"KILL_NOTE": str(note), "KILL_ID": str(folder)}
    out.status = run(words, folder, "killed.log", alone=alone, **signaled, **marks)
    out.seconds = time.monotonic() - start
    expected = 1 if cell.rank and cell.signal == "SIGKILL" else STATUS[cell.signal]
    if out.status != expected:
        out.faults.append(f"status {out.status}, not {expected}")
    if not note.is_file():
        out.faults.append("the moment never came")
    if orphans := _left(str(folder)):
        out.faults.append(f"left processes: {orphans}")
    if "Traceback" in (folder / "killed.log").read_text():
        out.faults.append("a traceback")
    last = folder / "logs/run/v/checkpoints/last.ckpt"
    if last.is_file():
        step = torch.load(last, weights_only=True)["global_step"]
        out.lost = max(0, int(note.read_text() if note.is_file() else 0) - step)
        words = ["fit", f"--ckpt_path={last.relative_to(folder)}"]
    code = run(words, folder, "continued.log", alone=alone)
    if code:
        said = (folder / "continued.log").read_text().splitlines() or [""]
        out.faults.append(f"continued with status {code}: {said[-1]}")
    else:
        out.faults += differences(folder / "logs/run/v", reference)
    return out


def differences(run: Path, reference: Path) -> list[str]:
    """Return in what the end of a training differs from an undisturbed one's."""
    found = []
    a, b = (
        torch.load(folder / "checkpoints/last.ckpt", weights_only=True)
        for folder in (run, reference)
    )
    apart = max(
        float((value.double() - b["state_dict"][key].double()).abs().max())
        for key, value in a["state_dict"].items()
    )
    if apart:
        found.append(f"weights differ by {apart:.1e}")
    if str(a["optimizer_states"]) != str(b["optimizer_states"]):
        found.append("another state of the optimizer")
    for name in ("metrics.csv", "results.json"):
        if (run / name).read_text() != (reference / name).read_text():
            found.append(f"another {name}")
    if left := [*run.rglob(f"{killed.DRAFT}*")]:
        found.append(f"left {left}")
    return found


def _left(marker: str, patience: float = 15.0) -> list[int]:
    """Return the processes of a run that live on after `patience` seconds."""
    end = time.monotonic() + patience
    while (alive := [*_with(f"KILL_ID={marker}".encode())]) and time.monotonic() < end:
        time.sleep(0.2)
    return alive


def _with(variable: bytes) -> Iterator[int]:
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if variable in path.read_bytes().split(b"\0"):
                yield int(path.parent.name)
        except OSError:
            continue


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="one cell")
    parser.add_argument("--only", default="", help="cells whose words contain this")
    parser.add_argument("--keep", type=Path, help="folder for the runs")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for name in ("pspnet.cli", "segmentation_models_pytorch", "timm"):
        import_module(name)  # before the first fork

    cells = [c for c in (QUICK if options.quick else full()) if options.only in str(c)]
    with tempfile.TemporaryDirectory() as temporary:
        folder = (options.keep or Path(temporary)).resolve()
        folder.mkdir(exist_ok=True, parents=True)
        return _table(cells, folder)


def _table(cells: list[Cell], folder: Path) -> int:
    data, failed = paint(folder / "data", count=15), 0
    references: dict[str, Path] = {}
    print("| moment | signal | workers | processes | status | lost steps | continued |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for number, cell in enumerate(cells):
        key = f"undisturbed-{cell.processes}"
        if key not in references:
            (folder / key).mkdir()
            words = ["fit", *cell.words, f"--data.source.root={data}"]
            code = run(words, folder / key, "log", alone=cell.processes == 1)
            assert code == 0, (folder / key / "log").read_text()
            references[key] = folder / key / "logs/run/v"
        out = play(cell, folder / str(number), data, references[key])
        failed += bool(out.faults)
        lost = "–" if out.lost is None else out.lost
        where = f"{cell.processes}{', the second' if cell.rank else ''}"
        print(
            f"| {cell.moment} | {cell.signal} | {cell.workers} | {where} | {out.status} | {lost} "
            f"| {'; '.join(out.faults) or 'equal'} |",
            flush=True,
        )
    print(f"\n{len(cells)} cells, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
