"""Losses by class and part, and what the parts add to pictures."""

import numpy as np
import pytest
from labels import assert_labels_fit, texts

from pspnet.data.datasets.classes import load_table
from pspnet.tools.explain import parts_figure as parts
from pspnet.tools.explain.parts_figure import Picture, contribution_grid, loss_table, tinted


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would have been written."""
    caught = []
    monkeypatch.setattr(parts, "save", lambda figure, out: caught.append(figure))
    return caught


def test_tint_is_red_above_zero_blue_below_and_full_at_the_scale():
    image = np.full((1, 5, 3), 200, np.uint8)
    change = np.array([[0, 1.0, 4, -2, -9]])
    gray, faint, full, half, beyond = tinted(image, change, scale=4)[0].astype(int)
    assert gray.tolist() == [220] * 3  # 120 + 200 / 2
    assert full.tolist() == [200, 20, 30]
    assert beyond.tolist() == [20, 60, 200]
    np.testing.assert_allclose(faint, 0.75 * gray + 0.25 * full, atol=1)
    np.testing.assert_allclose(half, 0.5 * gray + 0.5 * beyond, atol=1)


@pytest.mark.parametrize("table", ["camvid", "ade20k"])
def test_loss_table_prints_every_loss_and_grays_the_unsure(tmp_path, drawn, table):
    names, columns = load_table(table).names, ["features", "bin 1", "all bins"]
    losses = np.arange(3 * len(names), dtype=float).reshape(-1, 3) / 10
    losses[0, 1], losses[0, 2], losses[1, 0] = np.nan, -0.04, 70
    sure = losses > 0.5
    loss_table(losses, sure, tmp_path / "a.png", rows=names, columns=columns, title="IoU lost")
    cells = drawn[0].axes[0].texts
    assert [cell.get_text() for cell in cells[:4]] == ["0.0", "–", "0.0", "70.0"]
    assert cells[4].get_color() != cells[6].get_color()  # 0.4 is not sure, 0.6 is
    shown = drawn[0].axes[0].images[0].get_array()
    assert shown[1, 0] == 1
    assert shown[0, 2] < 0
    assert_labels_fit(drawn[0])


@pytest.mark.parametrize("count", [0, 1, 4])
def test_contributions_share_a_scale_among_the_bins(tmp_path, drawn, count):
    classes = load_table("voc2012")
    generator = np.random.default_rng(0)
    pictures = []
    for height, width in ((20, 60), (50, 30)):
        maps = {"features": 9 * generator.normal(size=(height, width))}
        maps |= {f"bin {k}": k * np.ones((height, width)) for k in range(1, count + 1)}
        image = generator.integers(0, 256, (height, width, 3)).astype(np.uint8)
        prediction = generator.choice(np.array([0, 20]), (height, width))
        pictures.append(Picture(image, prediction, maps, f"{height}.png"))
    contribution_grid(pictures, tmp_path / "a.png", palette=classes.palette(), names=classes.names)
    figure = drawn[0]
    assert len(figure.axes) == 2 * (3 + count)
    shown = {text.get_text() for text in texts(figure)}
    bins = {f"bin {k}" for k in range(1, count + 1)}
    assert shown >= {"image", "prediction", "features", "20.png", "50.png", *bins}
    assert {"background", "tvmonitor"} <= shown
    assert "aeroplane" not in shown
    if count == 4:
        assert "+1.0 to +1.0, full color at ±4.0" in shown
        faint, full = (figure.axes[column].images[0].get_array()[0, 0] for column in (3, 6))
        assert full.tolist() == [200, 20, 30]
        assert faint.tolist() != full.tolist()
    assert_labels_fit(figure)
