"""Early stopping of a sweep: comparisons that are decided after few seeds get no more of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy.stats import t as student

from pspnet.errors import UserError
from pspnet.files.writing import write_atomic
from pspnet.tools.ablation.run_files import read_run
from pspnet.tools.ablation.statistics.paired import LEVEL, Scores, paired_difference
from pspnet.tools.ablation.sweep import Run, Sweep

FIRST_LOOK = 3  # pairs
SIMULATED = 200_000  # sweeps without any difference
AT_ONCE = 5_000  # of them, which bounds the memory
FILE = "sequential.json"


@lru_cache
def nominal_level(seeds: int) -> float:
    """Return the level of each look such that all looks together err in 5 of 100 cases.

    A look is a paired t test of the first 3, 4, … and all seeds. All looks have one level, as
    Pocock's (1977, Biometrika 64) have; it is found by simulation, as the t statistics of few
    seeds are far from normal. Their distribution without a difference depends on nothing else.

    Args:
        seeds: the number that a setting has at most.
    """
    looks = np.arange(FIRST_LOOK, seeds + 1)
    if len(looks) < 2:
        return LEVEL
    generator, smallest = np.random.default_rng(0), []
    for _ in range(0, SIMULATED, AT_ONCE):
        draws = generator.standard_normal((AT_ONCE, seeds))
        total, squares = (x.cumsum(1)[:, looks - 1] for x in (draws, draws**2))
        variance = (squares - total**2 / looks) / (looks - 1)
        t = np.abs(total) / np.sqrt(variance * looks)
        smallest.append((2 * student.sf(t, looks - 1)).min(1))
    return float(np.quantile(smallest, LEVEL))


def decided(values: Scores, reference: Scores, *, seeds: Sequence[int]) -> bool:
    """Return whether a look has told a setting from the reference.

    Args:
        values: the setting's scores by seed.
        reference: those of the setting that it is compared with.
        seeds: all seeds in the order of their runs; a look takes the first of them.
    """
    level = nominal_level(len(seeds))
    for count in range(FIRST_LOOK, len(seeds) + 1):
        first = seeds[:count]
        if not all(seed in values and seed in reference for seed in first):
            return False
        found = paired_difference({s: values[s] for s in first}, reference, level=level)
        if found is not None and found.significant:
            return True
    return False


class Stopping:
    """The rule of a sweep that stops early: which of its runs are still wanted.

    Args:
        sweep: its first setting is the one that others are compared with.

    Raises:
        UserError: if it has one setting, or no more seeds than the first look takes.
    """

    def __init__(self, sweep: Sweep) -> None:
        self.folder, self.settings = sweep.folder, sweep.settings
        self.seeds = list(dict.fromkeys(run.seed for run in sweep.runs))
        self.runs = {(run.setting, run.seed): run for run in sweep.runs}
        if len(self.settings) < 2 or len(self.seeds) <= FIRST_LOOK:
            raise UserError(
                f"stop-early: {len(self.settings)} settings of {len(self.seeds)} seeds; it needs 2"
                f" settings and {FIRST_LOOK + 1} seeds, or leave it out"
            )

    def wants(self, run: Run) -> bool:
        """Return whether a run can still change a decision; the reference's can as long as any."""
        first, *others = self.settings
        compared = others if run.setting == first else [run.setting]
        reference = self._scores(first)
        return not all(
            decided(self._scores(name), reference, seeds=self.seeds) for name in compared
        )

    def write(self) -> None:
        """Leave the level for reports, whose intervals then hold at every look."""
        content = {"level": nominal_level(len(self.seeds)), "seeds": self.seeds}
        self.folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self.folder / FILE, f"{json.dumps(content)}\n".encode())

    def _scores(self, setting: str) -> Scores:
        runs = {seed: self.runs.get((setting, seed)) for seed in self.seeds}
        found = {seed: read_run(run.folder).results for seed, run in runs.items() if run}
        return {s: r.miou for s, r in found.items() if r is not None and r.miou is not None}


def reported_level(folder: Path) -> float:
    """Return the level of a report's intervals: that of each look if the sweep stops early."""
    path = folder / FILE
    if not path.is_file():
        return LEVEL
    try:
        content: Mapping[str, object] = json.loads(path.read_bytes())
        level = float(str(content["level"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} cannot be read ({error}); remove it") from error
    return level
