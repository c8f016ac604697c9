"""Each form of a prediction holds all of it, as the tools that read the form see it."""

import io
import json

import numpy as np
import pytest
from PIL import Image
from trained import CLASSES

from pspnet.data import COCO, LabelMe, Sample
from pspnet.prediction.forms import FORMS, Options, regions
from pspnet.prediction.prediction import Prediction

EXACT = Options(tolerance=0.0)


def blotches(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Regions with holes, single pixels and corners that touch, (H, W) of 0 to 2."""
    random = np.random.default_rng(seed)
    label = random.integers(0, 3, (height // 4 + 1, width // 4 + 1)).repeat(4, 0).repeat(4, 1)
    label = label[:height, :width].astype(np.uint8)
    label[random.random(label.shape) < 0.03] = 1
    label[2:9, 3:12], label[4:7, 5:9], label[5, 6] = 0, 2, 1  # a hole in a hole
    return label


@pytest.fixture
def prediction():
    label = blotches(37, 53)
    random = np.random.default_rng(1)
    scores = random.random((3, 37, 53)).astype(np.float32)
    return Prediction(
        label,
        random.random((37, 53)).astype(np.float32),
        random.integers(0, 256, (37, 53, 3), np.uint8),
        CLASSES,
        name="street",
        file="street.png",
        _compute=lambda: scores,
    )


def test_confidence_in_16_bits(prediction):
    read = np.asarray(Image.open(io.BytesIO(FORMS["confidence"].encode(prediction, EXACT))))
    assert read.dtype == np.uint16
    np.testing.assert_allclose(read / 65535, prediction.confidence, atol=0.5 / 65535 + 1e-7)


def test_probabilities_in_16_bits(prediction):
    read = np.load(io.BytesIO(FORMS["probabilities"].encode(prediction, EXACT)))
    np.testing.assert_array_equal(read["probabilities"], prediction.scores().astype(np.float16))
    assert tuple(read["classes"]) == CLASSES.names


def test_geojson_is_the_label(prediction):
    features = pytest.importorskip("rasterio.features")
    content = json.loads(FORMS["geojson"].encode(prediction, EXACT))
    shapes = [(each["geometry"], each["properties"]["class_id"]) for each in content["features"]]
    drawn = features.rasterize(shapes, prediction.label.shape, fill=255, dtype="uint8")
    np.testing.assert_array_equal(drawn, prediction.label)
    assert {each["properties"]["class"] for each in content["features"]} == {*CLASSES.names}


@pytest.mark.parametrize(("form", "source"), [("coco", COCO), ("labelme", LabelMe)])
def test_annotations_are_the_label(prediction, form, source, tmp_path):
    content = FORMS[form].encode(prediction, EXACT)
    image = {"coco": "train/street.png", "labelme": "street.png"}[form]
    notes = {"coco": "train/_annotations.coco.json", "labelme": "street.json"}[form]
    for path in (image, notes):
        (tmp_path / path).parent.mkdir(exist_ok=True)
    Image.fromarray(prediction.image).save(tmp_path / image)
    (tmp_path / notes).write_bytes(content)
    data = source(str(tmp_path))
    (entry,) = data.entries()
    names = np.array(data.classes.names)
    sample = Sample(entry.name, tmp_path / image, tmp_path / notes)
    read = names[data.read_label(sample)]
    np.testing.assert_array_equal(read, np.array(CLASSES.names)[prediction.label])


def test_tolerance_makes_fewer_corners_near_the_border():
    pytest.importorskip("rasterio")
    rows, columns = np.mgrid[:60, :60]
    label = ((rows - 30) ** 2 + (columns - 30) ** 2 < 400).astype(np.uint8)
    (_, exact), (_, simple) = (
        [region.outer for region in regions(label, tolerance=tolerance)] for tolerance in (0, 1.5)
    )
    assert len(simple) < len(exact) / 4
    distance = np.hypot(*(simple - 30).T)
    assert ((distance > 18) & (distance < 22)).all()
