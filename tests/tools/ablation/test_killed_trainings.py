"""Real trainings, killed in three ways and continued, against undisturbed ones.

Minutes: pytest tests/tools/ablation/test_killed_trainings.py -m slow
"""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pspnet.tools.ablation.run_files import resumable_checkpoint
from pspnet.tools.ablation.run_trials import train
from pspnet.tools.ablation.sweep import Run, load_sweep

pytestmark = pytest.mark.slow

EPOCHS = 30


def write_sweep(folder: Path, *, data: Path) -> Path:
    """Write a sweep of two settings and two seeds on a Folder data set, two steps per epoch."""
    command = [
        *("${interpreter}", "-m", "pspnet", "fit", f"--logs={folder}/logs/kill/${{envvar:DATA}}"),
        *("--data.source=Folder", f"--data.source.root={data}", "--data.crop_size=41"),
        *(
            "--data.batch_size=5",
            "--trainer.check_val_every_n_epoch=30",
            "--data.workers=0",
            "--trainer.precision=32-true",
        ),
        *("--model.network.encoder=tu-test_resnet", "--model.network.decoder_channels=16"),
        *("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--wandb=off"),
        *(f"--trainer.max_epochs={EPOCHS}", "--trainer.log_every_n_steps=1", "${args}"),
    ]
    settings = [
        {"name": name, "model": {"network": {"bins": bins, "auxiliary": False}}}
        for name, bins in (("none", []), ("bins", [1, 3]))
    ]
    parameters = {"config": {"values": settings}, "seed_everything": {"values": [0, 1]}}
    content = {"name": "kill", "method": "grid", "command": command, "parameters": parameters}
    path = folder / "kill.yaml"
    path.write_text(json.dumps(content))  # JSON is YAML
    return path


def processes(folder: Path) -> dict[int, int]:
    """Return the trainings in a folder, loading processes included, with their parents."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode().split("\0")
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if f"--logs={folder}/logs/kill/shapes" in words:
            found[int(path.name)] = parent
    return found


def wait(condition: Callable[[], object], *, seconds: float = 200) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def wait_for_checkpoint(run: Run, *, after: float) -> None:
    def written() -> bool:
        checkpoint = resumable_checkpoint(run.folder)
        return checkpoint is not None and checkpoint.stat().st_mtime > after

    wait(written)


def starts(run: Run) -> list[str]:
    log = (run.folder / "run.log").read_text().splitlines()
    return [line for line in log if line.startswith("$ ")]


def losses(folder: Path) -> dict[str, str]:
    with (folder / "metrics.csv").open(newline="") as file:
        return {r["step"]: r["train/loss"] for r in csv.DictReader(file) if r["train/loss"]}


def test_killed_trainings_continue(shapes, tmp_path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # on a busy machine they would hardly run
    file = write_sweep(tmp_path, data=shapes)
    runs = load_sweep(str(file), data="shapes").runs
    done, first, second, _ = runs

    def start() -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "pspnet.tools.ablation", "run", str(file), "--data=shapes"]
        return subprocess.Popen(line, text=True, stdout=subprocess.PIPE, start_new_session=True)

    assert train(done.command, done.folder, cwd=Path.cwd(), gpus=0) == ""

    driver = start()  # kill -9 a fit, then the driver
    wait_for_checkpoint(first, after=0)
    fits = processes(tmp_path)
    fit = min(pid for pid, parent in fits.items() if parent not in fits)
    killed = time.time()
    os.kill(fit, signal.SIGKILL)
    wait(lambda: any(len(starts(run)) == 2 for run in (first, second) if run.folder.exists()))
    wait_for_checkpoint(first, after=killed)
    driver.kill()
    driver.communicate()
    wait(lambda: not processes(tmp_path), seconds=15)

    again = time.time()
    driver = start()  # Ctrl-C
    wait_for_checkpoint(first, after=again)
    os.killpg(driver.pid, signal.SIGINT)
    said, _ = driver.communicate()
    assert driver.returncode == 130
    assert f"{first} resumes" in said
    wait(lambda: not processes(tmp_path), seconds=15)

    driver = start()
    said, _ = driver.communicate()
    assert driver.returncode == 0
    assert said.splitlines()[-1].endswith("report.md (4 of 4 runs finished)")
    assert len(starts(done)) == 1
    checkpoint = f"--ckpt_path={first.folder}/checkpoints/last.ckpt"
    assert all(line.endswith(checkpoint) for line in starts(first)[1:])
    assert len(starts(first)) >= 3

    again = tmp_path / "undisturbed" / "kill" / "shapes" / first.setting / first.folder.name
    words = [word.replace("/logs/kill", "/undisturbed/kill") for word in first.command]
    assert train(words, again, cwd=Path.cwd(), gpus=0) == ""
    assert losses(first.folder) == losses(again)
    assert len(losses(again)) == 2 * EPOCHS
    scores = [json.loads((f / "results.json").read_text())["miou"] for f in (first.folder, again)]
    assert scores[0] == scores[1]
