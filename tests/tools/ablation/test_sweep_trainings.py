"""Rows of every sweep file train one step, and leave what the row says.

Here one row per file. All rows, those of ResNet-152 too, take ten minutes and gigabytes:

pytest tests/tools/ablation/test_sweep_trainings.py -m slow
"""

import csv
import itertools
import json
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from saved_config import check_values

from pspnet.cli import main
from pspnet.tools.ablation.sweep import Run, grid, load_sweep

ROOT = Path(__file__).parents[3]
PAPER = ("ade20k", "cityscapes", "voc")
DATA = ("scenes", "scenes18", "camvid", *PAPER)
# other files, such as those of a user's own data, are parsed by test_sweep.py alone
SWEEPS = {
    path: content
    for path in sorted((ROOT / "configs" / "sweeps").glob("*.yaml"))
    if (content := yaml.safe_load(path.read_text()))["method"] == "grid"
    and "experiment/ablation_${envvar:DATA}" in str(content.get("command"))
}

# after the words of the sweep; nothing that a row varies except, for the other rows, the encoder
STEP = ("--trainer.max_steps=1", "--trainer.log_every_n_steps=1")
FEW = ("--data.batch_size=2", "--data.workers=0")
QUIET = ("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--wandb=off")
SCENES = tuple(f"--data.source.init_args.{split}=2" for split in ("train", "val", "test"))
SMALL = ("--data.crop_size=65", "--model.network.decoder_channels=64")
SMALL += ("--model.network.encoder_weights=null", "--model.inference.base_size=0")
NARROW = ("--model.network.encoder=tu-resnet10n",)

FILES = {  # of an image and of its labels
    "ade20k": ("images/{folder}/{name}.jpg", "annotations/{folder}/{name}.png"),
    "camvid": ("{split}/{name}.png", "{split}annot/{name}.png"),
    "cityscapes": (
        "leftImg8bit/{split}/ulm/{name}_leftImg8bit.png",
        "gtFine/{split}/ulm/{name}_gtFine_labelIds.png",
    ),
    "voc": ("JPEGImages/{name}.jpg", "SegmentationClass/{name}.png"),
}
FOLDERS = {"train": "training", "val": "validation"}  # of ADE20K
LISTS = {"train.txt": "train", "val.txt": "val"}
VOC_LISTS = {"train.txt": "train", "train_aug.txt": "train", "val.txt": "val"}

Train = Callable[..., None]


def write_images(root: Path, *, data: str) -> None:
    """Write two noisy 40 × 56 images per split, with label values that all these data sets know."""
    generator = np.random.default_rng(0)
    names = {split: [f"{split}_{number}_0" for number in (0, 1)] for split in FOLDERS}
    for split, folder in FOLDERS.items():
        for name in names[split]:
            values = np.repeat(generator.choice([7, 8, 11], (40, 7)), 8, axis=1)
            pixels = generator.integers(0, 256, (40, 56, 3))
            for part, content in zip(FILES[data], (pixels, values), strict=True):
                path = root / part.format(split=split, folder=folder, name=name)
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(content.astype(np.uint8)).save(path)
    if data == "camvid":
        write_lists(root, {listed: names[split] for listed, split in LISTS.items()})
    if data == "voc":
        lists = {listed: names[split] for listed, split in VOC_LISTS.items()}
        write_lists(root / "ImageSets" / "Segmentation", lists)


def write_lists(folder: Path, lists: Mapping[str, list[str]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for listed, names in lists.items():
        (folder / listed).write_text("".join(f"{name}\n" for name in names))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """A folder `data` with tiny copies of the data sets; the first run on scenes adds those."""
    folder = tmp_path_factory.mktemp("data")
    for data in FILES:
        write_images(folder / data, data=data)
    return folder


@pytest.fixture
def train(images, tmp_path, monkeypatch) -> Iterator[Train]:
    """Train one step of a run in a folder with the configurations and tiny data."""
    monkeypatch.chdir(tmp_path)
    Path("configs").symlink_to(ROOT / "configs")
    Path("data").symlink_to(images)

    def run(run: Run, *options: str) -> None:
        words = [*run.command[3:], *STEP, *FEW, *QUIET, *options]
        try:
            main(words)
        except SystemExit as end:
            pytest.fail(f"{run} ended with code {end.code}: {words}", pytrace=False)

    yield run
    shutil.rmtree(tmp_path / "logs", ignore_errors=True)  # checkpoints of hundreds of MB


def without_warmup(data: str) -> list[str]:
    """Return options that set every `warmup_steps` of the data set's experiment to 0."""

    def paths(config: object, path: str) -> Iterator[str]:
        for key, value in config.items() if isinstance(config, dict) else ():
            if key == "warmup_steps":
                yield f"{path}{key}"
            yield from paths(value, f"{path}{key}.")

    content = Path(f"configs/experiment/ablation_{data}.yaml").read_text()
    return [f"--{path}=0" for path in paths(yaml.safe_load(content), "")]


def smaller(sweep: Mapping[str, Any], *, data: str) -> tuple[str, ...]:
    """Return options that bring the data set's experiment down to a test's size."""
    if data not in PAPER:
        return () if data == "camvid" else SCENES
    varied = "encoder" in json.dumps(sweep["parameters"])
    return SMALL if varied else SMALL + NARROW


def check_row(folder: Path, row: Mapping[str, Any]) -> None:
    """Find the row's values, and the loss, scores and checkpoint of one step with them."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    check_values(config, row)
    rows = csv.DictReader((folder / "metrics.csv").open())
    (point,) = [line for line in rows if line["train/loss"]]
    model, network = config["model"], config["model"]["network"]["init_args"]
    expected = float(point.get("train/loss_main", point["train/loss"]))
    if network["auxiliary"]:
        expected += model["auxiliary_weight"] * float(point["train/loss_auxiliary"])
    assert math.isfinite(expected)
    assert float(point["train/loss"]) == pytest.approx(expected, rel=1e-5)
    results = json.loads((folder / "results.json").read_text())
    assert 0 <= results["miou"] <= 1
    assert results["protocol"].startswith(model["protocol"])
    check_checkpoint(folder / "checkpoints" / "last.ckpt", network=network)


def check_checkpoint(path: Path, *, network: Mapping[str, Any]) -> None:
    """One step changed every parameter of the network that the configuration names."""
    checkpoint = torch.load(path)
    options = json.loads(json.dumps(checkpoint["hyper_parameters"]["network"]))
    assert options == {**network, "num_classes": options["num_classes"], "in_channels": 3}
    assert checkpoint["global_step"] == 1
    (optimizer,) = checkpoint["optimizer_states"]
    parameters = [index for group in optimizer["param_groups"] for index in group["params"]]
    assert sorted(optimizer["state"]) == parameters
    assert all(s["momentum_buffer"].isfinite().all() for s in optimizer["state"].values())
    weights = checkpoint["state_dict"].keys()
    assert any("network.auxiliary." in key for key in weights) == network["auxiliary"]


def one_row(sweep: Mapping[str, Any]) -> int:
    """Return the last row's number, or the first where rows differ in their encoders."""
    return 0 if "encoder" in json.dumps(sweep["parameters"]) else -1


def train_row(train: Train, path: Path, number: int, *, data: str) -> None:
    sweep = SWEEPS[path]
    run, row = load_sweep(str(path), data=data).runs[number], grid(sweep["parameters"])[number]
    train(run, *without_warmup(data), *smaller(sweep, data=data))
    check_row(run.folder, row)


QUICK = ("table1", "dilation")
FILE_AND_DATA = [*zip(SWEEPS, itertools.cycle(DATA), strict=False)]


@pytest.mark.parametrize(
    ("path", "data"),
    [
        pytest.param(path, data, marks=() if path.stem in QUICK else pytest.mark.slow, id=path.stem)
        for path, data in FILE_AND_DATA
    ],
)
def test_a_row_of_each_file_trains_a_step(path, data, train):
    train_row(train, path, one_row(SWEEPS[path]), data=data)


EVERY = [
    pytest.param(path, number, data, id=f"{path.stem}-{number}-{data}")
    for path, sweep in SWEEPS.items()
    for number, data in zip(range(len(grid(sweep["parameters"]))), itertools.cycle(DATA))
]


@pytest.mark.slow
@pytest.mark.parametrize(("path", "number", "data"), EVERY)
def test_every_row_trains_a_step(path, number, data, train):
    """The rows of a file go round the data sets, so that each file meets each data set."""
    train_row(train, path, number, data=data)


def test_options_one_by_one_null_among_them_train_a_step(train):
    """`${program}`, and values that the files have in `config` alone or not at all."""
    values = {
        "name": "6",
        "data.augmentation.scale": [0.5, 1],
        "data.images": None,
        "model.auxiliary_weight": 0,
        "model.inference": {"mirror": True, "scales": None, "average": "softmax"},
        "model.loss": None,
        "model.network.align_corners": False,
        "model.network.bins": [3, 1],
        "model.network.encoder_weights": None,
        "model.network.reduce": False,
        "output.overwrite": True,
        "seed_everything": 3,
        "trainer.check_val_every_n_epoch": None,  # in place of the file's 12
        "trainer.val_check_interval": 1,
    }
    command = ["${env}", "${interpreter}", "-m", "${program}", "fit", "--config=configs/base.yaml"]
    command += ["--config=configs/experiment/ablation_${envvar:DATA}.yaml"]
    command += ["--logs=logs/own/${envvar:DATA}", "${args}"]
    parameters = {key: {"value": value} for key, value in values.items()}
    sweep = {"program": "pspnet", "method": "grid", "command": command, "parameters": parameters}
    Path("own.yaml").write_text(yaml.safe_dump(sweep))
    (run,) = load_sweep("own.yaml", data="camvid").runs
    train(run, *without_warmup("camvid"))
    assert run.folder == Path("logs", "own", "camvid", "6", "seed_3")
    check_row(run.folder, values)
    results = json.loads((run.folder / "results.json").read_text())
    assert results["protocol"] == "whole, mirror=True, average=softmax"
