"""Contributions of the parts over images."""

import numpy as np
import pytest
from labels import assert_labels_fit, texts

from pspnet.data.datasets.classes import load_table
from pspnet.tools.explain.figures import contributions
from pspnet.tools.explain.figures.contributions import ShownImage, draw_contributions, signed_root


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would have been written."""
    caught = []
    monkeypatch.setattr(contributions, "save", lambda figure, out: caught.append(figure))
    return caught


def test_color_grows_with_the_square_root():
    norm = signed_root(4)
    np.testing.assert_allclose(norm([-9, -4, -1, 0, 1, 4, 9]), [0, 0, 0.25, 0.5, 0.75, 1, 1])
    assert signed_root(0)(0.0) == pytest.approx(0.5)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_contributions_share_a_scale_among_the_bins(tmp_path, drawn, count):
    classes = load_table("voc2012")
    generator = np.random.default_rng(0)
    images_ = []
    for height, width in ((20, 60), (50, 30)):
        maps = {"features": 9 * generator.normal(size=(height, width))}
        maps |= {f"bin {k}": k * np.ones((height, width)) for k in range(1, count + 1)}
        image = generator.integers(0, 256, (height, width, 3)).astype(np.uint8)
        prediction = generator.choice(np.array([0, 20]), (height, width))
        images_.append(ShownImage(f"{height}.png", image, prediction, maps))
    draw_contributions(
        images_,
        tmp_path / "a.png",
        palette=classes.palette(),
        names=classes.names,
        about="PSPNet on resnet18; 9 images",
    )
    figure = drawn[0]
    assert len(figure.axes) == 2 * (3 + count) + 1  # with the color bar
    shown = {text.get_text() for text in texts(figure)}
    bins = {f"bin {k}" for k in range(1, count + 1)}
    assert shown >= {"image", "prediction", "features", "20.png", "50.png", *bins}
    assert {"background", "tvmonitor"} <= shown
    assert "aeroplane" not in shown
    limits = {image.norm.vmax for axes in figure.axes[:-1] for image in axes.images[1:]}
    assert len(limits) == 1  # one scale for all maps
    assert any("9 images" in text and "share one color scale" in text for text in shown)
    if count == 4:
        assert "+1 to +1" in shown
        assert limits.pop() > 9
    assert_labels_fit(figure)
