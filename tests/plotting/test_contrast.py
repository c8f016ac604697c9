"""Contrast against published ratios, and text on every color."""

from itertools import product

import pytest

from pspnet.plotting.contrast import contrast, readable_on


def test_contrast_of_known_pairs():
    assert contrast("white", "black") == pytest.approx(21)
    assert contrast("#777777", "white") == pytest.approx(4.48, abs=0.005)  # as WCAG's examples
    assert contrast("white", "#ff0000") == pytest.approx(4.00, abs=0.005)


def test_text_is_readable_on_every_color():
    for parts in product((0, 51, 102, 119, 153, 204, 255), repeat=3):
        color = "#" + bytes(parts).hex()
        assert contrast(readable_on(color), color) >= 4.5
    assert readable_on("#d6604d") == "black"  # a middle red: 5.4 to 1, white has 3.9
