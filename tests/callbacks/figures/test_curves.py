"""Curves: the log is read as it was written, and runs that ended early are drawn too."""

import numpy as np
import pytest
from labels import assert_labels_fit, texts
from lightning.fabric.loggers import CSVLogger

from pspnet.callbacks.figures.curves import draw_curves, read, running_mean


def metrics(path, *, steps=range(9, 1000, 10)):
    """A log as CSVLogger writes it: a row a call, cells that the call did not name empty."""
    logger = CSVLogger(path.parent, name="", version="")
    for step in steps:
        loss = 2 + np.cos(step)
        parts = {"train/loss_main": loss / 2, "train/loss_auxiliary": loss / 0.8}
        logger.log_metrics({"train/loss": loss, **parts, "epoch": 0}, step)
        rate = 0.01 * (1 - step / 1000)
        rates = {"encoder": rate, "encoder_plain": rate, "new": 10 * rate, "new-momentum": 0.9}
        logger.log_metrics({f"lr-SGD/{name}": value for name, value in rates.items()}, step)
        if step % 100 == 99:
            miou = 0.7 - (step - 699) ** 2 / 1e6
            logger.log_metrics(
                {"val/loss": loss + 0.1, "val/miou": miou, "train/miou": miou - 0.1}, step
            )
    logger.save()
    return path


def test_running_mean_against_loops():
    values = np.random.default_rng(0).normal(size=23)
    for reach in (0, 1, 4, 30):
        expected = [
            np.mean([values[k] for k in range(23) if abs(k - place) <= reach])
            for place in range(23)
        ]
        np.testing.assert_allclose(running_mean(values, reach=reach), expected)


def test_read_sorts_lets_the_last_count_and_drops_a_cut_line(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text("step,train/loss,val/miou\n20,2,\n10,1,\n20,3,0.5\n,9,\n30,nan,\n40,4")
    series = read(path)
    np.testing.assert_array_equal(series["train/loss"], [[11, 21, 31], [1, 3, np.nan]])
    np.testing.assert_array_equal(series["val/miou"], [[21], [0.5]])


def test_curves_shows_the_log(tmp_path, figures):
    draw_curves(metrics(tmp_path / "metrics.csv"), tmp_path / "curves.png", title="run/version_0")
    assert figures[0].get_suptitle() == "run/version_0"
    losses, miou, rates = figures[0].axes
    steps = np.arange(9, 1000, 10)
    raw = losses.lines[0]
    np.testing.assert_array_equal(raw.get_xdata(), steps + 1)
    np.testing.assert_allclose(raw.get_ydata(), (2 + np.cos(steps)) / 2)  # as val/loss is
    labels = [text.get_text() for text in losses.get_legend().get_texts()]
    assert labels == ["train, main loss", "validation, main loss", "train, auxiliary loss"]
    assert losses.get_yscale() == "log"
    assert losses.get_title(loc="left") == "Loss (log scale)"
    assert len(losses.get_yticks()) >= 3
    assert [text.get_text() for text in miou.get_legend().get_texts()] == [
        "train, augmented crops",
        "validation",
    ]
    star = next(line for line in miou.lines if line.get_marker() == "*")
    assert (star.get_xdata(), star.get_ydata()) == (700, pytest.approx(70))
    assert miou.get_title(loc="right") == "★ best 70.00 % at step 700"
    assert [line.get_label() for line in rates.lines] == ["encoder, encoder_plain", "new"]
    assert_labels_fit(figures[0])


@pytest.mark.parametrize(
    ("text", "drawn", "note"),
    [
        ("step,train/loss\n0,1.5\n", [1, 0, 0], ""),
        ("step,val/miou,lr-SGD/new\n99,0.5,\n", [0, 2, 0], ""),
        ("step,val/miou,train/loss\n99,nan,nan\n199,,inf\n299,,1\n", [1, 0, 0], "2 values are not"),
        ("step,lr-SGD/new\n,0.1\n", [0, 0, 0], ""),
    ],
)
def test_curves_of_runs_that_ended_early(tmp_path, figures, text, drawn, note):
    path = tmp_path / "metrics.csv"
    path.write_text(text)
    draw_curves(path, tmp_path / "curves.png")
    axes = figures[0].axes
    assert [sum(len(line.get_xdata()) > 0 for line in a.lines) for a in axes] == drawn
    assert all(line.get_marker() in "o*" for a in axes for line in a.lines)  # a point is seen
    assert axes[0].get_title(loc="right").startswith(note)
    assert_labels_fit(figures[0])


@pytest.mark.parametrize(("text", "scale"), [("0,2\n9,1", "log"), ("0,1\n9,-0.2", "linear")])
def test_losses_of_0_and_below_have_a_linear_scale(tmp_path, figures, text, scale):
    path = tmp_path / "metrics.csv"
    path.write_text(f"step,train/loss\n{text}\n")
    draw_curves(path, tmp_path / "curves.png")
    axes = figures[0].axes[0]
    assert axes.get_yscale() == scale
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["train"]
    assert_labels_fit(figures[0])


@pytest.mark.parametrize(("width", "rows"), [(3.5, 3), (7.2, 1)])
def test_curves_of_a_papers_width(tmp_path, figures, width, rows):
    draw_curves(metrics(tmp_path / "metrics.csv"), tmp_path / "curves.pdf", width=width)
    assert figures[0].get_figwidth() == width
    assert len({axes.get_position().y0 for axes in figures[0].axes}) == 3 or rows == 1
    assert min(text.get_size() for text in texts(figures[0])) >= 7
    assert_labels_fit(figures[0])
