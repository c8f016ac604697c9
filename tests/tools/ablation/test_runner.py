"""Runs of a script in a fit's place: resumed, retried, killed, side by side through Ray."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pspnet.errors import UserError
from pspnet.tools.ablation import launch, runner
from pspnet.tools.ablation.__main__ import main, mend
from pspnet.tools.ablation.folder import join_metrics, read_state
from pspnet.tools.ablation.runner import LEASH, Outcome, execute
from pspnet.tools.ablation.sweep import Run

ROOT = Path(__file__).parents[3]


def go(run: Run, *, cpus: float = 1, gpus: float = 0) -> Outcome:
    return execute(run.command, run.folder, cwd=Path.cwd(), cpus=cpus, gpus=gpus)


def wait_for(path: Path, *, seconds: float = 60) -> int:
    """The number that appears in a file."""
    end = time.monotonic() + seconds
    while not (path.is_file() and path.read_text()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return int(path.read_text())


def is_gone(process: int, *, seconds: float = 10) -> bool:
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
    assert read_state(run.folder) == "to do"
    outcome = go(run, cpus=2.5)
    assert (outcome.state, outcome.miou) == ("finished", 0.2)
    assert read_state(run.folder) == "finished"
    log = (run.folder / "run.log").read_text().splitlines()
    assert log[0].startswith("$ ")
    assert log[1:] == ["Hello"]
    costs = json.loads((run.folder / "costs.json").read_text())
    assert (costs["OMP_NUM_THREADS"], costs["CUDA_VISIBLE_DEVICES"]) == ("2", "")


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
    outcome = go(run)
    assert (outcome.state, outcome.reason) == ("failed", reason)
    assert json.loads((run.folder / "failed.json").read_text()) == {
        "reason": reason,
        "attempts": 2,
    }
    assert read_state(run.folder) == "failed"
    assert (run.folder / "run.log").read_text().count("$ ") == 2


def test_a_failed_run_is_tried_again_by_the_next_start(fits):
    fits.plan("a", "epoch x", "x")
    run = fits.sweep.runs[0]
    assert go(run).state == "failed"
    assert read_state(run.folder) == "failed"
    assert go(run).state == "finished"
    assert not (run.folder / "failed.json").exists()


def resumed_at(run: Run) -> int:
    """The step that the last part of a run began with."""
    return json.loads((run.folder / "costs.json").read_text())["resumed"]


def test_a_half_finished_run_goes_on(fits):
    fits.plan("a", "epoch epoch x", "epoch results")
    run = fits.sweep.runs[0]
    assert go(run).miou == 0.3
    assert resumed_at(run) == 20
    line = (run.folder / "run.log").read_text().splitlines()[-1]
    assert line.endswith(f"--ckpt_path={run.folder}/checkpoints/last.ckpt")


def test_a_checkpoint_that_a_run_fails_by_is_put_aside(fits):
    run = fits.sweep.runs[0]
    (run.folder / "checkpoints").mkdir(parents=True)
    (run.folder / "checkpoints" / "last.ckpt").write_text("broken")
    (run.folder / "config.yaml").write_text("")
    assert go(run).miou == 0.1
    assert resumed_at(run) == 0
    assert (run.folder / "before_1" / "checkpoints" / "last.ckpt").read_text() == "broken"
    assert "ValueError" in (run.folder / "run.log").read_text()


def test_a_run_without_a_checkpoint_begins_anew(fits):
    run = fits.sweep.runs[0]
    run.folder.mkdir(parents=True)
    (run.folder / "config.yaml").write_text("first")
    (run.folder / "metrics.csv").write_text("step\n4\n")
    assert go(run).state == "finished"
    assert (run.folder / "before_1" / "config.yaml").read_text() == "first"
    assert not mend(run.folder)
    assert "4" not in (run.folder / "metrics.csv").read_text().split()


def test_a_killed_run_goes_on_from_its_checkpoint_even_if_it_was_going_on(fits):
    fits.plan("a", "epoch x", "child hang")
    run = fits.sweep.runs[0]
    killer = threading.Thread(target=lambda: kill_when_hanging(run.folder))
    killer.start()
    outcome = go(run)
    killer.join()
    assert outcome.reason == "ended by SIGKILL, as when memory runs out"
    assert is_gone(wait_for(run.folder / "child"))
    fits.plan("a", "hang", "epoch results")
    (run.folder / "hangs").unlink()
    killer = threading.Thread(target=lambda: kill_when_hanging(run.folder))
    killer.start()
    assert go(run).miou == 0.2  # the checkpoint is not to blame
    killer.join()
    assert resumed_at(run) == 10


def kill_when_hanging(folder: Path) -> None:
    os.kill(wait_for(folder / "hangs"), signal.SIGKILL)


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_metrics_of_an_interrupted_run_are_joined(fits):
    fits.plan("a", "epoch more x", "epoch more x")
    run = fits.sweep.runs[0]
    assert go(run).state == "failed"
    assert go(run).state == "finished"
    assert join_metrics(run.folder)
    rows = read_csv(run.folder / "metrics.csv")
    assert [row["step"] for row in rows] == ["0", "9", "10", "19", "20", "29"]
    assert [row["train/loss"] for row in rows] == ["0", "9", "10", "19", "20", "29"]
    assert len({row["begun"] for row in rows}) == 3
    assert not [*run.folder.glob("metrics.*_*")]
    assert not join_metrics(run.folder)


def test_joined_metrics_have_every_column_and_no_row_that_was_cut(tmp_path):
    (tmp_path / "metrics.before_1.csv").write_text("step,old\n0,a\n5,b\n7,c\n1")
    (tmp_path / "metrics.before_2.csv").write_text("")
    (tmp_path / "metrics.csv").write_text("new,step\ne,7\nf,9\n")
    assert join_metrics(tmp_path)
    assert (tmp_path / "metrics.csv").read_text().split() == [
        *("new,old,step", ",a,0", ",b,5", "e,,7", "f,,9"),
    ]
    (tmp_path / "metrics.before_3.csv").write_text("step\n")  # nothing was logged after it
    (tmp_path / "metrics.csv").rename(tmp_path / "metrics.before_2.csv")
    assert join_metrics(tmp_path)
    assert len(read_csv(tmp_path / "metrics.csv")) == 4


def test_mending_draws_the_curves_of_all(tmp_path):
    (tmp_path / "metrics.before_1.csv").write_text("step,train/loss\n0,1\n5,0.5\n")
    (tmp_path / "metrics.csv").write_text("step,train/loss\n9,0.2\n")
    mend(tmp_path)
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("whom", ["holder", "leash"])
def test_a_run_ends_with_who_started_it(fits, whom):
    fits.plan("a", "child hang", "epoch results")
    run = fits.sweep.runs[0]
    code = f"""
from pathlib import Path
from pspnet.tools.ablation.runner import execute
execute({run.command!r}, Path({str(run.folder)!r}), cwd=Path.cwd(), cpus=1, gpus=0)
"""
    holder = subprocess.Popen([sys.executable, "-c", code])
    try:
        ends = [wait_for(run.folder / name) for name in ("child", "hangs")]
        leash = wait_for(run.folder / "parent")
        os.kill(holder.pid if whom == "holder" else leash, signal.SIGKILL)
        assert all(is_gone(process) for process in ends)
        if whom == "leash":
            assert holder.wait(20) == 0
            assert read_state(run.folder) == "finished"
    finally:
        holder.kill()
        holder.wait()


def test_the_leash_tells_how_the_command_ended():
    for code, end in (("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)):
        words = [sys.executable, "-IS", str(LEASH), sys.executable, "-c", code]
        with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as leash:
            assert leash.wait(20) == end


def test_a_run_that_is_still_worked_on_is_left_alone(fits, monkeypatch):
    monkeypatch.setattr(runner, "PATIENCE", 0.3)
    run = fits.sweep.runs[0]
    run.folder.mkdir(parents=True)
    with (run.folder / "run.log").open("ab") as log:
        words = ["-c", "import fcntl; fcntl.flock(1, fcntl.LOCK_EX); input()"]
        other = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, stdout=log)
    time.sleep(0.5)
    outcome = go(run)
    other.communicate()
    assert outcome.state == "failed"
    assert (
        outcome.reason
        == f"{run.folder}/run.log is in use by a run that was started before; end that one"
    )
    assert read_state(run.folder) == "to do"
    assert go(run).state == "finished"


def test_a_sweep_is_not_run_twice_at_once(fits, capsys):
    folder = fits.sweep.folder
    with launch.alone(folder), pytest.raises(SystemExit) as end:
        main(["run", str(fits.file), "--data=toys"])
    assert end.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith(f"error: {folder} is being run by process {os.getpid()} on ")
    with launch.alone(folder):
        pass


@pytest.mark.parametrize(("gpus", "agents"), [("0,1", ["0 2", "1 2"]), ("", ["none 4"])])
def test_the_array_script_starts_an_agent_a_gpu(tmp_path, gpus, agents):
    bin = tmp_path / ".venv" / "bin"
    bin.mkdir(parents=True)
    said = '"$* ${CUDA_VISIBLE_DEVICES:-none} $OMP_NUM_THREADS $DATA $(command -v wandb)"'
    (bin / "wandb").write_text(f"#!/bin/sh\necho {said} >> agents\n")
    (bin / "wandb").chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "SLURM_CPUS_PER_TASK": "4", "DATA": "camvid"}
    environment |= {"CUDA_VISIBLE_DEVICES": gpus} if gpus else {}
    script = ["bash", str(ROOT / "scripts" / "sweep.slurm")]
    subprocess.run([*script, "me/pspnet/x1"], cwd=tmp_path, env=environment, check=True)
    lines = sorted((tmp_path / "agents").read_text().splitlines())
    assert lines == [f"agent me/pspnet/x1 {a} camvid {bin}/wandb" for a in agents]
    (bin / "wandb").write_text("#!/bin/sh\nexit 3\n")
    failed = subprocess.run([*script, "x"], cwd=tmp_path, env=environment)
    assert failed.returncode == 1
    unnamed = subprocess.run(script, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert unnamed.returncode == 1
    assert unnamed.stderr.startswith("error: ")


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
    assert launch.share(resources, cpus=asked[0], gpus=asked[1]) == given


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((3, None), "cpus=3, gpus=0 a run: the machines have 2 and 0"),
        ((None, 1), "cpus=1, gpus=1 a run: the machines have 2 and 0"),
        ((0, None), "cpus=0 a run: give more than 0"),
    ],
)
def test_more_than_there_is_is_refused(asked, message):
    with pytest.raises(UserError, match=message):
        launch.share([{"CPU": 2.0}], cpus=asked[0], gpus=asked[1])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--only", "a", "c"], "only=c: give of a, b"),
        (["--address=auto"], "address=auto: give HOST:PORT of a cluster's head"),
        (["--address=127.0.0.1:9"], "address=127.0.0.1:9: no Ray answers there; start a cluster"),
    ],
)
def test_what_cannot_be_run_gets_one_line(fits, capsys, words, message):
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
    assert (
        said == "error: ray is not installed: make setup, or run the commands of `list` by hand\n"
    )


def test_a_sweep_through_ray(fits, capfd, monkeypatch):
    """Side by side; one is killed, one fails, one was finished before; then none is repeated."""
    for name in ("RAY_TMPDIR", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"):
        monkeypatch.setenv(name, "")  # what is set is not to outlast the test
    fits.file = fits.write(["a", "b"], seeds=[0, 1])
    runs = fits.sweep.runs
    fits.plan("a", "epoch hang", "wait epoch results")
    fits.plan("a", "error:_nan", "error:_nan", seed=1)
    fits.plan("b", "wait epoch results")
    assert go(runs[3]).state == "finished"
    before = (runs[3].folder / "costs.json").read_text()

    def kill() -> None:
        while not (runs[2].folder / "results.json").is_file():
            time.sleep(0.1)  # which it gets while the first one hangs
        kill_when_hanging(runs[0].folder)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    with pytest.raises(SystemExit) as end:
        main(["run", str(fits.file), "--data=toys", "--cpus=0.5"])
    killer.join()
    assert end.value.code == 1
    said = capfd.readouterr()
    assert said.err == ""
    head, *lines, last = said.out.splitlines()
    assert head.startswith("small on toys: 3 of 4 runs to do; cost: 4 min 30 s one after the other")
    assert sorted(line for line in lines if line.endswith("starts")) == [
        f"{run} starts" for run in runs[:3]
    ]
    ends = [line for line in lines if not line.endswith("starts")]
    assert [line.rpartition(" (")[2] for line in ends] == ["2 of 4)", "3 of 4)", "4 of 4)"]
    assert sum(line.startswith("a, seed 0: mIoU 20.00 %, ") for line in ends) == 1
    assert sum(line.startswith("a, seed 1: failed, ") and ": nan (" in line for line in ends) == 1
    assert last.endswith("report.md (3 of 4 runs finished)")
    assert (fits.sweep.folder / "report.md").is_file()
    assert resumed_at(runs[0]) == 10
    assert (runs[3].folder / "costs.json").read_text() == before
    assert {path.name for path in fits.sweep.folder.iterdir()} >= {"a", "b"}
    assert not (fits.sweep.folder / ".tune").exists()
    assert not Path(os.environ["RAY_TMPDIR"]).exists()
    main(["run", str(fits.file), "--data=toys", "--only", "b"])
    said = capfd.readouterr()
    assert [line.rpartition(" (")[2] for line in said.out.splitlines()] == ["2 of 2 runs finished)"]
