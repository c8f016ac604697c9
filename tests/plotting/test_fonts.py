"""Names of other scripts in figures: drawn in a font that has them, or as the classes' indices."""

import warnings

import numpy as np
import pytest
from matplotlib.font_manager import fontManager
from matplotlib.text import Text

from pspnet.callbacks.figures.confusion_matrix import draw_confusion_matrix
from pspnet.plotting import fonts
from pspnet.plotting.style import class_labels, plain


@pytest.fixture
def installed(monkeypatch):
    """The fonts that come with matplotlib alone, which have circled letters and no Chinese."""
    files = [entry.fname for entry in fontManager.ttflist if entry.name.startswith("STIX")]
    monkeypatch.setattr(fonts, "_installed", lambda: sorted(files))
    monkeypatch.setattr(fonts, "_used", [])
    for cached in (fonts._family, fonts._say):
        cached.cache_clear()
    yield
    for cached in (fonts._family, fonts._say):  # of no other test
        cached.cache_clear()


def test_names_are_drawn_in_fonts_that_have_them_and_are_indices_without(
    installed, tmp_path, monkeypatch, capsys
):
    figures = []
    monkeypatch.setattr(
        "matplotlib.figure.Figure.savefig", lambda self, *_, **__: figures.append(self)
    )
    names = ["road Ⓐ", "背景", "дом"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a box in place of a glyph is one
        for name in "ab":
            draw_confusion_matrix(np.eye(3), names, tmp_path / f"{name}.png")
            figures[-1].draw_without_rendering()
    drawn = {text.get_text(): text for text in figures[0].findobj(Text)}
    assert {"road Ⓐ", "1", "дом"} <= drawn.keys()
    assert drawn["road Ⓐ"].get_fontfamily() == ["sans-serif", "STIXGeneral"]
    assert drawn["дом"].get_fontfamily() == ["sans-serif"]
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("note: the figures show class indices")


def test_other_texts_have_question_marks(installed):
    assert plain("run 背景 of $x") == r"run ?? of \$x"
    assert class_labels(["a", "背景", "Ⓐ"]) == ["a", "1", "Ⓐ"]


def test_wide_letters_count_as_wide():
    assert fonts.width_in_letters("ab") == 2
    assert fonts.width_in_letters("背景") == pytest.approx(3.2)
