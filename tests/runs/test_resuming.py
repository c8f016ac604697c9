"""The run that a command continues: the newest of its name, a requeued job's own, or none."""

import os
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from pspnet.errors import UserError
from pspnet.runs import folder, slurm
from pspnet.runs.resuming import check_unfinished, continued, resolve_words

FIT = ["fit", "-c", "base", "--name=a"]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    for name in ("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "argv", ["pspnet", *FIT])
    monkeypatch.chdir(tmp_path)


def run(version: str) -> Path:
    """The folder of a run that has a checkpoint."""
    made = Path("logs", "a", version)
    (made / "checkpoints").mkdir(parents=True)
    (made / "config.yaml").touch()
    (made / folder.LAST).touch()
    return made


def options(version: str | None = None, **trainer: int | None) -> SimpleNamespace:
    limits = {"max_epochs": None, "max_steps": -1, **trainer}
    return SimpleNamespace(logs="logs", name="a", version=version, trainer=limits)


def resolved(words: list[str], version: str | None = None) -> list[str]:
    return resolve_words([*words, *([f"--version={version}"] if version else [])])


def test_resume_is_the_newest_run_or_the_version_that_is_named():
    first, second = run("version_0"), run("version_1")
    os.utime(first / folder.LAST, (1, 1))
    assert resolved([*FIT, "--resume"]) == [*FIT, f"--ckpt_path={second / folder.LAST}"]
    assert resolved([*FIT, "--resume"], "version_0")[-1] == f"--ckpt_path={first / folder.LAST}"
    assert resolved(FIT) == FIT
    for words in ([*FIT, "--resume", "--ckpt_path=a.ckpt"], ["validate", "--resume"]):
        with pytest.raises(UserError, match=r"resume"):
            resolved(words)


def test_names_are_taken_as_they_are_written():
    last = Path("logs", "1e3", "007", folder.LAST)
    last.parent.mkdir(parents=True)
    last.touch()
    words = resolve_words(["fit", "--name=1e3", "--version=007", "--resume"])
    assert words[-1] == f"--ckpt_path={last}"


def test_only_the_last_checkpoint_continues_a_run_in_its_folder():
    made = run("version_0")
    best = made / "checkpoints" / "best.ckpt"
    best.touch()
    assert continued(options(), str(made / folder.LAST)) == made
    assert continued(options(), str(best)) is None


def test_a_requeued_job_continues_what_it_began_whatever_its_command_says(monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "5")
    own, other = run("version_0"), run("version_1")
    slurm.record(own)
    assert resolved(FIT) == FIT  # its first time
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    expected = f"--ckpt_path={own / folder.LAST}"
    assert resolved(FIT)[-1] == resolved([*FIT, "--resume"])[-1] == expected
    assert resolved([*FIT, f"--ckpt_path={other / folder.LAST}"])[-1] == expected
    monkeypatch.setenv("SLURM_JOB_ID", "6")
    assert resolved(FIT) == FIT


def test_a_run_continues_in_its_folder_unless_another_is_named():
    own = run("v")
    last = str((own / folder.LAST).absolute())
    assert continued(options(), last) == own.absolute()
    assert continued(options("v"), last) == own.absolute()
    assert continued(options("w"), last) is None
    assert continued(options(), None) is None


@pytest.mark.parametrize(
    ("limits", "finished"),
    [({"max_epochs": 2}, True), ({"max_epochs": 3}, False), ({"max_steps": 8}, True), ({}, False)],
)
def test_a_finished_run_says_so(limits, finished, capsys):
    own = run("v")
    epochs = {"epoch_progress": {"current": {"processed": 2}}}
    checkpoint = {"global_step": 8, "loops": {"fit_loop": epochs}}
    last = str(own / folder.LAST)
    check_unfinished(options(**limits), checkpoint, last)  # its evaluation is still to come
    (own / "results.json").touch()
    if not finished:
        check_unfinished(options(**limits), checkpoint, last)
        return
    with pytest.raises(SystemExit) as stopped:
        check_unfinished(options(**limits), checkpoint, last)
    assert stopped.value.code == 0
    ((key, limit),) = limits.items()
    said = f"{own} is finished; to train it longer raise trainer.{key}={limit}\n"
    assert capsys.readouterr().out == said
