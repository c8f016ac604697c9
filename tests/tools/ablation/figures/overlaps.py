"""A check that the texts of a figure can be read."""

from itertools import combinations

from matplotlib.text import Text


def assert_legible(figure):
    """Every text lies inside the figure, and no two overlap."""
    figure.draw_without_rendering()
    # without the line of an annotation, which its own method counts in
    boxes = {text: Text.get_window_extent(text) for text in shown_texts(figure)}
    sheet = figure.bbox.padded(0.5)
    for text, box in boxes.items():
        assert sheet.contains(*box.min), text.get_text()
        assert sheet.contains(*box.max), text.get_text()
    for one, two in combinations(boxes, 2):
        assert not boxes[one].overlaps(boxes[two]), (one.get_text(), two.get_text())


def shown_texts(figure):
    """Return the visible texts; matplotlib also keeps tick labels beyond the ends of an axis."""
    hidden = {
        label
        for axes in figure.axes
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim()))
        for place, label in zip(axis.get_ticklocs(), axis.get_ticklabels(), strict=False)
        if not min(ends) <= place <= max(ends)
    }
    found = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text())
    return [text for text in found if text.get_visible() and text not in hidden]
