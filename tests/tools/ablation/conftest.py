"""A sweep whose command is a script that takes a fit's options and follows a plan."""

import json
from pathlib import Path

import pytest
import yaml
from own_sweep import OWN

from pspnet.tools.ablation.sweep import Sweep, load_sweep

# each start follows and removes the first plan left for its run; without a plan it writes a
# checkpoint and its results
FIT = """
import argparse, csv, json, os, sys, time, zipfile
from pathlib import Path

parser = argparse.ArgumentParser(allow_abbrev=False)
for name in ("--config", "--logs", "--name", "--version", "--ckpt_path", "--seed_everything"):
    parser.add_argument(name)
options = parser.parse_args()
setting = options.name or json.loads(options.config.replace("'", '"'))["name"]
folder = Path(options.logs) / setting / options.version
folder.mkdir(parents=True, exist_ok=True)
if (folder / "config.yaml").exists() and not options.ckpt_path:
    sys.exit("error: the folder holds a run")
log, kept = folder / "metrics.csv", len([*folder.glob("metrics.before_*.csv")])
if log.exists():
    log.rename(folder / f"metrics.before_{kept + 1}.csv")
(folder / "config.yaml").write_text("")
(folder / "checkpoints").mkdir(exist_ok=True)
checkpoint = folder / "checkpoints" / "last.ckpt"
step = int(zipfile.ZipFile(options.ckpt_path).read("step")) if options.ckpt_path else 0
plans = Path(__file__).parent / "plans" / setting / options.version
plan = sorted(plans.glob("*"))[0] if any(plans.glob("*")) else None
words = plan.read_text().split() if plan else ["epoch", "results"]
if plan:
    plan.unlink()
start, rows = time.time(), []
for word in words:
    if word == "epoch":
        rows += [{"step": step, "train/loss": f"{step}", "begun": f"{start}"}]
        rows += [{"step": step + 9, "train/loss": f"{step + 9}", "begun": f"{start}"}]
        step += 10
        with zipfile.ZipFile(checkpoint, "w") as file:
            file.writestr("step", f"{step}")
    elif word == "torn":  # in the middle of a copy
        checkpoint.write_bytes(checkpoint.read_bytes()[:-9])
    elif word == "beyond":  # the checkpoint
        rows += [{"step": step, "train/loss": "lost", "begun": f"{start}"}]
    elif word == "hang":
        (folder / "hangs").write_text(f"{os.getpid()}")
        time.sleep(60)
    elif word == "hold":
        (folder / "hangs").write_text(f"{os.getpid()}")
        while not (folder / "go").exists():
            time.sleep(0.05)
    elif word == "results":
        scores = {"miou": step / 100, "pixel_accuracy": 0.5, "iou": {"road": step / 100}}
        about = {"split": "val", "protocol": "whole", "groups": {}, "inference": {}}
        (folder / "results.json").write_text(json.dumps({**about, **scores}))
        about = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")}
        times = {"seconds": 90.0, "start": start, "end": time.time()}
        (folder / "costs.json").write_text(json.dumps({**times, **about, "resumed": step - 10}))
    elif word == "half":
        (folder / "results.json").write_text('{"miou"')
    elif word == "well":
        pass
    elif word == "wait":
        time.sleep(1)
    else:
        print(word.replace("_", " "))
    with (folder / "metrics.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["begun", "step", "train/loss"])
        writer.writeheader()
        writer.writerows(rows)
sys.exit(not {"results", "well"} & {*words})
"""


class Fits:
    """A sweep and the plans of its runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "fit.py").write_text(FIT)
        self.file = self.write(["a", "b"], seeds=[0])

    def write(self, settings: list[str], *, seeds: list[int]) -> Path:
        path = self.folder / "small.yaml"
        words = ["${interpreter}", "-S", str(self.folder / "fit.py")]
        words += [f"--logs={self.folder}/logs/ablation/small/${{envvar:DATA}}", "${args}"]
        parameters = {
            "config": {"values": [{"name": setting} for setting in settings]},
            "seed_everything": {"values": seeds},
        }
        sweep = {"name": "small", "method": "grid", "command": words, "parameters": parameters}
        path.write_text(json.dumps(sweep))  # which is YAML
        return path

    def plan(self, setting: str, *plans: str, seed: int = 0) -> None:
        folder = self.folder / "plans" / setting / f"seed_{seed}"
        folder.mkdir(parents=True, exist_ok=True)
        for number, plan in enumerate(plans):
            (folder / f"{number}").write_text(plan)

    @property
    def sweep(self) -> Sweep:
        return load_sweep(str(self.file), data="toys")

    def run(self, setting: str, *, seed: int = 0) -> Path:
        """Return the folder of a run."""
        return self.folder / "logs" / "ablation" / "small" / "toys" / setting / f"seed_{seed}"


@pytest.fixture
def fits(tmp_path: Path) -> Fits:
    """Two settings, a and b, with one seed."""
    return Fits(tmp_path)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Write own.yaml, a small sweep with changes, and read it with data=toys."""
    monkeypatch.chdir(tmp_path)
    for name in ("base", "of_toys", "of_games"):
        Path(f"{name}.yaml").write_text("{}")

    def read(*, data: str = "toys", **changes: object) -> Sweep:
        content = {k: v for k, v in {**OWN, **changes}.items() if v is not None}
        Path("own.yaml").write_text(yaml.safe_dump(content))
        return load_sweep("own.yaml", data=data)

    return read
