from pathlib import Path

import numpy as np
import pytest
from layouts import labels, put_image, put_label

from pspnet.data.datasets.ade20k import ADE20K
from pspnet.data.datasets.base import Server
from pspnet.errors import UserError


def make(base: Path) -> Path:
    for folder, stems in {"training": ["b", "a"], "validation": ["v"]}.items():
        for stem in stems:
            put_image(base / f"images/{folder}/{stem}.jpg")
            put_label(base / f"annotations/{folder}/{stem}.png", [0, 1, 150])
    return base


@pytest.mark.parametrize("below", ["", "ADEChallengeData2016"])
def test_splits(tmp_path: Path, below: str) -> None:
    base = make(tmp_path / below)
    source = ADE20K(tmp_path)
    samples = source.samples("train")
    assert [sample.name for sample in samples] == ["a", "b"]
    assert samples[0].label == base / "annotations/training/a.png"
    assert labels(source, "train") == [[0, 149, 255]] * 2
    assert labels(source, "val") == [[0, 149, 255]]


def test_train_ids() -> None:
    source = ADE20K("nowhere")
    table = source.train_ids()
    expected = [255] + [stored - 1 for stored in range(1, 151)] + [-1] * 105
    np.testing.assert_array_equal(table, expected)
    names = source.classes.names
    assert (len(names), names[table[1]], names[table[150]]) == (150, "wall", "flag")


def test_server_takes_the_stored_values() -> None:
    source = ADE20K("nowhere")
    np.testing.assert_array_equal(source.predicted_ids(), source.train_ids())
    assert source.stored_values().tolist() == list(range(1, 151))
    assert source.server == Server(archive="zip", folder="", palette=False, size=None)


@pytest.mark.parametrize(
    "folder", ["images/testing", "release_test/testing", "../release_test/testing"]
)
def test_the_test_split_has_no_labels(tmp_path: Path, folder: str) -> None:
    base = make(tmp_path / "ADEChallengeData2016")
    image = put_image((base / folder).resolve() / "t.jpg")
    (sample,) = ADE20K(tmp_path).samples("test")
    assert (sample.image.resolve(), sample.label) == (image, None)


def test_other_values_are_refused(tmp_path: Path) -> None:
    make(tmp_path)
    put_label(tmp_path / "annotations/validation/v.png", [1, 151, 255])
    with pytest.raises(UserError, match=r"v.png .*values 151 and 255, but 0 to 150 are"):
        labels(ADE20K(tmp_path), "val")


def test_first_missing_path_is_named(tmp_path: Path) -> None:
    source = ADE20K(tmp_path)
    with pytest.raises(UserError, match=r"images/training is missing"):
        source.samples("train")
    make(tmp_path)
    with pytest.raises(UserError, match=r"images/testing is missing"):
        source.samples("test")
    (tmp_path / "annotations/training/b.png").unlink()
    with pytest.raises(UserError, match=r"training/b.png is missing: expected the label"):
        source.samples("train")
    (tmp_path / "images/validation/v.jpg").unlink()
    with pytest.raises(UserError, match="images/validation holds no image"):
        source.samples("val")
    (tmp_path / "annotations/validation").rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"annotations/validation is missing"):
        source.samples("val")


def test_shifted_labels_are_read_on_request_and_recognized(tmp_path: Path) -> None:
    make(tmp_path)
    put_label(tmp_path / "annotations/validation/v.png", [0, 149, 255])
    assert labels(ADE20K(tmp_path, reduce_zero_label=False), "val") == [[0, 149, 255]]
    with pytest.raises(UserError, match=r"give --data.source.reduce_zero_label=false"):
        labels(ADE20K(tmp_path), "val")
    put_label(tmp_path / "annotations/validation/v.png", [0, 151, 255])
    with pytest.raises(UserError, match=r"choose the data set that it belongs to$"):
        labels(ADE20K(tmp_path), "val")
