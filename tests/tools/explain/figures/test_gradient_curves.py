"""The figure of both losses' gradient norms."""

import numpy as np
import pytest
from labels import assert_labels_fit

from pspnet.tools.explain.figures import auxiliary_gradient as gradients
from pspnet.tools.explain.figures.auxiliary_gradient import draw_gradients


@pytest.mark.parametrize("count", [1, 30, 400])
def test_both_norms_and_their_ratio(tmp_path, monkeypatch, count):
    caught = []
    monkeypatch.setattr(gradients, "save", lambda figure, out: caught.append(figure))
    steps = 10.0 * np.arange(1, count + 1)
    main, auxiliary = 5 / steps, 2 / steps
    draw_gradients(steps, auxiliary, main, tmp_path / "a.png", about="PSPNet on resnet18")
    norms, ratio = caught[0].axes
    np.testing.assert_allclose(norms.lines[0].get_ydata(), main)
    np.testing.assert_allclose(norms.lines[2].get_ydata(), auxiliary)
    labels = [text.get_text() for text in norms.get_legend().get_texts()]
    assert labels == ["main", "auxiliary"]
    np.testing.assert_allclose(ratio.lines[1].get_ydata(), 0.4)
    assert norms.get_yscale() == "log"
    assert_labels_fit(caught[0])
    assert "PSPNet on resnet18" in {text.get_text() for text in caught[0].texts}
    for axes in caught[0].axes:  # no marker is cut
        box = axes.get_window_extent()
        for line in axes.lines:
            places = axes.transData.transform(np.column_stack(line.get_data()))
            reach = line.get_markersize() / 2 * caught[0].dpi / 72
            assert (places.max(0) + reach <= box.max).all()
            assert (places.min(0) - reach >= box.min).all()
