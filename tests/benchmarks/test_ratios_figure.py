"""Bars of ratios: where they begin and end, what is printed, what is refused."""

import pytest
from labels import assert_labels_fit

from benchmarks import ratios_figure as ratios
from benchmarks.ratios_figure import Bar, Group, Ratio, ratio_bars
from pspnet.errors import UserError

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
    time, memory = figure.axes
    ends = [(bar.get_x(), bar.get_x() + bar.get_width()) for bar in time.patches]
    assert ends == [(1, 1.8), (1, 0.6), (1, pytest.approx(20.4))]
    assert len({bar.get_facecolor() for bar in time.patches}) == 2  # above and below 1
    assert [text.get_text() for text in time.texts] == ["1.80", "0.60", "20.4"]
    assert [text.get_text() for text in memory.texts] == ["3.25", "–", "–"]
    names = [label.get_text() for label in time.get_yticklabels()]
    assert names == ["published", "published, bf16, channels last", "another"]
    whiskers = [tuple(line.get_xdata()) for line in time.lines if line.get_xdata()[0] != 1]
    assert (1.5, 2.0) in whiskers
    assert not [line for line in memory.lines if len(set(line.get_xdata())) > 1]
    low, high = time.get_xlim()
    assert low <= 0.5
    assert high >= 21
    assert_labels_fit(figure)


def test_each_bar_stands_beside_its_name_and_below_its_group(monkeypatch, tmp_path):
    figure = draw(monkeypatch, tmp_path)
    axes = figure.axes[0]
    middles = [bar.get_y() + bar.get_height() / 2 for bar in axes.patches]
    assert axes.get_yticks() == pytest.approx(middles)
    tops = [text for text in figure.texts if text.get_text() in {group.name for group in GROUPS}]
    figure.draw_without_rendering()
    rows = [axes.transData.transform((1, middle))[1] for middle in middles]
    heads = [text.get_window_extent().y0 for text in tops]
    assert heads[0] > rows[0] > rows[1] > heads[1] > rows[2]


def test_a_file_is_written(tmp_path):
    out = tmp_path / "b.png"
    ratio_bars(GROUPS, out, columns=("time", "memory"), title="A", note="B")
    assert out.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "groups", [[], [Group("g", [Bar("b", [None, None])])], [Group("g", [Bar("b", [Ratio(0.0)])])]]
)
def test_nothing_to_draw_is_refused(monkeypatch, tmp_path, groups):
    with pytest.raises(UserError, match="no ratios above 0"):
        draw(monkeypatch, tmp_path, groups)
