"""Bars of ratios: their ends, labels, order and legend."""

from itertools import combinations

import pytest
from matplotlib.text import Text

from benchmarks import ratios_figure as ratios
from benchmarks.ratios_figure import Bar, Group, Ratio, ratio_bars

GROUPS = [
    Group(
        "training step: a network with quite a long name, 473×473, 21 classes, batch 16",
        [
            Bar("published", [Ratio(1.8, 1.5, 2.0), Ratio(3.25)]),
            Bar("published, bf16, channels last", [Ratio(0.6, 0.5, 0.7), None]),
        ],
    ),
    Group("augmentation", [Bar("another", [Ratio(20.4, 19.0, 21.0), None])]),
]


def draw(monkeypatch, tmp_path, groups=GROUPS):
    caught = []
    monkeypatch.setattr(ratios, "save", lambda figure, out: caught.append(figure))
    ratio_bars(
        groups, tmp_path / "a.png", columns=("time", "memory"), title="Benchmarks", note="1 is ours"
    )
    return caught[0]


def test_bars_go_from_one_to_their_ratio(monkeypatch, tmp_path):
    figure = draw(monkeypatch, tmp_path)
    time, memory, other_time, other_memory = figure.axes
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in time.patches]
    assert ends == [(1, 1.8), (1, 0.6)]
    assert len({bar.get_facecolor() for bar in time.patches}) == 2  # above and below 1
    assert [text.get_text() for text in time.texts] == ["1.80", "0.60"]
    assert [text.get_text() for text in memory.texts] == ["3.25", "–"]
    assert [text.get_text() for text in other_time.texts] == ["20.4"]
    assert [text.get_text() for text in other_memory.texts] == ["–"]
    whiskers = [tuple(line.get_xdata()) for line in time.lines if line.get_xdata()[0] != 1]
    assert whiskers == [(1.5, 2.0), (0.5, 0.7)]
    assert not [line for line in memory.lines if len(set(line.get_xdata())) > 1]
    limits = {axes.get_xlim() for axes in figure.axes}
    assert limits == {(0.5, 32)}


def test_bars_stand_beside_their_names_below_their_group(monkeypatch, tmp_path):
    figure = draw(monkeypatch, tmp_path)
    figure.draw_without_rendering()
    for axes, group in zip(figure.axes[::2], GROUPS, strict=True):
        names = [label.get_text() for label in axes.get_yticklabels()]
        assert names == [bar.name for bar in group.bars]
        middles = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
        assert axes.get_yticks() == pytest.approx(middles)
        assert " ".join(axes.get_title(loc="left").split()) == group.name
    upper, lower = figure.axes[0], figure.axes[2]
    assert upper.bbox.y0 > lower.bbox.y1
    assert upper.bbox.height / lower.bbox.height == pytest.approx(2, rel=0.01)  # as their bars


def test_no_text_covers_another(monkeypatch, tmp_path):
    figure = draw(monkeypatch, tmp_path)
    figure.draw_without_rendering()
    texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text()]
    boxes = {text: text.get_window_extent() for text in texts}
    assert len(boxes) > 15
    for text, box in boxes.items():
        assert figure.bbox.contains(*box.min), text.get_text()
        assert figure.bbox.contains(*box.max), text.get_text()
    for (one, box), (two, other) in combinations(boxes.items(), 2):
        assert not box.overlaps(other), (one.get_text(), two.get_text())


def test_a_heading_ends_before_the_panel_to_the_right(monkeypatch, tmp_path):
    figure = draw(monkeypatch, tmp_path)
    figure.draw_without_rendering()
    for left, right in zip(figure.axes[::2], figure.axes[1::2], strict=True):
        assert left._left_title.get_window_extent().x1 < right.bbox.x0


def test_the_legend_names_both_colors(monkeypatch, tmp_path):
    figure = draw(monkeypatch, tmp_path)
    (legend,) = figure.legends
    colors = {
        text.get_text(): patch.get_facecolor()
        for text, patch in zip(legend.get_texts(), legend.get_patches(), strict=True)
    }
    slower, faster = (bar.get_facecolor() for bar in figure.axes[0].patches)
    assert colors == {
        "blue, right of 1: needs more than ours": slower,
        "red, left of 1: needs less than ours": faster,
    }


def test_a_file_is_written(tmp_path):
    out = tmp_path / "b.png"
    ratio_bars(GROUPS, out, columns=("time", "memory"), title="A", note="B")
    assert out.read_bytes().startswith(b"\x89PNG")
