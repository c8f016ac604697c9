"""Prediction files: exact label values and colors, names that stay inside, no overwriting."""

import numpy as np
import pytest
from jsonargparse import ArgumentParser
from PIL import Image

from pspnet.callbacks.prediction_writers import PredictionWriter
from pspnet.data.datasets.classes import Classes, load_table
from pspnet.errors import UserError
from pspnet.prediction.folder import PredictionFolder, origin_of
from pspnet.prediction.forms import Options
from pspnet.prediction.prediction import Prediction, blend

PALETTE = load_table("ade20k").palette()
LABEL = np.arange(256, dtype=np.uint8).reshape(8, 32)  # every value that a file can hold
IMAGE = np.full((8, 32, 3), (200, 100, 40), np.uint8)
ORIGIN, OTHER = "0a" * 32, "1b" * 32
FILES = ["color/a.png", "index/a.png", "overlay/a.jpg"]


def nothing(name):
    """The origin of predictions that have none."""
    return


def predicted(name, label, image):
    names = tuple(f"class {index}" for index in range(255))
    colors = tuple(map(tuple, PALETTE[:255].tolist()))
    confidence = np.ones(label.shape, np.float32)
    return Prediction(label, confidence, image, Classes(names, colors), name=name)


def tree(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("values", [256, 2])
def test_index_keeps_every_value_and_shows_its_color(tmp_path, values):
    label = np.where(values > LABEL, LABEL, 0).astype(np.uint8)
    PredictionFolder(tmp_path).write(predicted("a", label, IMAGE))
    assert tree(tmp_path) == FILES
    with (
        Image.open(tmp_path / "index/a.png") as index,
        Image.open(tmp_path / "color/a.png") as color,
    ):
        assert (index.mode, color.mode) == ("P", "RGB")
        np.testing.assert_array_equal(np.asarray(index), label)
        np.testing.assert_array_equal(np.asarray(index.convert("RGB")), PALETTE[label])
        np.testing.assert_array_equal(np.asarray(color), PALETTE[label])


def test_blend_against_loops():
    random = np.random.default_rng(0)
    image, colors = random.integers(0, 256, (2, 5, 7, 3)).astype(np.uint8)
    for alpha in (0.0, 0.3, 1.0):
        mixed = blend(image, colors, alpha=alpha)
        for place in np.ndindex(5, 7, 3):
            exact = alpha * int(colors[place]) + (1 - alpha) * int(image[place])
            assert abs(int(mixed[place]) - exact) <= 0.5 + 1e-4


def test_overlay_is_the_blend(tmp_path):
    label = np.repeat(np.array([[3, 7]], np.uint8), 32, axis=0).repeat(32, axis=1)  # two halves
    image = np.full((32, 64, 3), (200, 100, 40), np.uint8)
    PredictionFolder(tmp_path, options=Options(alpha=0.25)).write(predicted("a", label, image))
    overlay = np.asarray(Image.open(tmp_path / "overlay/a.jpg"), float)
    expected = 0.25 * PALETTE[label] + 0.75 * image
    assert np.abs(overlay - expected).max() < 6  # JPEG


def test_names_keep_their_folders_and_dots(tmp_path):
    writer = PredictionFolder(tmp_path)
    writer.write(predicted("bonn/bonn_01.left", LABEL, IMAGE))
    writer.write(predicted("bonn/bonn_01.right", LABEL, IMAGE))
    assert len(tree(tmp_path)) == 6
    assert (tmp_path / "index/bonn/bonn_01.left.png").is_file()


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../a", "a/../../b", "/a", "a//b", "./a", "a/", "a\\..\\b", "C:\\a", "C:a"],
)
def test_names_that_are_no_plain_relative_path_are_refused(tmp_path, name):
    writer = PredictionFolder(tmp_path / "out")
    with pytest.raises(UserError, match="stay below"):
        writer.check([name], nothing)
    with pytest.raises(UserError, match="stay below"):
        writer.write(predicted(name, LABEL, IMAGE))
    assert list(tmp_path.iterdir()) == []


def test_predictions_of_one_origin_are_kept_and_others_refused(tmp_path):
    writer = PredictionFolder(tmp_path)
    for name in "ab":
        writer.write(predicted(name, LABEL, IMAGE), origin=ORIGIN)
    for file in FILES:
        assert origin_of(tmp_path / file) == ORIGIN
        Image.open(tmp_path / file).load()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "index/a.png")), LABEL)
    (tmp_path / "index/b.png").unlink()  # as after a kill between the files
    assert writer.check("abc", lambda name: ORIGIN) == ["a"]
    writer.write(predicted("b", LABEL, IMAGE), origin=ORIGIN)
    assert writer.check("abc", lambda name: ORIGIN) == ["a", "b"]
    for origin in (OTHER, None):
        with pytest.raises(
            UserError, match=r"b\.jpg exists.*; use another folder, or .* --output.overwrite=true"
        ):
            writer.check("b", lambda name, origin=origin: origin)
        with pytest.raises(UserError, match="exists"):
            writer.write(predicted("b", LABEL, IMAGE), origin=origin)
    again = PredictionFolder(tmp_path, overwrite=True)
    assert again.check("ab", lambda name: ORIGIN) == []


@pytest.mark.parametrize("file", FILES)
def test_any_existing_file_is_refused_before_anything_is_written(tmp_path, file):
    existing = tmp_path / file
    existing.parent.mkdir()
    existing.write_bytes(b"mine")
    writer = PredictionFolder(tmp_path)
    option = "--output.overwrite=true (in Python overwrite=True)"
    message = f"{existing} exists; use another folder, or overwrite it: {option}"
    for attempt in (
        lambda: writer.check(["b", "a"], nothing),
        lambda: writer.write(predicted("a", LABEL, IMAGE)),
    ):
        with pytest.raises(UserError) as error:
            attempt()
        assert str(error.value) == message
    assert tree(tmp_path) == [file]
    assert existing.read_bytes() == b"mine"


def test_overwrite_replaces(tmp_path):
    PredictionFolder(tmp_path).write(predicted("a", LABEL, IMAGE))
    writer = PredictionFolder(tmp_path, overwrite=True)
    writer.check(["a"], nothing)
    writer.write(predicted("a", LABEL[::-1].copy(), IMAGE))
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "index/a.png")), LABEL[::-1])
    assert tree(tmp_path) == FILES


def test_check_writes_nothing_and_refuses_doubles(tmp_path):
    writer = PredictionFolder(tmp_path / "out", overwrite=True)
    writer.check((f"folder/{number}" for number in range(5)), nothing)
    with pytest.raises(UserError, match="'a' occurs twice"):
        writer.check(["a", "b", "a"], nothing)
    assert not (tmp_path / "out").exists()


def test_an_interrupted_write_leaves_no_index_file_and_no_half_file(tmp_path, monkeypatch):
    save = Image.Image.save

    def interrupted(self, path, format, **options):
        save(self, path, format=format, **options)
        if self.mode == "P":
            raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        PredictionFolder(tmp_path).write(predicted("a", LABEL, IMAGE))
    assert tree(tmp_path) == ["color/a.png", "overlay/a.jpg"]


def test_wrong_settings_are_refused_at_construction(tmp_path):
    with pytest.raises(UserError, match=r"alpha=1\.5"):
        Options(alpha=1.5)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file"):
        PredictionFolder(tmp_path / "file")


def test_one_form_is_a_list_of_one_and_others_are_named():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(PredictionWriter, "output")
    for word, forms in (("index", ("index",)), ("[index,coco]", ("index", "coco"))):
        parsed = parser.instantiate(parser.parse_args([f"--output.forms={word}"]))
        assert parsed.output.forms == forms
    with pytest.raises(UserError, match=r"output.forms=\['mask'\]: give one or more of index"):
        PredictionWriter(forms="mask")
