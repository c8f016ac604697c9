"""The run that a training continues: found by name, in its folder, and refused if finished."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pspnet.command_line.parsing.words import checkpoint_argument, given_options, raw_options
from pspnet.errors import UserError
from pspnet.runs import folder as run_folder
from pspnet.runs import slurm


def resolve_words(words: list[str]) -> list[str]:
    """Replace `--resume` by the checkpoint that it stands for, and add that of a requeued job.

    Raises:
        UserError: if no run of that name has a checkpoint, or one is given.
    """
    given = [word for word in words if word != "--resume"]
    asked, restarts = given != words, slurm.restarts() > 0
    if asked and words[:1] != ["fit"]:
        raise UserError("resume: fit alone continues a run; leave it out")
    if words[:1] != ["fit"] or not (asked or restarts):
        return given
    if asked and checkpoint_argument(words):
        raise UserError("resume finds the checkpoint itself; leave out either it or ckpt_path")
    options = dict(given_options(given[1:])) | raw_options(given, "logs", "name", "version")
    logs = Path(str(options.get("logs", "logs")))
    own = slurm.own_run(logs) if restarts else None
    if own is not None and (own / run_folder.LAST).is_file():
        return [*given, f"--ckpt_path={own / run_folder.LAST}"]
    if not asked:
        return given
    runs, version = logs / str(options.get("name", "pspnet")), options.get("version")
    run = runs / str(version) if version else run_folder.newest(runs)
    return [*given, f"--ckpt_path={run / run_folder.LAST}"]


def continued(config: Any, ckpt_path: str | None) -> Path | None:
    """Return the run that a training continues in its folder; None for one in a new folder."""
    run = None if ckpt_path is None else run_folder.of_checkpoint(ckpt_path)
    if run is None or ckpt_path is None:
        return None
    last = run / run_folder.LAST
    if last.is_file() and not last.samefile(ckpt_path):
        return None  # the run has gone further; it is continued from its last checkpoint alone
    place = Path(config.logs, config.name, config.version or run.name)
    return run if place.resolve() == run.resolve() else None


def check_unfinished(config: Any, checkpoint: dict[str, Any], ckpt_path: str | None) -> None:
    """End here with one line where the run that is continued has nothing left to do.

    Raises:
        SystemExit: with status 0.
    """
    run = continued(config, ckpt_path)
    if run is None or not (run / "results.json").is_file():
        return
    epochs = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
    for key, done in (("max_steps", checkpoint["global_step"]), ("max_epochs", epochs)):
        limit = config.trainer[key]
        if limit is not None and 0 <= limit <= done:
            print(f"{run} is finished; to train it longer raise trainer.{key}={limit}")
            raise SystemExit(0)
