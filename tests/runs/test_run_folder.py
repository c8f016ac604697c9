"""Each run has a folder, one that nobody else writes, and is found again in it."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from pspnet.errors import UserError
from pspnet.runs import folder as run_folder
from pspnet.runs import slurm


def ran(folder: Path, *, saved: bool = True) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.yaml").touch()
    if saved:
        (folder / "checkpoints").mkdir()
        (folder / "checkpoints" / "last.ckpt").touch()
    return folder


def test_a_run_is_not_written_over_unless_it_saved_nothing(tmp_path):
    run = ran(tmp_path / "a" / "v")
    with pytest.raises(UserError, match=r"holds a run; .* fit --ckpt_path=.*last.ckpt"):
        run_folder.claim(run, resumed=None)
    run_folder.claim(run, resumed=run)
    early = ran(tmp_path / "a" / "early", saved=False)
    with pytest.raises(UserError, match=r"holds a run; give another version$"):
        run_folder.claim(early, resumed=None, starts=False)
    run_folder.claim(early, resumed=None)


def test_drafts_of_a_killed_run_go_away(tmp_path):
    run = ran(tmp_path / "a" / "v")
    draft = run / "checkpoints" / ".draft.last.ckpt.1"
    draft.touch()
    run_folder.claim(run, resumed=run)
    assert not draft.exists()


def test_a_run_that_is_under_way_is_left_alone(tmp_path):
    run = tmp_path / "a" / "v"
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        run_folder.claim(run, resumed=None)
        os.write(writer, b"mine")
        time.sleep(60)
        os._exit(0)
    os.read(reader, 4)
    with pytest.raises(UserError, match=r"a run is under way there"):
        run_folder.claim(run, resumed=None)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(reader)
    os.close(writer)
    run_folder.claim(run, resumed=None)


def test_versions_are_counted_and_never_shared(tmp_path, monkeypatch):
    runs = tmp_path / "a"
    assert run_folder.new_version(runs) == "version_0"
    (runs / "version_7").mkdir()
    monkeypatch.setattr(Path, "glob", lambda *args: [])  # as another process sees it
    assert run_folder.new_version(runs) == "version_1"
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"logs: .* cannot be written"):
        run_folder.new_version(tmp_path / "file" / "a")


def test_the_newest_run_with_a_checkpoint_is_resumed(tmp_path):
    with pytest.raises(UserError, match=r"resume: no run in .* has a checkpoint"):
        run_folder.newest(tmp_path)
    first, second = ran(tmp_path / "version_0"), ran(tmp_path / "version_1")
    ran(tmp_path / "version_2", saved=False)
    os.utime(first / run_folder.LAST, (1, 1))
    assert run_folder.newest(tmp_path) == second


def test_latest_leads_to_the_newest_training(tmp_path):
    for number in range(2):
        run = ran(tmp_path / f"version_{number}")
        os.utime(run / run_folder.LAST, (number, number))
        run_folder.link_latest(run)
    link = tmp_path / "latest"
    assert link.readlink() == Path("version_1")
    assert run_folder.of_checkpoint(link / run_folder.LAST) == tmp_path / "version_1"
    assert run_folder.newest(tmp_path) == tmp_path / "version_1"
    assert run_folder.new_version(tmp_path) == "version_2"


def test_a_run_named_latest_is_left_alone(tmp_path):
    ran(tmp_path / "latest")
    run_folder.link_latest(ran(tmp_path / "version_0"))
    assert not (tmp_path / "latest").is_symlink()


def test_the_folder_of_a_refused_run_goes_away_and_no_other(tmp_path):
    def refused() -> None:
        run_folder.claim(tmp_path / str(run_folder.new_version(tmp_path)), resumed=None)
        used = tmp_path / str(run_folder.new_version(tmp_path, "validate"))
        (used / "results.json").touch()
        raise UserError("no")

    with pytest.raises(UserError), run_folder.discarding_unused():
        refused()
    assert [path.name for path in tmp_path.iterdir()] == ["validate_0"]


def test_the_place_of_a_run_is_its_options():
    assert run_folder.place(Path("logs/a/version_0")) == {"logs": "logs", "name": "a"}
    assert run_folder.place(Path("/x/row/a/v")) == {"logs": "/x/row", "name": "a"}


@pytest.fixture
def job(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    monkeypatch.delenv("SLURM_ARRAY_JOB_ID", raising=False)
    monkeypatch.setattr(sys, "argv", ["pspnet", "fit", "-c", "base"])


def test_a_requeued_job_finds_its_own_run_alone(tmp_path, monkeypatch, job):
    own, others = ran(tmp_path / "a" / "version_0"), ran(tmp_path / "a" / "version_1")
    slurm.record(own)
    monkeypatch.setenv("SLURM_JOB_ID", "13")
    slurm.record(others)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    assert slurm.own_run(tmp_path) == own
    monkeypatch.setattr(sys, "argv", ["pspnet", "fit", "-c", "other"])
    assert slurm.own_run(tmp_path) is None
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "11")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    assert slurm.job() == "11_3"


@pytest.mark.parametrize(("status", "said"), [(0, "job 12: requeued"), (1, "not requeued")])
def test_a_job_is_requeued_by_scontrol(tmp_path, monkeypatch, capsys, job, status, said):
    scontrol = tmp_path / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\nexit {status}\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert slurm.requeue() == (status == 0)
    assert (tmp_path / "words").read_text() == "requeue 12\n"
    assert said in capsys.readouterr().err
