"""Checks of the places of a figure's labels."""

from itertools import pairwise


def texts(figure):
    """Return the texts that are shown; matplotlib also keeps labels of ticks beyond an axis."""
    from matplotlib.text import Text

    hidden = set()
    for axes in figure.axes:
        for axis, ends in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            for minor in (False, True):
                places, labels = axis.get_ticklocs(minor=minor), axis.get_ticklabels(minor=minor)
                for place, label in zip(places, labels, strict=True):
                    if not min(ends) <= place <= max(ends):
                        hidden.add(label)
    found = figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text())
    return [text for text in found if text.get_visible() and text not in hidden]


def assert_labels_fit(figure):
    """Assert that every text lies inside the sheet and that no neighboring tick labels overlap."""
    figure.draw_without_rendering()
    boxes = {text: text.get_window_extent() for text in texts(figure)}
    sheet = figure.bbox.padded(0.5)
    for text, box in boxes.items():
        assert sheet.contains(*box.min), text.get_text()
        assert sheet.contains(*box.max), text.get_text()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            labels = [label for label in axis.get_ticklabels() if label in boxes]
            for one, two in pairwise(labels):
                assert not boxes[one].overlaps(boxes[two]), (one.get_text(), two.get_text())
