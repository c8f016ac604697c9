"""When a training is saved, and what a continued one knows of its best score."""

from pathlib import Path

import pytest
import torch

from pspnet.callbacks.checkpoints import BestCheckpoint, Every, LastCheckpoint
from pspnet.errors import UserError
from pspnet.runs.interruption import Signals


@pytest.mark.parametrize(
    ("text", "steps", "seconds"),
    [
        ("10 minutes", None, 600),
        ("1 minute", None, 60),
        ("1.5 hours", None, 5400),
        ("500 steps", 500, None),
        ("1step", 1, None),
    ],
)
def test_an_interval_is_steps_or_time(text, steps, seconds):
    every = Every(text)
    assert (every.steps, every.seconds, str(every)) == (steps, seconds, text)
    over = {"steps": steps or 0, "seconds": seconds or 0}
    assert every.is_over(**over)
    assert not every.is_over(**{key: value - 1 for key, value in over.items()})


@pytest.mark.parametrize("text", ["", "10", "0 steps", "1.5 steps", "-1 minutes", "ten minutes"])
def test_any_other_interval_is_refused(text):
    with pytest.raises(UserError, match=f"checkpoint_every={text}: give `N steps` or `T minutes`"):
        Every(text)


def state(folder: Path, score: float) -> dict:
    """The state of a callback that has written best.ckpt into `folder`."""
    before = BestCheckpoint()
    before.dirpath = str(folder)
    before.best_model_path, before.best_model_score = f"{folder}/best.ckpt", torch.tensor(score)
    before.best_k_models = {before.best_model_path: before.best_model_score}
    before.kth_best_model_path, before.kth_value = before.best_model_path, torch.tensor(score)
    return before.state_dict()


@pytest.mark.parametrize("moved", [False, True])
def test_a_continued_run_knows_its_best_score_wherever_it_lies(tmp_path, moved):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "best.ckpt").write_bytes(b"best")
    saved, own = state(folder, 0.5), tmp_path / ("new" if moved else "run")
    after = BestCheckpoint()
    after.dirpath = str(own)
    after.load_state_dict(saved)
    assert (own / "best.ckpt").read_bytes() == b"best"
    assert after.best_model_path == str(own / "best.ckpt")
    assert after.best_k_models == {str(own / "best.ckpt"): 0.5}
    assert after.kth_best_model_path == str(own / "best.ckpt")


def test_a_best_checkpoint_that_is_gone_is_not_waited_for(tmp_path):
    after = BestCheckpoint()
    after.dirpath = str(tmp_path / "new")
    after.load_state_dict(state(tmp_path / "gone", 0.5))
    assert after.best_model_path == ""


def test_the_command_that_resumes_can_be_pasted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.executable", str(tmp_path / ".venv/bin/python"))
    signals = Signals()
    last = LastCheckpoint(Every("5 steps"), signals)
    last._step = 10
    last._say(tmp_path / "my logs" / "last.ckpt")
    command = ".venv/bin/python -m pspnet fit '--ckpt_path=my logs/last.ckpt'"
    assert signals.remedy == f" after step 10; resume with: {command}"
