"""Sweeps of settings and seeds: what W&B's sweep files say, run on this machine or a cluster.

    python -m pspnet.tools.ablation list   NAME|FILE [--data scenes]
    python -m pspnet.tools.ablation run    NAME|FILE [--data scenes] [--only SETTING …] [--cpus N]
                                               [--gpus FRACTION] [--address HOST:PORT]
    python -m pspnet.tools.ablation report NAME|FILE [--data scenes]

NAME is a file of configs/sweeps. `run` goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pspnet.errors import Parser, UserError, one_line_errors
from pspnet.tools.ablation.folder import join_metrics, read_state
from pspnet.tools.ablation.launch import alone, launch
from pspnet.tools.ablation.listing import describe, estimate
from pspnet.tools.ablation.runner import Outcome
from pspnet.tools.ablation.sweep import Run, Sweep, load_sweep


class _Count:
    """Says how far the runs are, and mends what an interruption left of each."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.total = len(runs)
        self.todo = [run for run in runs if read_state(run.folder) != "finished"]
        self.failed: list[Run] = []
        self._ended = self.total - len(self.todo)
        for run in runs:
            if run not in self.todo:
                mend(run.folder)

    def start(self, run: Run) -> None:
        how = "goes on" if read_state(run.folder) == "half-finished" else "starts"
        print(f"{run} {how}", flush=True)

    def end(self, run: Run, outcome: Outcome) -> None:
        self._ended += 1
        if outcome.state == "finished":
            mend(run.folder)
            said = "no mIoU" if outcome.miou is None else f"mIoU {100 * outcome.miou:.2f} %"
            said = f"{said}, {outcome.seconds:.0f} s"
        else:
            self.failed.append(run)
            said = f"failed, {outcome.seconds:.0f} s: {outcome.reason} ({run.folder}/run.log)"
        print(f"{run}: {said} ({self._ended} of {self.total})", flush=True)


def mend(folder: Path) -> None:
    """Makes metrics.csv and curves.png of an interrupted training whole."""
    if join_metrics(folder):
        from pspnet.callbacks.figures.curves import draw_curves

        draw_curves(folder / "metrics.csv", folder / "curves.png")


def run_sweep(
    sweep: Sweep,
    *,
    only: Sequence[str] = (),
    address: str | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
) -> int:
    """Runs what is not finished, writes the report, and returns how many runs have failed.

    Args:
        sweep: what to run.
        only: settings; none is all of them.
        address: of a Ray cluster; None is this machine.
        cpus: cores a run.
        gpus: GPUs, or a fraction of one, a run.

    Raises:
        ValueError: if a setting is unknown, the sweep is being run, or no machine has enough.
    """
    unknown = [setting for setting in only if setting not in sweep.settings]
    if unknown:
        raise UserError(f"only={unknown[0]}: give of {', '.join(sweep.settings)}")
    runs = [run for run in sweep.runs if not only or run.setting in only]
    with alone(sweep.folder):
        count = _Count(runs)
        if count.todo:
            left = f"{len(count.todo)} of {count.total} runs to do"
            print(f"{sweep.name} on {sweep.data}: {left}; cost: {estimate(runs)}", flush=True)
            launch(
                count.todo,
                sweep.folder,
                address=address,
                cpus=cpus,
                gpus=gpus,
                start=count.start,
                end=count.end,
            )
        print(f"{report(sweep)} ({count.total - len(count.failed)} of {count.total} runs finished)")
    return len(count.failed)


def report(sweep: Sweep) -> Path:
    """Writes the report of what is on disk."""
    from pspnet.tools.ablation.report import write_report

    logs = sweep.folder.parents[1]
    seeds = sorted({run.seed for run in sweep.runs})
    return write_report(sweep.name, data=sweep.data, logs=logs, rows=sweep.settings, seeds=seeds)


def _arguments(words: list[str] | None) -> argparse.Namespace:
    about = "Sweeps of settings and seeds, by the sweep files of W&B."
    parser = Parser(
        prog="python -m pspnet.tools.ablation",
        description=about,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    for action, says in (
        ("list", "print the runs, the command of each, and what is left to do"),
        ("run", "run what is not finished, and write the report"),
        ("report", "write the report of what is on disk"),
    ):
        add = actions.add_parser(
            action,
            help=says,
            description=says,
        )
        add.add_argument("sweep", metavar="NAME|FILE", help="of configs/sweeps, or a file")
        add.add_argument(
            "--data",
            default=os.environ.get("DATA", "scenes"),
            help="the NAME of configs/experiment/ablation_NAME.yaml (default: %(default)s)",
        )
    running = actions.choices["run"].add_argument
    running("--only", nargs="+", default=(), metavar="SETTING", help="only these settings")
    running("--cpus", type=_amount, help="cores a run (default: 1; with GPUs, its share of them)")
    running("--gpus", type=_amount, help="GPUs a run, 0.5 for two on one (default: 1, if any)")
    running("--address", help="HOST:PORT of a Ray cluster (default: this machine)")
    return parser.parse_args(words)


def _amount(word: str) -> float:
    amount = float(word)
    if not 0 <= amount < float("inf") or (amount > 1 and amount % 1):
        raise ValueError
    return amount


def _act(options: argparse.Namespace) -> int:
    sweep = load_sweep(options.sweep, data=options.data)
    if options.action == "list":
        print(describe(sweep))
    elif options.action == "report":
        print(report(sweep))
    else:
        resources = {"cpus": options.cpus, "gpus": options.gpus}
        return run_sweep(sweep, only=options.only, address=options.address, **resources)
    return 0


def main(words: list[str] | None = None) -> None:
    """Runs the command line; `words` stands in for `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for what cannot be run, 1 if runs have failed, 2 for
            wrong options, 130 for Ctrl-C.
    """
    options = _arguments(words)
    try:
        with one_line_errors():
            failed = _act(options)
    except KeyboardInterrupt as stop:
        sys.stderr.write("stopped; the same command goes on from here\n")
        raise SystemExit(130) from stop
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
