"""Runs of a script in place of a fit: resumed, tried again, killed, side by side through Ray."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pspnet.errors import UserError
from pspnet.tools.ablation import __main__ as ablation
from pspnet.tools.ablation import run_lock
from pspnet.tools.ablation.__main__ import main
from pspnet.tools.ablation.run_files import read_run
from pspnet.tools.ablation.run_trials import share, train
from pspnet.tools.ablation.sweep import Run


def go(run: Run, *, gpus: float = 0) -> str:
    return train(run.command, run.folder, cwd=Path.cwd(), gpus=gpus)


def miou(run: Run) -> float | None:
    results = read_run(run.folder).results
    assert results is not None
    return results.miou


def resumed_at(run: Run) -> int:
    """Return the step at which the last start of a run began."""
    return json.loads((run.folder / "costs.json").read_text())["resumed"]


def starts(run: Run) -> int:
    return (run.folder / "run.log").read_text().count("$ ")


def wait_for(path: Path, *, seconds: float = 90) -> int:
    """Return the number that appears in a file."""
    end = time.monotonic() + seconds
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < end, path
        time.sleep(0.02)
    return int(path.read_text())


def is_gone(process: int, *, seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


def test_a_run_leaves_its_results_and_its_output(fits):
    fits.plan("a", "epoch Hello epoch results")
    run = fits.sweep.runs[0]
    assert go(run) == ""
    assert miou(run) == 0.2
    log = (run.folder / "run.log").read_text().splitlines()
    assert log[0].startswith("$ ")
    assert log[1:] == ["Hello"]
    assert '"CUDA_VISIBLE_DEVICES": ""' in (run.folder / "costs.json").read_text()


def test_a_run_with_a_gpu_keeps_those_it_was_given(fits, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    go(fits.sweep.runs[0], gpus=0.5)
    assert '"CUDA_VISIBLE_DEVICES": "3"' in (fits.run("a") / "costs.json").read_text()


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        ("error:_loss_is_nan bye", "loss is nan"),
        ("torch.OutOfMemoryError:_no_memory wandb:_bye", "torch.OutOfMemoryError: no memory"),
        ("one two", "two"),
        ("half well", "ended without results.json: no output"),
        ("well last", "ended without results.json: last"),
    ],
)
def test_a_failing_run_is_tried_twice_and_says_why(fits, plan, reason):
    fits.plan("a", "error:_first", plan)
    run = fits.sweep.runs[0]
    assert go(run) == reason
    assert starts(run) == 2


def test_a_failed_attempt_is_resumed(fits):
    fits.plan("a", "epoch epoch x", "epoch results")
    run = fits.sweep.runs[0]
    assert go(run) == ""
    assert (miou(run), resumed_at(run)) == (0.3, 20)
    line = (run.folder / "run.log").read_text().splitlines()[-1]
    assert line.endswith(f"--ckpt_path={run.folder}/checkpoints/last.ckpt")


def test_a_run_without_a_checkpoint_starts_again(fits):
    run = fits.sweep.runs[0]
    run.folder.mkdir(parents=True)
    (run.folder / "config.yaml").write_text("first")
    (run.folder / "before_1").mkdir()
    assert go(run) == ""
    assert (run.folder / "before_2" / "config.yaml").read_text() == "first"
    assert (run.folder / "config.yaml").read_text() == ""


def test_a_torn_checkpoint_is_not_resumed(fits):
    fits.plan("a", "epoch torn x")
    run = fits.sweep.runs[0]
    assert go(run) == ""
    assert resumed_at(run) == 0
    assert (run.folder / "before_1" / "checkpoints" / "last.ckpt").is_file()


def test_a_finished_run_is_not_repeated(fits):
    run = fits.sweep.runs[0]
    assert go(run) == go(run) == ""
    assert starts(run) == 1


def test_a_killed_run_is_resumed(fits):
    fits.plan("a", "epoch hang", "epoch results")
    run = fits.sweep.runs[0]
    killer = threading.Thread(target=kill_when_hanging, args=[run.folder])
    killer.start()
    assert go(run) == ""
    killer.join()
    assert (miou(run), resumed_at(run)) == (0.2, 10)


def test_a_run_that_is_killed_twice_says_so(fits):
    fits.plan("a", "hang", "hang")
    run = fits.sweep.runs[0]

    def kill_twice() -> None:
        kill_when_hanging(run.folder)
        (run.folder / "hangs").unlink(missing_ok=True)
        kill_when_hanging(run.folder)

    killer = threading.Thread(target=kill_twice)
    killer.start()
    assert go(run) == "ended by SIGKILL, as when memory runs out"
    killer.join()


def kill_when_hanging(folder: Path) -> None:
    os.kill(wait_for(folder / "hangs"), signal.SIGKILL)


def test_a_run_that_is_still_going_is_left_alone(fits, monkeypatch):
    monkeypatch.setattr(run_lock, "PATIENCE", 0.3)
    run = fits.sweep.runs[0]
    run.folder.mkdir(parents=True)
    with (run.folder / "run.log").open("ab") as log:
        words = ["-c", "import fcntl; fcntl.flock(1, fcntl.LOCK_EX); print(); input()"]
        other = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, stdout=log)
    while not is_locked(run.folder / "run.log"):
        time.sleep(0.02)
    reason = go(run)
    other.communicate()
    assert (
        reason == f"{run.folder}/run.log is in use by a run that was started before; end that one"
    )
    assert go(run) == ""


def is_locked(log: Path) -> bool:
    with log.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@pytest.mark.parametrize(
    ("nodes", "asked", "given"),
    [
        ([(2, 0)], (None, None), (1, 0)),
        ([(2, 0)], (2, None), (2, 0)),
        ([(64, 8)], (None, None), (8, 1)),
        ([(64, 8)], (None, 0.5), (4, 0.5)),
        ([(64, 8)], (None, 0), (1, 0)),
        ([(64, 8)], (1, 2), (1, 2)),
        ([(2, 0), (32, 4), (12, 2)], (None, None), (6, 1)),
        ([(2, 4)], (None, None), (1, 1)),
    ],
)
def test_the_share_of_a_run(nodes, asked, given):
    resources = [{"CPU": float(c), **({"GPU": float(g)} if g else {})} for c, g in nodes]
    assert share(resources, cpus=asked[0], gpus=asked[1]) == given


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((3, None), "cpus=3, gpus=0 per run: the machines have 2 and 0"),
        ((None, 1), "cpus=1, gpus=1 per run: the machines have 2 and 0"),
        ((0, None), "cpus=0 per run: give more than 0"),
    ],
)
def test_more_than_there_is_is_refused(asked, message):
    with pytest.raises(UserError, match=message):
        share([{"CPU": 2.0}], cpus=asked[0], gpus=asked[1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "a", "c"], "only=c: give some of a, b"),
        (["--address=auto"], "address=auto: give HOST:PORT of a cluster's head"),
        (["--address=127.0.0.1:9"], "address=127.0.0.1:9: no Ray answers there; start a cluster"),
    ],
)
def test_impossible_runs_are_refused_in_one_line(fits, capsys, words, message):
    with pytest.raises(SystemExit) as end:
        main(["run", str(fits.file), "--data=toys", *words])
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith(f"error: {message}")


def test_without_ray_the_list_is_named(fits, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SystemExit) as end:
        main(["run", str(fits.file), "--data=toys"])
    assert end.value.code == 1
    said = capsys.readouterr().err
    remedy = "pip install 'pspnet[ablation]', or run the commands of `list` by hand"
    assert said == f"error: ray is not installed: {remedy}\n"


@pytest.mark.parametrize("action", ["run", "report"])
def test_without_pandas_no_run_begins(action, fits, capsys, monkeypatch):
    monkeypatch.setattr("pspnet.tools.ablation.__main__.find_spec", lambda name: None)
    with pytest.raises(SystemExit) as end:
        main([action, str(fits.file), "--data=toys"])
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said == (
        "error: pandas is not installed, for the report: pip install 'pspnet[ablation]'\n"
    )


Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(fits):
    """Start `ablation run` in a process and session of its own; the test's end kills it."""
    started = []

    def run(*words: str) -> subprocess.Popen[str]:
        line = [sys.executable, "-m", "pspnet.tools.ablation", "run", str(fits.file), "--data=toys"]
        process = subprocess.Popen(
            [*line, *words], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.slow
def test_kills_through_ray(fits, start, monkeypatch):
    """A fit is killed, then the driver: nothing is left over, and nothing is repeated.

    a/0 is killed and resumes at once; a/1 fails twice; b/0 hangs until the driver is killed; b/1
    was finished before.
    """
    monkeypatch.setenv("RAY_worker_niceness", "0")  # on a busy machine they would hardly run
    fits.file = fits.write(["a", "b"], seeds=[0, 1])
    killed, failing, hanging, finished = fits.sweep.runs
    fits.plan("a", "epoch hang", "epoch results")
    fits.plan("a", "error:_nan", "error:_nan", seed=1)
    fits.plan("b", "epoch beyond hang", "epoch results")
    assert go(finished) == ""

    driver = start("--cpus=0.5")
    kill_when_hanging(killed.folder)
    lines = [driver.stdout.readline().strip() for _ in range(6)]  # until two have ended
    process = wait_for(hanging.folder / "hangs")
    driver.kill()
    assert is_gone(process)
    assert lines[0].startswith("small on toys: 3 of 4 runs to do; cost: 4 min 30 s one after the")
    assert sum(line == f"{run} starts" for line in lines for run in (killed, failing, hanging)) == 3
    assert any(line.startswith("a, seed 0: mIoU 20.00 %, ") for line in lines)
    assert any(line.startswith("a, seed 1: failed, ") and ": nan (" in line for line in lines)
    assert resumed_at(killed) == 10

    driver = start()
    said, error = driver.communicate()
    assert (driver.returncode, error) == (0, "")
    assert "b, seed 0 resumes" in said
    assert resumed_at(hanging) == 10
    steps = (hanging.folder / "metrics.csv").read_text()
    assert [line.split(",")[1] for line in steps.splitlines()] == ["step", "0", "9", "10", "19"]
    assert said.splitlines()[-1].endswith("report.md (4 of 4 runs finished)")
    assert [starts(run) for run in fits.sweep.runs] == [2, 3, 2, 1]


@pytest.mark.slow  # each look at a run takes half a minute
def test_two_sweeps_share_their_runs(fits, start, monkeypatch):
    """One is at a run when the other comes to it: that one waits, and both end well."""
    monkeypatch.setenv("RAY_worker_niceness", "0")
    fits.plan("a", "hold epoch results")
    first = start("--only", "a")
    held = wait_for(fits.run("a") / "hangs")
    second = start()
    said = second.stdout.readline()
    while "its results are awaited" not in said:
        said = second.stdout.readline()
        assert said
    assert not (fits.run("a") / "failed.json").exists()
    (fits.run("a") / "go").touch()
    ends = [process.communicate() for process in (first, second)]
    assert [process.returncode for process in (first, second)] == [0, 0], (held, ends)
    assert [starts(run) for run in fits.sweep.runs] == [1, 1]
    assert ends[1][0].splitlines()[-1].endswith("report.md (2 of 2 runs finished)")


def test_a_fit_of_an_agent_is_left_alone(fits, monkeypatch):
    monkeypatch.setattr(run_lock, "PATIENCE", 0.3)
    run = fits.sweep.runs[0]
    run.folder.mkdir(parents=True)
    words = ["-c", "import fcntl; fcntl.lockf(1, fcntl.LOCK_EX); print(); input()"]
    with (run.folder / ".lock").open("ab") as lock:
        other = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, stdout=lock)
    try:
        while not run_lock.is_training(run.folder):
            time.sleep(0.02)
        assert go(run) == run_lock.in_use(run.folder)
    finally:
        other.communicate()
    assert go(run) == ""


def test_nothing_is_left_to_run(fits, capsys):
    for run in fits.sweep.runs:
        go(run)
    main(["run", str(fits.file), "--data=toys"])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("report.md (2 of 2 runs finished)")


def test_runs_go_seed_by_seed(own, monkeypatch):
    """So that all settings of a sweep that is cut short have as many seeds."""
    started: list[Run] = []
    monkeypatch.setattr(ablation, "run_trials", lambda runs, *_, **__: started.extend(runs))
    monkeypatch.setattr(ablation, "report", lambda _: "")
    ablation.run_sweep(sweep := own())
    assert [run.seed for run in started] == [3] * 4 + [4] * 4
    assert [run.setting for run in started] == sweep.settings * 2
