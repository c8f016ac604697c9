"""Figures of receptive fields: maps of the gradient, and growth."""

import numpy as np
import pytest
from labels import assert_labels_fit, texts

from pspnet.tools.explain.figures import receptive_fields as fields
from pspnet.tools.explain.figures.receptive_fields import FieldMap, draw_fields, draw_growth


@pytest.fixture
def drawn(monkeypatch):
    """The figures that would have been written."""
    caught = []
    monkeypatch.setattr(fields, "save", lambda figure, out: caught.append(figure))
    return caught


@pytest.mark.parametrize("size", [(65, 193), (60, 60), (90, 40)])
@pytest.mark.parametrize("count", [1, 6])
def test_maps_show_the_gradient_the_squares_and_the_theory(tmp_path, drawn, size, count):
    energy = np.zeros(size)
    energy[30, 20], energy[31, 20], energy[32, 20] = 1.0, 1e-2, 1e-12
    theory = (20.0, 40.0, 10.0, 30.0)
    first = FieldMap("stage 5, this network", energy, (30, 20), theory, (5, 11))
    others = [FieldMap(f"other {k}", energy, (30, 20), None, (5, 11)) for k in range(1, count)]
    draw_fields([first, *others], tmp_path / "a.png", title="Where it lies", about="On 8 images")
    assert len(drawn[0].axes) == count + 1
    bar = drawn[0].axes[-1]
    assert [label.get_text() for label in bar.get_yticklabels()] == ["0.001", "0.01", "0.1", "1"]
    axes = drawn[0].axes[0]
    image = axes.images[0].get_array()
    assert image[30, 20] == 0
    assert image[31, 20] == pytest.approx(-1)  # a tenth of the gradient is a hundredth of energy
    assert image[32, 20] == image.min() == -3
    half, most, dashed = axes.lines
    assert (min(half.get_xdata()), max(half.get_xdata())) == (17.5, 22.5)
    assert (min(most.get_ydata()), max(most.get_ydata())) == (24.5, 35.5)
    assert (min(dashed.get_ydata()), max(dashed.get_xdata())) == (19.5, 30.5)
    assert axes.get_xlim() == (-0.5, size[1] - 0.5)  # the image, whatever the boxes
    assert axes.get_title(loc="left").endswith("50 %: 5 px, 95 %: 11 px, theory: 21 px")
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("column, pixels", "row, pixels")
    assert {"Where it lies", "On 8 images"} <= {text.get_text() for text in drawn[0].texts}
    assert max(axes.get_xticks()) > size[1] / 2
    assert all(len(other.lines) == 2 for other in drawn[0].axes[1:-1])
    assert_labels_fit(drawn[0])


def test_growth_has_a_line_per_layout_and_the_images_sides(tmp_path, drawn):
    lines = {"this network": [3, 7, 15, 31], "output stride 32": [3, 7, 15, 23]}
    draw_growth(lines, tmp_path / "a.png", sides=(17, 40), title="Growth", about="PSPNet on vgg11")
    axes = drawn[0].axes[0]
    np.testing.assert_array_equal(axes.lines[0].get_data(), [[1, 2, 3, 4], [3, 7, 15, 31]])
    assert axes.lines[0].get_linewidth() > axes.lines[1].get_linewidth()  # both are seen
    shown = {text.get_text() for text in texts(drawn[0])}
    assert shown >= {"image height, 17 px", "image width, 40 px", "PSPNet on vgg11", *lines}
    assert_labels_fit(drawn[0])


def test_growth_of_what_sees_the_whole_image_ends(tmp_path, drawn):
    line = {"this network": [3.0, np.inf, np.inf]}
    draw_growth(line, tmp_path / "a.png", sides=(40, 40), title="Growth", about="PSPNet on vgg11")
    axes = drawn[0].axes[0]
    assert axes.lines[0].get_ydata() == [3]
    shown = {text.get_text() for text in texts(drawn[0])}
    assert shown >= {"image sides, 40 px", "this network (the whole image from layer 2 on)"}
    assert_labels_fit(drawn[0])
