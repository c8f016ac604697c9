"""Near infrared alone tells two classes apart: a training on four channels, and one on three."""

import json

import numpy as np
import pytest
from PIL import Image

from pspnet import Predictor
from pspnet.__main__ import main

rasterio = pytest.importorskip("rasterio")

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")
SIDE = 64
FOUR = [
    "--data.channels.names=[red,green,blue,nir]",
    *("--data.mean=[0.2,0.2,0.2,0.4]", "--data.std=[0.12,0.12,0.12,0.23]"),
]
THREE = [
    *("--data.channels.names=[red,green,blue]", "--data.channels.bands=[1,2,3]"),
    *("--data.mean=[0.2,0.2,0.2]", "--data.std=[0.12,0.12,0.12]"),
]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Write 32 images of 4 bands: noise, but for quarters that are bright in the fourth band."""
    root, draw = tmp_path_factory.mktemp("fields"), np.random.default_rng(0)
    profile = {"driver": "GTiff", "height": SIDE, "width": SIDE, "count": 4, "dtype": "uint16"}
    for split, count in (("train", 24), ("val", 8)):
        for kind in ("images", "masks"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            label = draw.integers(0, 2, (2, 2), np.uint8).repeat(SIDE // 2, 0).repeat(SIDE // 2, 1)
            bands = draw.integers(0, 4000, (4, SIDE, SIDE), np.uint16)
            bands[3] = np.where(label, 6000, 1500) + draw.integers(0, 500, label.shape)
            with rasterio.open(root / f"images/{split}/{number}.tif", "w", **profile) as file:
                file.write(bands)
            Image.fromarray(label).save(root / f"masks/{split}/{number}.png")
    (root / "classes.yaml").write_text("names: [soil, plants]\n")
    return root


def fit(root, logs, name, *words):
    """Train for 36 steps, and return the run's folder with its mIoU."""
    main(
        [
            *("fit", "--data.source=Folder", f"--data.source.root={root}", "--data.workers=0"),
            *("--data.channels.value_range=[0,10000]", "--data.crop_size=33"),
            *("--data.batch_size=8", "--data.augmentation.blur=0", *words),
            *("--model.network.encoder=tu-test_resnet", "--model.network.decoder_channels=16"),
            *("--model.network.auxiliary=false", "--model.protocol=whole"),
            *("--model.optimizer.lr=0.02", "--trainer.max_epochs=12", "--trainer.accelerator=cpu"),
            *("--wandb=off", f"--logs={logs}", f"--name={name}", "--version=v"),
        ]
    )
    run = logs / name / "v"
    return run, json.loads((run / "results.json").read_text())["miou"]


@pytest.mark.slow
def test_only_the_fourth_channel_tells_two_classes_apart(root, tmp_path):
    run, miou = fit(root, tmp_path, "four", *FOUR)
    assert miou > 0.85
    _, without = fit(root, tmp_path, "three", *THREE)
    assert without < 0.55
    checkpoint = run / "checkpoints/best.ckpt"
    main(
        [
            *("predict", f"--ckpt_path={checkpoint}", f"--data.images={root / 'images/val'}"),
            *("--output.forms=[index]", f"--output.folder={tmp_path / 'out'}", "--wandb=off"),
            *("--data.workers=0", "--trainer.accelerator=cpu", "--trainer.precision=32-true"),
        ]
    )
    predictor = Predictor.load(checkpoint, device="cpu", precision="32-true")
    for image in (root / "images/val").iterdir():
        index = np.array(Image.open(tmp_path / f"out/index/{image.stem}.png"))
        np.testing.assert_array_equal(predictor(image).label, index)
