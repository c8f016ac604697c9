"""The figure of a range test: a log axis, both losses, and the suggestion by name."""

import numpy as np
import pytest
from labels import assert_labels_fit

from pspnet.callbacks.figures.learning_rates import draw_learning_rates


@pytest.mark.parametrize("suggested", [60, None])
def test_the_suggestion_is_marked_and_named_and_the_fall_fills_the_sheet(
    tmp_path, figures, suggested
):
    rates = np.geomspace(1e-7, 10, 100)
    curve = 2 - np.exp(-((np.arange(100) - 75) ** 2) / 200) + np.where(np.arange(100) > 90, 9, 0)
    out = tmp_path / "learning_rate.png"
    title = "scenes/find_lr_0: test"
    draw_learning_rates(rates, curve + 0.1, curve, out, suggested=suggested, title=title)
    (axes,) = figures[0].axes
    assert axes.get_xscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_ydata(), curve + 0.1)
    np.testing.assert_array_equal(axes.lines[1].get_xydata(), np.stack([rates, curve], 1))
    stars = [line for line in axes.lines if line.get_marker() == "*"]
    assert [tuple(star.get_xydata()[0]) for star in stars] == (
        [] if suggested is None else [(rates[60], curve[60])]
    )
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == ["of each step", "smoothed", "suggested: 0.0071"][: 2 + len(stars)]
    low, high = axes.get_ylim()
    assert low < curve.min()
    assert curve[0] < high < 2.5  # without the divergence
    assert_labels_fit(figures[0])
