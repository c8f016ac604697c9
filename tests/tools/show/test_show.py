"""The picture of a training's first crops."""

import numpy as np
import pytest
from PIL import Image

from pspnet.__main__ import main
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.datasets.folder import Folder
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.plotting.style import STRIPE
from pspnet.tools.show import sheet
from pspnet.tools.show.crops import Crop, first_crops


def data(shapes, **options):
    return SegmentationData(Folder(shapes), crop_size=(41, 57), batch_size=4, **options)


def test_the_crops_are_those_of_the_first_steps(shapes):
    crops, images = first_crops(data(shapes, seed=7), 6)
    fit = data(shapes, seed=7, workers=1)
    fit.setup("fit")
    batches = list(fit.train_dataloader())
    pictures = np.concatenate([batch["image"].permute(0, 2, 3, 1).numpy() for batch in batches])
    labels = np.concatenate([batch["label"].numpy() for batch in batches])
    assert (len(crops), images) == (6, 10)
    for crop, picture, label in zip(crops, pictures, labels, strict=False):
        assert np.array_equal(crop.picture, picture)
        assert np.array_equal(crop.label, label)
    other, _ = first_crops(data(shapes, seed=8), 6)
    assert [crop.name for crop in crops] != [crop.name for crop in other]


def test_masks_have_the_classes_colors_and_stripes_where_ignored(monkeypatch, tmp_path):
    drawn = []
    monkeypatch.setattr(sheet, "save", lambda figure, out: drawn.append(figure))
    classes = Classes(("a", "b", "c"), colors=((1, 2, 3), (40, 50, 60), (7, 8, 9)))
    label = np.full((8, 12), IGNORE, np.uint8)
    label[:, :6] = 1
    picture = np.zeros((8, 12, 3), np.uint8)
    sheet.draw_crops([Crop(picture, label, "x")], tmp_path, classes=classes, title="t")
    (figure,) = drawn
    _, mask = (axes.images[0].get_array() for axes in figure.axes)
    assert (mask[:, :6] == (40, 50, 60)).all()
    assert set(np.unique(mask[:, 6:])) == {STRIPE[0], 255}
    assert figure.axes[1].get_xlabel() == "50.0 % ignored"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["b", "ignored"]


def test_the_command_writes_a_picture_of_an_experiments_crops(shapes, tmp_path, capsys, caplog):
    out = tmp_path / "new" / "crops.png"
    words = ["-c", "base", "--data.source=Folder", f"--data.source.root={shapes}"]
    main(["show", *words, "--data.crop_size=33", "--data.batch_size=2", f"--out={out}"])
    assert capsys.readouterr().out == f"10 training crops: {out}\n"
    assert Image.open(out).size[0] > 1000
    assert "data: train" in caplog.text
    assert "batch: " not in caplog.text  # nothing is trained


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 2, "error: give the folder of a data set, or -c EXPERIMENT"),
        (["--crops=0"], 2, "0: give a number of crops, 1 to 64"),
        (["--data.sourse=Folder"], 2, "sourse"),
        (["nowhere"], 1, "error: nowhere"),
        (["a\tb"], 1, "error: root='a\\tb': give a path of visible characters"),
        (["SHAPES", "--out=crops.jpg"], 1, "error: crops.jpg: a figure is written as one of .png"),
        (["SHAPES", "--data.seed=1"], 2, "error: --data.seed=1: with a folder no options"),
    ],
)
def test_what_is_wrong_gets_one_line(words, code, message, shapes, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["show", *(str(shapes) if word == "SHAPES" else word for word in words)])
    error = capsys.readouterr().err.splitlines()[-1]
    assert stopped.value.code == code
    assert message in error


def test_padding_is_seen(shapes):
    small = Augmentation(scale=(0.5, 0.5), rotation=0, blur=0, mirror=0)
    crops, _ = first_crops(data(shapes, augmentation=small), 2)
    assert all((crop.label == IGNORE).mean() > 0.3 for crop in crops)
