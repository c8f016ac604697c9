"""The lines that W&B's agent makes of each sweep file parse, and train one step as the row says.

One line of each file; all of them, those of ResNet-152 too, take ten minutes and gigabytes:

pytest tests/ablation/test_agent.py -m slow
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
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from pspnet.cli import main

ROOT = Path(__file__).parents[3]
SWEEPS = {path.stem: path for path in sorted((ROOT / "configs" / "sweeps").glob("*.yaml"))}
PAPER = ("ade20k", "cityscapes", "voc")
DATA = ("scenes", "scenes18", "camvid", *PAPER)

# behind the agent's words; nothing that a row varies but, where it does not, the encoder
STEP = ("--trainer.max_steps=1", "--trainer.log_every_n_steps=1", "--model.warmup_steps=0")
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

Train = Callable[..., Path]


def rows(sweep: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The grid's values, as the server sends them: as JSON, the keys in order."""
    specs = dict(sorted(sweep["parameters"].items()))
    axes = [spec.get("values", [spec.get("value")]) for spec in specs.values()]
    chosen = (dict(zip(specs, values, strict=True)) for values in itertools.product(*axes))
    return [json.loads(json.dumps(values)) for values in chosen]


def agent_words(sweep: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    """What W&B's agent runs for a row, as `wandb.wandb_agent` puts it together."""
    parts = create_sweep_command_args({"args": {k: {"value": v} for k, v in row.items()}})
    parts |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]]}
    words: list[str] = []
    for word in create_sweep_command(list(sweep["command"])):
        macro = word.startswith("${") and word.endswith("}")
        words += parts[word[2:-1]] if macro else [word]
    return words


def make_pictures(root: Path, *, data: str) -> None:
    """Two noisy images a split, 40 × 56, of label values that all of these data sets know."""
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
def pictures(tmp_path_factory) -> Path:
    """The folder `data` of a checkout, in which the scenes are made by the first run of each."""
    folder = tmp_path_factory.mktemp("data")
    for data in FILES:
        make_pictures(folder / data, data=data)
    return folder


@pytest.fixture
def train(pictures, tmp_path, monkeypatch) -> Iterator[Train]:
    """Runs the agent's line for a row in a checkout's likeness, and gives the run's folder."""
    monkeypatch.chdir(tmp_path)
    Path("configs").symlink_to(ROOT / "configs")
    Path("data").symlink_to(pictures)

    def run(sweep: Mapping[str, Any], row: Mapping[str, Any], *, data: str) -> Path:
        monkeypatch.setenv("DATA", data)
        words = agent_words(sweep, row)
        assert words[:5] == ["/usr/bin/env", "python", "-m", "pspnet", "fit"]
        main([*words[4:], *STEP, *FEW, *QUIET, *smaller(sweep, data=data)])
        (config,) = tmp_path.glob("logs/**/config.yaml")
        return config.parent.relative_to(tmp_path)

    yield run
    shutil.rmtree(tmp_path / "logs", ignore_errors=True)  # checkpoints of hundreds of MB


def smaller(sweep: Mapping[str, Any], *, data: str) -> tuple[str, ...]:
    """Options that bring the data set's experiment down to a test's size."""
    if data not in PAPER:
        return () if data == "camvid" else SCENES
    varied = "encoder" in json.dumps(sweep["parameters"])
    return SMALL if varied else SMALL + NARROW


def holds(config: object, wanted: object) -> bool:
    """Whether a configuration has these values; a number may be written in another type."""
    if isinstance(wanted, dict) and isinstance(config, dict):
        config = config if "init_args" in wanted else config.get("init_args", config)
        return all(key in config and holds(config[key], value) for key, value in wanted.items())
    if isinstance(wanted, list) and isinstance(config, list):
        return len(config) == len(wanted) and all(map(holds, config, wanted))
    return config == wanted and isinstance(config, bool) == isinstance(wanted, bool)


def check_row(run: Path, row: Mapping[str, Any]) -> None:
    """Finds the row's values, and what one step with them leaves."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    for key, value in row.items():
        part: Any = config
        for name in () if key == "config" else key.split("."):
            part = part.get("init_args", part)[name]
        assert holds(part, value), f"{key}={value}: {part}"
    (point,) = [line for line in csv.DictReader((run / "metrics.csv").open()) if line["train/loss"]]
    model, network = config["model"], config["model"]["network"]
    expected = float(point.get("train/loss_main", point["train/loss"]))
    if network["auxiliary"]:
        expected += model["auxiliary_weight"] * float(point["train/loss_auxiliary"])
    assert math.isfinite(expected)
    assert float(point["train/loss"]) == pytest.approx(expected, rel=1e-5)
    results = json.loads((run / "results.json").read_text())
    assert 0 <= results["miou"] <= 1
    assert results["protocol"].startswith(model["protocol"])
    check_checkpoint(run / "checkpoints" / "last.ckpt", network=network)


def check_checkpoint(path: Path, *, network: Mapping[str, Any]) -> None:
    """One step, of every parameter, of the network that the configuration says."""
    checkpoint = torch.load(path)
    options = json.loads(json.dumps(checkpoint["hyper_parameters"]["network"]))
    assert options == {**network, "num_classes": options["num_classes"]}
    assert checkpoint["global_step"] == 1
    (optimizer,) = checkpoint["optimizer_states"]
    parameters = [index for group in optimizer["param_groups"] for index in group["params"]]
    assert sorted(optimizer["state"]) == parameters
    assert all(s["momentum_buffer"].isfinite().all() for s in optimizer["state"].values())
    weights = checkpoint["state_dict"].keys()
    assert any("network.auxiliary." in key for key in weights) == network["auxiliary"]
    levels = {key.split(".")[3] for key in weights if key.startswith("network.pyramid.levels.")}
    assert len(levels) == (len(network["bins"]) if network["reduce"] else 0)


# a row of each file, each on another data set; bins hold lists, table 2 a number, table 4 all kinds
CHOSEN = [
    ("bins", "2-4-8", 1, "camvid"),
    ("dilation", "stride8-half", 2, "scenes18"),
    ("table1", "B1236-MAX", 1, "ade20k"),
    ("table2", "0.3", 2, "voc"),
    ("table3", "50", 1, "cityscapes"),
    ("table3_narrow", "18", 2, "scenes"),
    ("table4", "plain", 1, "scenes"),
]


def read(name: str) -> dict[str, Any]:
    sweep: dict[str, Any] = yaml.safe_load(SWEEPS[name].read_text())
    return sweep


@pytest.mark.parametrize(("name", "setting", "seed", "data"), CHOSEN)
def test_a_line_of_each_file_trains_a_step(name, setting, seed, data, train):
    sweep = read(name)
    (row,) = [
        row
        for row in rows(sweep)
        if (row["config"]["name"], row["seed_everything"]) == (setting, seed)
    ]
    run = train(sweep, row, data=data)
    assert run == Path("logs", "ablation", name, data, setting, "version_0")
    check_row(run, row)


def test_a_line_of_each_file_is_tried():
    assert sorted(name for name, *_ in CHOSEN) == [*SWEEPS]


EVERY = [
    pytest.param(
        name, row, data, id=f"{name}-{row['config']['name']}-{row['seed_everything']}-{data}"
    )
    for name in SWEEPS
    for row, data in zip(rows(read(name)), itertools.cycle(DATA), strict=False)
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "row", "data"), EVERY)
def test_every_line_trains_a_step(name, row, data, train):
    """The rows of a file go round the data sets, so that each file meets each data set."""
    run = train(read(name), row, data=data)
    assert run == Path("logs", "ablation", name, data, row["config"]["name"], "version_0")
    check_row(run, row)


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
    command += ["--config=configs/experiment/ablation_${envvar:DATA}.yaml", "${args}"]
    parameters = {key: {"value": value} for key, value in values.items()}
    sweep = {"program": "pspnet", "command": command, "parameters": parameters}
    (row,) = rows(sweep)
    run = train(sweep, row, data="camvid")
    assert run == Path("logs", "6", "version_0")
    check_row(run, values)
    results = json.loads((run / "results.json").read_text())
    assert results["protocol"] == "whole, mirror=True, average=softmax"
