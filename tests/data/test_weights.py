"""Weights of pixels, from the files of a folder to the scores of an evaluation."""

import json
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from layouts import put_image, put_label, put_text
from PIL import Image

from pspnet import PSPNet
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.folder import Folder
from pspnet.data.image_io import read_image
from pspnet.data.weights import read_weights
from pspnet.errors import UserError
from pspnet.evaluation.calibration import Calibration
from pspnet.evaluation.image_scores import ImageScores
from pspnet.inference.class_scores import predict
from pspnet.task import Segmentation
from pspnet.tools.score import main as score

SIZE = (40, 48)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three images to train and two to validate on, each with weights of 16 bits."""
    random = np.random.default_rng(0)
    put_text(tmp_path / "classes.yaml", "names: [ground, cat, dog]")
    for number in range(5):
        name = f"{'val' if number > 2 else 'train'}/{number}"
        put_image(tmp_path / f"images/{name}.png", size=SIZE)
        put_label(tmp_path / f"masks/{name}.png", random.choice([0, 1, 2, 255], SIZE), size=SIZE)
        weights = random.integers(0, 1000, SIZE, dtype=np.uint16)
        weights[:8] = 0
        (tmp_path / f"weights/{name}").parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(weights).save(tmp_path / f"weights/{name}.png")
    return tmp_path


def weighted_iou(pairs) -> list[float]:
    """TP / (TP + FP + FN) of each class, pixel by pixel."""
    counts = np.zeros((3, 3))
    for prediction, target, weight in pairs:
        for p, t, w in zip(prediction.ravel(), target.ravel(), weight.ravel(), strict=True):
            if t != 255:
                counts[t, p] += int(w)
    return [counts[c, c] / (counts[c].sum() + counts[:, c].sum() - counts[c, c]) for c in range(3)]


def test_an_evaluation_counts_pixels_by_their_weights(root, tmp_path):
    torch.manual_seed(0)
    task = Segmentation(PSPNet(3, "tu-regnetx_002", decoder_channels=16), Folder(root).classes)
    task.image_scores, task.calibration = ImageScores(3), Calibration(3)
    data = SegmentationData(Folder(root), crop_size=33, workers=0, batch_size=1)
    trainer = lightning.Trainer(logger=False, enable_progress_bar=False, accelerator="cpu")
    trainer.validate(task, data, verbose=False)
    data.setup("fit")
    assert "weight" not in data.train_set[0]

    pairs = []
    for number in (3, 4):
        image = torch.from_numpy(read_image(root / f"images/val/{number}.png")).permute(2, 0, 1)
        batch = {"image": image[None], "label": torch.zeros(1, *SIZE, dtype=torch.uint8)}
        batch = data.on_after_batch_transfer(batch, 0)
        with torch.no_grad():
            label, _ = predict(task.network.eval(), batch["image"], task.protocol)
        prediction = label[0].numpy().astype(np.uint8)
        path = root / f"predictions/val/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(prediction).save(path)
        files = (root / f"{part}/val/{number}.png" for part in ("masks", "weights"))
        pairs.append((prediction, *(np.asarray(Image.open(file)) for file in files)))
    expected = weighted_iou(pairs)
    assert [*task.scores()["iou"].values()] == pytest.approx(expected)
    for row, (prediction, target, weight) in zip(task.by_image.rows, pairs, strict=True):
        counted = (target != 255) & (weight > 0)
        assert row.accuracy == pytest.approx((prediction == target)[counted].mean())
    left = sorted(int(((target != 255) & (weight > 0)).sum()) for _, target, weight in pairs)
    assert sorted(task.calibrated.pixels) == left

    folders = [str(root / part) for part in ("predictions/val", "masks/val")]
    rules = [f"--classes={root / 'classes.yaml'}", f"--weights={root / 'weights/val'}"]
    score([*folders, *rules, f"--json={tmp_path / 'scores.json'}"])
    scored = json.loads((tmp_path / "scores.json").read_text())
    assert [*scored["iou"].values()] == pytest.approx(expected)


def test_every_image_needs_its_weights(root):
    (root / "weights/val/3.png").unlink()
    source = Folder(root)
    sample = source.samples("val")[0]
    with pytest.raises(UserError, match=r"val/3\.png is missing: expected the weights"):
        source.read_weight(sample, SIZE)
    for path in (root / "weights").rglob("*.png"):
        path.rename(path.with_suffix(".pth"))  # a network's
    assert Folder(root).read_weight(sample, SIZE) is None


@pytest.mark.parametrize(
    ("pixels", "line"),
    [
        (np.zeros((4, 5), np.uint8), "is 5×4 pixels, its label 48×40"),
        (np.zeros((*SIZE, 3), np.uint8), "is in color"),
        (np.full(SIZE, -1, np.float32), "negative or infinite"),
        (np.full(SIZE, np.nan, np.float32), "negative or infinite"),
    ],
)
def test_other_weights_are_refused(tmp_path, pixels, line):
    Image.fromarray(pixels).save(tmp_path / "a.tif")
    with pytest.raises(UserError, match=line):
        read_weights(tmp_path / "a.tif", SIZE)


def test_weights_of_floating_point(tmp_path):
    weights = np.random.default_rng(0).random(SIZE, np.float32)
    Image.fromarray(weights).save(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_weights(tmp_path / "a.tif", SIZE), weights)
