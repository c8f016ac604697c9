"""W&B without a prompt, a key or a network."""

import time
from pathlib import Path
from typing import ClassVar

import pytest
import wandb
from lightning.pytorch.loggers import CSVLogger, WandbLogger

from pspnet.callbacks import loggers
from pspnet.callbacks.loggers import default_loggers, wandb_mode
from pspnet.callbacks.wandb_logger import OptionalWandbLogger
from pspnet.errors import UserError


@pytest.fixture(autouse=True)
def nobody(monkeypatch, tmp_path):
    """No key and no settings of whoever runs the tests."""
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setattr(wandb, "api", type(wandb.api)())  # which remembers a key


@pytest.mark.parametrize(
    ("choice", "setting", "key", "mode"),
    [
        ("auto", None, False, "offline"),
        ("auto", None, True, "online"),
        ("auto", "offline", True, "offline"),
        ("auto", "disabled", True, "disabled"),
        ("offline", "online", True, "offline"),
        ("online", None, True, "online"),
        ("auto", "", True, "online"),
        ("auto", " ", False, "offline"),
        ("auto", "dryrun", True, "offline"),
        ("auto", "run", True, "online"),
    ],
)
def test_the_mode_follows_key_and_setting(monkeypatch, choice, setting, key, mode):
    if key:
        monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    if setting is not None:
        monkeypatch.setenv("WANDB_MODE", setting)
    assert wandb_mode(choice) == mode


def test_a_key_in_a_netrc_file_is_found(tmp_path):
    (tmp_path / "netrc").write_text("machine api.wandb.ai login user password " + "0" * 40 + "\n")
    assert wandb_mode("auto") == "online"


def test_online_without_a_key_is_refused(monkeypatch):
    with pytest.raises(UserError, match="wandb=online: no key is configured"):
        wandb_mode("online")


def test_an_offline_run_lies_in_the_runs_folder_and_continues(tmp_path):
    csv, run = default_loggers(str(tmp_path), name="a", wandb="auto")
    assert isinstance(csv, CSVLogger)
    assert isinstance(run, WandbLogger)
    assert run.experiment.settings.mode == "offline"
    for step, miou in ((1, 0.5), (2, 0.4)):
        run.log_metrics({"val/miou": miou}, step=step)
        run.log_metrics({"train/loss": 1.0}, step=step)
    assert run.experiment.summary["val/miou"] == 0.5  # a plain number, as sweeps need
    run.experiment.finish()
    assert list((tmp_path / "a" / "version_0" / "wandb").glob("offline-run-*/*.wandb"))
    _, continued = default_loggers(
        str(tmp_path), name="a", version="version_0", wandb="auto", steps=2
    )
    assert continued._wandb_init["id"] == run.experiment.id
    (folder,) = (tmp_path / "a" / "version_0" / "wandb").glob("offline-run-*-*")
    folder.rename(folder.with_name("offline-run-20260101_000000-own-id"))
    _, continued = default_loggers(
        str(tmp_path), name="a", version="version_0", wandb="auto", steps=2
    )
    assert continued._wandb_init["id"] == "own-id"
    _, other = default_loggers(str(tmp_path), name="a", version="version_0", wandb="auto")
    assert other._wandb_init["id"] is None
    assert default_loggers(str(tmp_path), name="a", wandb="off")[0].version == 1


@pytest.mark.slow
def test_a_server_out_of_reach_is_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(loggers, "PATIENCE", 3)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")  # nobody listens
    start = time.monotonic()
    with pytest.warns(UserWarning, match="W&B is out of reach, this run is logged offline"):
        _, run = default_loggers(str(tmp_path), name="a", wandb="auto")
    assert run.experiment.settings.mode == "offline"
    run.experiment.finish()
    assert time.monotonic() - start < 40


def test_an_unknown_mode_gets_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("WANDB_MODE", "foo")
    with pytest.raises(UserError, match="WANDB_MODE=foo: give one of online, offline"):
        default_loggers(str(tmp_path), name="a", wandb="auto")


@pytest.mark.parametrize(
    ("refuse", "line"),
    [
        (lambda: wandb.Settings(mode="foo"), "W&B: mode='foo': Input should be 'online', "),
        (lambda: wandb.Settings(api_key=" "), "W&B: API key cannot start"),
    ],
    ids=["mode", "key"],
)
def test_settings_that_wandb_refuses_get_one_line(monkeypatch, tmp_path, refuse, line):
    monkeypatch.setattr(loggers, "_wandb_logger", lambda *args, **options: refuse())
    with pytest.raises(UserError) as error:
        default_loggers(str(tmp_path), name="a", wandb="offline")
    assert str(error.value).startswith(line)
    assert str(error.value).endswith("; correct it, or use --wandb=off")
    assert "\n" not in str(error.value)


class Refuses:
    """A run of W&B whose methods end in an error."""

    summary: ClassVar = {}

    def __init__(self, error):
        self.error, self.calls = error, 0

    def log(self, *args):
        self.calls += 1
        raise self.error


@pytest.mark.parametrize(
    ("error", "calls"),
    [(PermissionError("Unable to write staging files"), 3), (ConnectionResetError("lost"), 1)],
    ids=["a folder", "its process"],
)
def test_a_run_does_not_depend_on_wandb(monkeypatch, error, calls, capsys):
    logger = OptionalWandbLogger(mode="disabled")
    run = Refuses(error)
    monkeypatch.setattr(OptionalWandbLogger, "experiment", run)
    for _ in range(3):
        logger.log_metrics({"val/miou": 0.5})
    logger.finalize("success")
    lines = capsys.readouterr().err.splitlines()
    assert run.calls == len(lines) == calls
    assert lines[0].startswith(f"warning: W&B lacks val/miou: {error}")


def test_a_bug_in_what_is_logged_keeps_its_traceback(monkeypatch):
    monkeypatch.setattr(OptionalWandbLogger, "experiment", Refuses(KeyError("bug")))
    with pytest.raises(KeyError, match="bug"):
        OptionalWandbLogger(mode="disabled").log_metrics({"val/miou": 0.5})


def test_a_file_in_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "logs").write_text("")
    with pytest.raises(UserError, match="is a file; name a folder"):
        default_loggers(str(Path(tmp_path / "logs")), name="a", wandb="off")
