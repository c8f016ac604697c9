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


@pytest.mark.parametrize(
    ("low", "high", "extend", "ends"),
    [
        (0, 30, "max", ("-2", "≥ +2")),
        (-30, 30, "both", ("≤ -2", "≥ +2")),
        (0, 0, "neither", ("-2", "+2")),
    ],
)
def test_a_scale_that_values_exceed_says_so(tmp_path, drawn, low, high, extend, ends):
    change = np.full((40, 60), 2.0)
    change[0, 0], change[0, 1] = low or 2, high or 2
    pixels = np.zeros((40, 60, 3), np.uint8)
    image = ShownImage("a.png", pixels, pixels[..., 0], {"features": change})
    palette = load_table("voc2012").palette()
    draw_contributions([image], tmp_path / "a.png", palette=palette, names=["a"], about="")
    axes = drawn[0].axes[-1]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert (labels[0], labels[-1]) == ends
    assert axes._colorbar.extend == extend
    assert_labels_fit(drawn[0])
