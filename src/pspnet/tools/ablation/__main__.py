"""Sweeps of settings and seeds, defined by W&B's sweep files, run on this machine or a cluster.

    python -m pspnet ablation list   NAME|FILE [--data scenes] [--seeds N]
    python -m pspnet ablation run    NAME|FILE [--data scenes] [--only SETTING …] [--stop-early]
                                     [--cpus N] [--gpus FRACTION] [--address HOST:PORT]
    python -m pspnet ablation plan   NAME|FILE [--data scenes] [--difference POINTS] [--power P]
    python -m pspnet ablation report NAME|FILE [--data scenes]

NAME is a file of configs/sweeps; all take --data and --seeds. `run` skips finished runs and resumes
interrupted ones.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path

from pspnet.errors import Parser, UserError, one_line_errors
from pspnet.files.writing import optional
from pspnet.tools.ablation.list_runs import estimate, list_runs
from pspnet.tools.ablation.run_files import (
    read_run,
    resumable_checkpoint,
    write_failure,
)
from pspnet.tools.ablation.run_trials import run_trials
from pspnet.tools.ablation.sweep import Run, Sweep, load_sweep

MOST = 4096  # cores or GPUs of a run, seeds of a sweep


class Progress:
    """Printed progress of the runs, and what is left to do when one ends."""

    def __init__(self, runs: Sequence[Run]) -> None:
        self.total = len(runs)
        self.failed = 0
        self._ended = sum(read_run(run.folder).state == "finished" for run in runs)

    def start(self, run: Run) -> None:
        how = "resumes" if resumable_checkpoint(run.folder) else "starts"
        print(f"{run} {how}", flush=True)

    def wait(self, run: Run) -> None:
        print(f"{run} is under way in another process; its results are awaited", flush=True)

    def end(self, run: Run, *, seconds: float, reason: str) -> None:
        self._ended += 1
        if reason:
            self.failed += 1
            with optional("failed.json"):
                write_failure(run.folder, reason)
            said = f"failed, {seconds:.0f} s: {reason} ({run.folder}/run.log)"
        else:
            results = read_run(run.folder).results
            miou = None if results is None else results.miou
            said = "no mIoU" if miou is None else f"mIoU {100 * miou:.2f} %"
            said = f"{said}, {seconds:.0f} s"
        print(f"{run}: {said} ({self._ended} of {self.total})", flush=True)


def run_sweep(
    sweep: Sweep,
    *,
    only: Sequence[str] = (),
    address: str | None = None,
    cpus: float | None = None,
    gpus: float | None = None,
    stop_early: bool = False,
) -> int:
    """Run what is not finished, write the report, and return how many runs have failed.

    The runs go seed by seed, so that all settings of a sweep that is cut short have as many.

    Args:
        sweep: the sweep to run.
        only: names of settings; without any, all settings run.
        address: HOST:PORT of a Ray cluster; None is this machine.
        cpus: cores per run.
        gpus: GPUs per run, or a fraction of one.
        stop_early: give no more seeds to a setting that is told from the first one, see
            `sequential`.

    Raises:
        UserError: if a setting is unknown, no machine has enough for a run, or the sweep is too
            small to stop early.
    """
    unknown = [setting for setting in only if setting not in sweep.settings]
    if unknown:
        raise UserError(f"only={unknown[0]}: give some of {', '.join(sweep.settings)}")
    runs = [run for run in sweep.runs if not only or run.setting in only]
    left = [run for run in runs if read_run(run.folder).state != "finished"]
    seeds = list(dict.fromkeys(run.seed for run in sweep.runs))
    left.sort(key=lambda run: seeds.index(run.seed))
    progress = Progress(runs)
    wanted: Callable[[Run], bool] = _everything
    if stop_early:
        from pspnet.tools.ablation.statistics.sequential import Stopping

        stopping = Stopping(sweep)
        stopping.write()
        wanted = stopping.wants
    if left:
        counts = f"{len(left)} of {len(runs)} runs to do"
        print(f"{sweep.name} on {sweep.data}: {counts}; cost: {estimate(runs)}", flush=True)
        run_trials(left, progress, address=address, cpus=cpus, gpus=gpus, wanted=wanted)
    finished = sum(read_run(run.folder).state == "finished" for run in runs)
    spared = len(runs) - finished - progress.failed
    decided = f", {spared} not needed" if spared else ""
    print(f"{report(sweep)} ({finished} of {len(runs)} runs finished{decided})")
    return progress.failed


def _everything(_: Run) -> bool:
    return True


def report(sweep: Sweep) -> Path:
    """Write the report of what is on disk."""
    from pspnet.tools.ablation.report import write_report

    seeds = sorted({run.seed for run in sweep.runs})
    return write_report(sweep.folder, rows=sweep.settings, seeds=seeds)


def main(words: list[str] | None = None) -> None:
    """Run the command line; the words default to the command line's.

    Raises:
        SystemExit: with code 1 and one line for a UserError, 1 if runs have failed, 2 for wrong
            options, 130 after Ctrl-C.
    """
    options = _arguments(words)
    failed = 0
    try:
        with one_line_errors():
            sweep = load_sweep(options.sweep, data=options.data, seeds=options.seeds)
            if options.action in ("run", "report"):  # before hours of runs
                _check_installed()
            if options.action == "list":
                print(list_runs(sweep))
            elif options.action == "report":
                print(report(sweep))
            elif options.action == "plan":
                from pspnet.tools.ablation.statistics.plan import plan

                print(plan(sweep, difference=options.difference, wanted=options.power))
            else:
                resources = {"cpus": options.cpus, "gpus": options.gpus}
                how = {"only": options.only, "stop_early": options.stop_early}
                failed = run_sweep(sweep, address=options.address, **how, **resources)
    except KeyboardInterrupt as stop:
        sys.stderr.write("stopped; the same command continues\n")
        raise SystemExit(130) from stop
    if failed:
        raise SystemExit(1)


def _check_installed() -> None:
    if find_spec("pandas") is None:
        raise UserError("pandas is not installed, for the report: pip install 'pspnet[ablation]'")


def _arguments(words: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="pspnet ablation",
        description="Run and report sweeps of settings and seeds, defined by W&B's sweep files.",
    )
    actions = parser.add_subparsers(dest="action", required=True)
    for action, says in (
        ("list", "print the runs, the command of each, and what is left to do"),
        ("run", "run what is not finished, and write the report"),
        ("report", "write the report of what is on disk"),
        ("plan", "print the seeds and hours that a difference needs, from the runs on disk"),
    ):
        add = actions.add_parser(action, help=says, description=says)
        add.add_argument("sweep", metavar="NAME|FILE", help="a name in configs/sweeps, or a file")
        add.add_argument(
            "--data",
            default=os.environ.get("DATA", "scenes"),
            help="the NAME of configs/experiment/ablation_NAME.yaml (default: %(default)s)",
        )
        add.add_argument(
            "--seeds", type=_count, metavar="N", help="seeds 0 to N - 1 (default: the file's)"
        )
    running = actions.choices["run"].add_argument
    running("--only", nargs="+", default=(), metavar="SETTING", help="only these settings")
    running(
        "--stop-early",
        action="store_true",
        help="give no more seeds to a setting that is told from the first one",
    )
    running("--cpus", type=_amount, help="cores per run (default: 1; with GPUs, its share)")
    running("--gpus", type=_amount, help="GPUs per run, 0.5 for two on one (default: 1, if any)")
    running("--address", help="HOST:PORT of a Ray cluster (default: this machine)")
    planning = actions.choices["plan"].add_argument
    planning(
        "--difference",
        type=_between(0, 100),
        default=1.0,
        help="of mIoU, in points (default: %(default)s)",
    )
    planning(
        "--power",
        type=_between(0, 1),
        default=0.8,
        help="chance of finding it (default: %(default)s)",
    )
    return parser.parse_args(words)


def _count(word: str) -> int:
    if not 1 <= int(word) <= MOST:
        raise argparse.ArgumentTypeError(f"{word}: give 1 to {MOST}")
    return int(word)


def _between(low: float, high: float) -> Callable[[str], float]:
    def amount(word: str) -> float:
        if not low < float(word) < high:
            raise argparse.ArgumentTypeError(f"{word}: give more than {low} and less than {high}")
        return float(word)

    return amount


def _amount(word: str) -> float:
    amount = float(word)
    if not 0 <= amount <= MOST or (amount > 1 and amount % 1):
        raise ValueError
    return amount


if __name__ == "__main__":
    main()
