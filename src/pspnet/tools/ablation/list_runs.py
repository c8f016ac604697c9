"""The runs of a sweep as a shell script that says what is finished and what the rest costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from statistics import mean

from pspnet.files.text import duration, shell_command
from pspnet.tools.ablation.run_files import read_run, resuming_command
from pspnet.tools.ablation.sweep import Run, Sweep


def list_runs(sweep: Sweep) -> str:
    """Return a summary, then a comment and a command per run that can be pasted into a shell.

    The command of an interrupted run resumes it.
    """
    lines = [line for run in sweep.runs for line in (f"# {run}: {_said(run)}", _command(run))]
    states = Counter(read_run(run.folder).state for run in sweep.runs)
    counts = ", ".join(f"{number} {state}" for state, number in states.items())
    head = f"# {sweep.name} on {sweep.data}: {len(sweep.settings)} settings, {len(sweep.runs)} runs"
    return "\n".join([f"{head} ({counts})", f"# cost: {estimate(sweep.runs)}", *lines])


def estimate(runs: Sequence[Run]) -> str:
    """Say how long the unfinished runs take one after the other, judged by the finished ones."""
    times: dict[str, list[float]] = {}
    left: list[Run] = []
    for run in runs:
        found = read_run(run.folder)
        if found.state != "finished":
            left.append(run)
        elif found.costs is not None and found.costs.seconds is not None:
            times.setdefault(run.setting, []).append(found.costs.seconds)
    known = [seconds for of_setting in times.values() for seconds in of_setting]
    if not left:
        return "nothing is left"
    if not known:
        return "unknown until one has run"
    total = sum(mean(times.get(run.setting, known)) for run in left)
    basis = f"{duration(mean(known))} each, from the {len(known)} finished"
    return f"{duration(total)} one after the other for the {len(left)} left ({basis})"


def _said(run: Run) -> str:
    found = read_run(run.folder)
    if found.state == "failed":
        return f"failed: {found.reason}"
    if found.results is None or found.results.miou is None:
        return found.state
    return f"finished, mIoU {100 * found.results.miou:.2f} %"


def _command(run: Run) -> str:
    finished = read_run(run.folder).state == "finished"
    python, *words = run.command if finished else resuming_command(run.command, run.folder)
    return shell_command(python, *words)
