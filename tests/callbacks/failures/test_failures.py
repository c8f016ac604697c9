"""The table and the page of failures: their content, their size, and that the page works alone."""

import csv
import io
import json
import re
import time

import numpy as np
import pytest
from chromium import PROGRAM, Chromium
from lightning import Trainer
from lightning.pytorch.loggers import CSVLogger
from PIL import Image

from pspnet import PSPNet
from pspnet.callbacks.failures.callback import Failures
from pspnet.callbacks.failures.pictures import LISTED, SIDE, Shelf, Thumbnail, shown
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.folder import Folder
from pspnet.evaluation.image_scores import ImageScore
from pspnet.plotting.style import STRIPE, WRONG
from pspnet.task import Segmentation


@pytest.fixture(scope="module")
def written(shapes, tmp_path_factory):
    """The folder of an evaluation, and the scores that it is about."""
    data = SegmentationData(Folder(shapes), crop_size=41, workers=0, eval_batch_size=2)
    network = PSPNet(3, encoder="tu-regnetx_002", bins=[1], decoder_channels=8)
    folder = tmp_path_factory.mktemp("logs")
    trainer = Trainer(
        accelerator="cpu",
        logger=CSVLogger(folder),
        callbacks=[Failures()],
        enable_progress_bar=False,
    )
    task = Segmentation(network, data.classes)
    trainer.validate(task, data, verbose=False)
    return folder / "lightning_logs" / "version_0", task.by_image


def content(folder):
    """What the page's script reads."""
    html = (folder / "failures.html").read_text()
    return json.loads(
        re.search(r'<script type="application/json" id="data">(.*?)</script>', html)[1]
    )


def test_the_table_has_every_image_the_worst_first(written):
    folder, by_image = written
    rows = [*csv.DictReader(io.StringIO((folder / "images.csv").read_text()))]
    assert sorted(row["name"] for row in rows) == ["10", "11", "12", "13", "14"]
    ranked = sorted(rows, key=lambda row: int(row["label_error_rank"]))
    assert ranked == sorted(rows, key=lambda row: float(row["label_quality"]))
    miou = [float(row["miou"]) for row in rows]
    assert miou == sorted(miou)
    for row in rows:
        ious = [
            float(row[f"iou/{name}"]) for name in ("ground", "disc", "bar") if row[f"iou/{name}"]
        ]
        assert float(row["miou"]) == pytest.approx(np.mean(ious), rel=1e-4)
    expected = {row.name: row.miou for row in by_image.rows}
    assert {row["name"]: float(row["miou"]) for row in rows} == pytest.approx(expected, rel=1e-4)


def test_the_page_holds_the_pictures_and_asks_for_nothing(written):
    folder, _ = written
    html = (folder / "failures.html").read_text()
    assert not re.search(r"https?://|src=|@import|url\(", html.split('id="data"')[0])
    found = content(folder)
    assert found["count"] == len(found["images"]) == sum(found["histogram"]) == 5
    assert sorted(one["rank"] for one in found["images"]) == [1, 2, 3, 4, 5]
    assert len(html) < 200_000


def test_a_thumbnail_shows_label_prediction_and_their_difference():
    label, prediction = np.zeros((2, 90, 640), np.uint8)
    label[:, 320:], prediction[40:] = 1, 1
    label[80:] = 255
    palette = np.zeros((256, 3), np.uint8)
    palette[:2] = (10, 20, 30), (200, 100, 0)
    image = np.full((90, 640, 3), 77, np.uint8)
    files = Thumbnail.of(image, label, prediction).encoded(palette)
    assert files.size == (SIDE, 45)
    pixels = {
        name: np.array(Image.open(io.BytesIO(getattr(files, name))).convert("RGBA"))
        for name in ("image", "label", "prediction", "difference")
    }
    small, guess = label[::2, ::2], prediction[::2, ::2]
    assert np.abs(pixels["image"][..., :3].astype(int) - 77).max() <= 2
    ignored, wrong = small == 255, small != guess
    np.testing.assert_array_equal(pixels["label"][~ignored][:, :3], palette[small[~ignored]])
    np.testing.assert_array_equal(pixels["prediction"][..., :3], palette[guess])
    shown_as = pixels["difference"]
    np.testing.assert_array_equal(shown_as[..., 3] == 0, ~wrong & ~ignored)
    assert (shown_as[wrong & ~ignored] == (*WRONG, 255)).all()
    for name in ("label", "difference"):
        assert set(np.unique(pixels[name][ignored][:, :3])) == {STRIPE[0], 255}  # stripes
    np.testing.assert_array_equal(pixels["label"][ignored], shown_as[ignored])


def test_a_class_of_the_value_of_the_stripes_keeps_its_color():
    label = np.full((20, 20), 254, np.uint8)
    label[:10] = 255
    palette = np.tile(np.arange(256, dtype=np.uint8)[:, None], 3)
    files = Thumbnail.of(np.zeros((20, 20, 3), np.uint8), label, label).encoded(palette)
    shown_as = np.array(Image.open(io.BytesIO(files.label)).convert("L"))
    assert (shown_as[10:] == 254).all()
    assert (shown_as[:10] == 255).all()


def rows_of(count: int, classes: int) -> list[ImageScore]:
    generator = np.random.default_rng(0)
    iou = generator.random((count, classes))
    iou[generator.random(iou.shape) < 0.5] = np.nan
    return [
        ImageScore(f"{index:04}", float(np.nanmean([0.5, *it])), it, 1.0, (), quality, None)
        for index, (it, quality) in enumerate(zip(iou, generator.random(count), strict=True))
    ]


@pytest.mark.parametrize("classes", [3, 60])
def test_a_shelf_is_bounded_and_ends_with_what_is_shown(classes):
    rows, shelf = rows_of(400, classes), Shelf()
    blank = Thumbnail(*(np.zeros((1, 1), np.uint8),) * 3)
    most = 2 * LISTED + max(LISTED, classes)
    for row in rows:
        shelf.offer(row, lambda: blank)
        assert len(shelf.rows) == len(shelf.thumbnails) <= most
    assert sorted(shelf.thumbnails) == shown(rows)
    for key in (lambda row: row.miou, lambda row: row.label_quality):
        assert {row.name for row in sorted(rows, key=key)[:LISTED]} <= {*shown(rows)}
    by_class = [row for row in rows if not np.isnan(row.iou[1])]
    assert min(by_class, key=lambda row: row.iou[1]).name in shown(rows)


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="Chromium is missing: apt install chromium")
def test_the_page_sorts_filters_and_switches_from_a_file(written, tmp_path):
    with Chromium(tmp_path) as browser:
        page = written[0] / "failures.html"
        browser.open(page.as_uri())
        browser.wait_for("document.querySelectorAll('figure img').length === 5")
        browser.wait_for("[...document.images].every((it) => it.complete && it.naturalWidth)")
        names = "listed.map((one) => one.name)"
        data = content(written[0])["images"]
        assert browser.run(names) == [one["name"] for one in data]
        choose = "(id, value) => { find(id).value = value; find(id).onchange({target: find(id)}); }"
        browser.run(f"({choose})('sort', 'labels')")
        assert browser.run(names) == [it["name"] for it in sorted(data, key=lambda it: it["rank"])]
        browser.run(f"({choose})('class', '1')")
        assert browser.run(names) == [
            it["name"] for it in sorted(data, key=lambda it: it["rank"]) if "1" in it["iou"]
        ]
        browser.run("document.querySelector('[value=difference]').click()")
        assert browser.run("document.querySelectorAll('figure:first-child img').length") == 2
        browser.run("document.querySelector('#images button').click()")
        assert browser.run("document.querySelectorAll('dialog img').length") == 5
        time.sleep(0.2)
        assert [it for it in browser.requests if not it.startswith("data:")] == [page.as_uri()]
        assert not browser.errors
