"""The parts of the pyramid: what classes lose without them, and what they add to a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from pspnet.plotting import (
    GRAY,
    INK,
    LARGE,
    LINE,
    NORMAL,
    SMALL,
    Entry,
    legend,
    legend_shape,
    panel,
    plain,
    save,
    sheet,
    text_width,
    write,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW, COLUMN, EDGE = 0.2, 0.85, 0.15  # inches
CELL, GAP, HEAD, FOOT = 2.3, 0.08, 0.42, 0.22  # inches
LOUDEST = 60.0  # percentage points; beyond them the color stays


@dataclass(frozen=True)
class Picture:
    """An image with what each part adds.

    Args:
        image: (H, W, 3) uint8 RGB.
        prediction: class ids, (H, W).
        maps: by part, how much it raises the predicted class's score, (H, W).
        name: stands beside the image.
    """

    image: np.ndarray
    prediction: np.ndarray
    maps: Mapping[str, np.ndarray]
    name: str


def loss_table(
    losses: np.ndarray,
    sure: np.ndarray,
    out: Path,
    *,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
) -> None:
    """Draws losses of IoU by class and silenced part as a table of colors.

    Args:
        losses: in percentage points, (rows, columns), nan where there is none.
        sure: whether the loss can be told from 0, (rows, columns); the others are printed gray.
        out: the picture, .png, .pdf or .svg.
        rows: names of the classes.
        columns: what is silenced.
        title: stands above.
    """
    gutter = max(text_width(plain(name, limit=28), size=SMALL) for name in rows) + 0.15
    note = "percentage points lost, gained where negative; gray where not to be told from none"
    texts = (1.2 * text_width(title, size=LARGE), text_width(note, size=SMALL))  # bold is wider
    wide = max(gutter + len(columns) * COLUMN, *texts)
    figure = sheet(wide + 2 * EDGE, height=1.0 + len(rows) * ROW)
    write(figure, title, left=EDGE, top=0.1, size=LARGE)
    write(figure, note, left=EDGE, top=0.34, size=SMALL)
    axes = panel(
        figure,
        left=EDGE + gutter,
        top=0.85,
        width=len(columns) * COLUMN,
        height=len(rows) * ROW,
    )
    shown = np.sign(losses) * np.sqrt(np.abs(losses) / LOUDEST).clip(max=1)  # small ones show too
    axes.imshow(shown, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_yticks(range(len(rows)), [plain(name, limit=28) for name in rows])
    axes.set_xticks(range(len(columns)), columns)
    axes.tick_params(length=0, top=True, labeltop=True, bottom=False, labelbottom=False)
    for row, column in np.ndindex(losses.shape):
        _cell(axes, float(losses[row, column]), sure=bool(sure[row, column]), place=(column, row))
    save(figure, out)


def contribution_grid(
    pictures: Sequence[Picture], out: Path, *, palette: np.ndarray, names: Sequence[str]
) -> None:
    """Draws a line for every image: image, prediction, and each part's map over the gray image.

    Red raises the predicted class's score, blue lowers it; the bins of an image share one scale.

    Args:
        pictures: with the same parts, the features first.
        out: the picture, .png, .pdf or .svg.
        palette: RGB by class id, (256, 3) uint8.
        names: of the classes; the legend has those that occur.
    """
    parts = list(pictures[0].maps)
    heights = [CELL * min(p.image.shape[0] / p.image.shape[1], 1.0) for p in pictures]
    seen = sorted({int(value) for p in pictures for value in np.unique(p.prediction)})
    entries = [Entry(plain(names[v], limit=28), tuple(palette[v].tolist())) for v in seen]
    width = (2 + len(parts)) * (CELL + GAP) - GAP
    below = HEAD + sum(heights) + len(heights) * FOOT + 0.06
    _, lines = legend_shape(entries, width=width)
    figure = sheet(width + 2 * GAP, height=below + lines * LINE + 0.1)
    say = "red: the part raises the score of the predicted class there, blue: it lowers it"
    write(figure, say, left=GAP, top=0.06, size=SMALL)
    top = HEAD
    for number, (picture, height) in enumerate(zip(pictures, heights, strict=True)):
        for column, (title, shown, note) in enumerate(_cells(picture, palette)):
            left = GAP + column * (CELL + GAP)
            axes = panel(figure, left=left, top=top, width=CELL, height=height)
            axes.set(xticks=[], yticks=[])
            axes.imshow(shown, interpolation="auto", interpolation_stage="rgba")
            axes.set_xlabel(plain(note, limit=40), size=SMALL, color=GRAY, labelpad=2)
            if number == 0:
                axes.set_title(title, size=NORMAL, color=INK, weight="bold", pad=4)
        top += height + FOOT
    legend(figure, entries, left=GAP, top=below, width=width)
    save(figure, out)


def tinted(image: np.ndarray, change: np.ndarray, *, scale: float) -> np.ndarray:
    """The image in pale gray under red where `change` is positive and blue where it is negative.

    Args:
        image: (H, W, 3) uint8.
        change: (H, W).
        scale: the size of a change at which the color is full, above 0.

    Returns:
        (H, W, 3) uint8.
    """
    gray = 120 + 0.5 * (image @ np.array([0.299, 0.587, 0.114]))[..., None]  # ITU-R BT.601
    strength = np.abs(change / scale).clip(max=1)[..., None]
    color = np.where(change[..., None] > 0, (200, 20, 30), (20, 60, 200))
    mixed: np.ndarray = np.rint((1 - strength) * gray + strength * color).astype(np.uint8)
    return mixed


def _cells(picture: Picture, palette: np.ndarray) -> list[tuple[str, np.ndarray, str]]:
    bins = [m for name, m in picture.maps.items() if name != "features"]
    shared = max((float(np.quantile(np.abs(m), 0.99)) for m in bins), default=0.0)
    cells = [
        ("image", picture.image, picture.name),
        ("prediction", palette[picture.prediction], ""),
    ]
    for name, change in picture.maps.items():
        own = float(np.quantile(np.abs(change), 0.99))
        scale = max(own if name == "features" else shared, 1e-6)
        note = f"{change.min():+.1f} to {change.max():+.1f}, full color at ±{scale:.1f}"
        cells.append((name, tinted(picture.image, change, scale=scale), note))
    return cells


def _cell(axes: Axes, loss: float, *, sure: bool, place: tuple[int, int]) -> None:
    text = "–" if np.isnan(loss) else f"{loss:.1f}".replace("-0.0", "0.0")
    dark = not np.isnan(loss) and abs(loss) > 0.45 * LOUDEST
    color = "white" if dark else INK if sure else GRAY
    axes.text(*place, text, ha="center", va="center_baseline", size=SMALL, color=color)
