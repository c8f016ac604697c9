"""The runs of a sweep as a shell script that says what is done and what the rest costs."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

from pspnet.tools.ablation.folder import (
    last_checkpoint,
    read_reason,
    read_results,
    read_seconds,
    read_state,
)
from pspnet.tools.ablation.runner import go_on
from pspnet.tools.ablation.sweep import Run, Sweep


def describe(sweep: Sweep) -> str:
    """A comment and a command a run, each of which can be pasted into a shell, and a summary.

    A run that is half-finished has the command that goes on with it.
    """
    lines = [line for run in sweep.runs for line in (f"# {run}: {_said(run)}", _command(run))]
    states = Counter(read_state(run.folder) for run in sweep.runs)
    counts = ", ".join(f"{number} {state}" for state, number in states.items())
    head = f"# {sweep.name} on {sweep.data}: {len(sweep.settings)} settings, {len(sweep.runs)} runs"
    return "\n".join([f"{head} ({counts})", f"# cost: {estimate(sweep.runs)}", *lines])


def estimate(runs: Sequence[Run]) -> str:
    """How long what is left takes one after the other, judged by the runs that are finished."""
    times: dict[str, list[float]] = {}
    for run in runs:
        seconds = read_seconds(run.folder)
        if seconds is not None and read_results(run.folder) is not None:
            times.setdefault(run.setting, []).append(seconds)
    known = [seconds for of_one in times.values() for seconds in of_one]
    left = [run for run in runs if read_state(run.folder) != "finished"]
    if not left:
        return "nothing is left"
    if not known:
        return "unknown until one has run"
    total = sum(mean(times.get(run.setting, known)) for run in left)
    basis = f"by the {len(known)} finished, {_duration(mean(known))} each"
    return f"{_duration(total)} one after the other for the {len(left)} left ({basis})"


def _said(run: Run) -> str:
    state = read_state(run.folder)
    if state == "failed":
        return f"failed: {read_reason(run.folder)}"
    results = read_results(run.folder)
    if results is None or results["miou"] is None:
        return state
    return f"{state}, mIoU {100 * results['miou']:.2f} %"


def _command(run: Run) -> str:
    unfinished = read_results(run.folder) is None
    resumed = unfinished and last_checkpoint(run.folder).is_file()
    python, *words = go_on(run.command, run.folder) if resumed else run.command
    here = Path(python).is_absolute() and Path(python).is_relative_to(Path.cwd())
    return " ".join(_quoted(word) for word in [os.path.relpath(python) if here else python, *words])


def _quoted(word: str) -> str:
    """As `shlex.quote`, but in double quotes where those do, as a dictionary is full of single."""
    plain = "'" in word and not set(word) & set('"$`\\!\n')
    return f'"{word}"' if plain else shlex.quote(word)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
