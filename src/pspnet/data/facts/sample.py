"""Facts about an image and its label: sizes, pixels per class, faults, and how edges lie."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image

from pspnet.data.channels import FULL
from pspnet.data.dataset import check_sizes
from pspnet.data.datasets.base import Sample, Source
from pspnet.data.datasets.classes import IGNORE
from pspnet.data.facts.edges import NO_EDGES, Edges, compare_edges
from pspnet.data.image_io import decode, read_bytes, read_image
from pspnet.data.label_io import LABEL_SUFFIXES
from pspnet.errors import UserError

THUMB = 24  # pixels, height and width of the gray copy that is kept
MOST_VALUES = 64  # kept for a label file, the most frequent ones
COLOR = 1 << 24  # is added to 65536·R + 256·G + B, so that colors differ from values
_ORIENTATION = 0x0112  # the EXIF tag


@dataclass(frozen=True, eq=False)
class Form:
    """Form of a file's pixels before they are converted.

    Args:
        mode: Pillow's mode, such as RGB, L, P or I;16.
        orientation: that of EXIF, 1 where the file has none.
        stored: the most frequent values, or colors plus `COLOR`, of a label file with their pixels.
        distinct: number of different values or colors of a label file.
    """

    mode: str = ""
    orientation: int = 1
    stored: Mapping[int, int] = field(default_factory=dict)
    distinct: int = 0


@dataclass(frozen=True, eq=False)
class Facts:
    """Facts about a sample.

    Args:
        errors: a line for each fault that forbids to train on the sample.
        size: height and width of the image, or None where it cannot be read.
        counts: pixels of each train id, and behind them those that are ignored, (C + 1,) int64;
            zeros where there is no label to be read.
        labeled: True if there is a label and it can be read.
        image: the image's form.
        label: the label's form.
        digest: a digest of the image's size and pixels, "" where it cannot be read.
        label_digest: likewise of the label's train ids.
        mean: mean per channel, 0 to 255.
        square: mean of the squares per channel.
        thumb: a gray copy of the image, (THUMB, THUMB) uint8.
        edges: how the label's edges lie on those of the image.
    """

    errors: tuple[str, ...]
    size: tuple[int, int] | None
    counts: np.ndarray
    labeled: bool
    image: Form
    label: Form
    digest: str
    label_digest: str
    mean: tuple[float, ...]
    square: tuple[float, ...]
    thumb: np.ndarray
    edges: Edges


def read_facts(source: Source, sample: Sample, *, light: bool = False) -> Facts:
    """Read both files of a sample; if `light`, without what compares samples: digest and edges."""
    errors: list[str] = []
    image = label = None
    try:
        image = read_image(sample.image, source.channels)
    except UserError as error:
        errors.append(str(error))
    if sample.label is not None:
        try:
            label = source.read_label(sample)
        except UserError as error:
            errors.append(str(error))
    if image is not None and label is not None:
        try:
            check_sizes(sample, image, label)
        except UserError as error:
            errors.append(str(error))
    counts = np.zeros(len(source.classes) + 1, np.int64)
    if label is not None:
        all_counts = np.bincount(label.ravel(), minlength=IGNORE + 1)
        counts[:-1], counts[-1] = all_counts[: len(counts) - 1], all_counts[IGNORE]
    gray = (
        None if image is None else cv2.cvtColor(source.channels.picture(image), cv2.COLOR_RGB2GRAY)
    )
    mean, square = _statistics(image)
    return Facts(
        errors=tuple(errors),
        size=None if image is None else (image.shape[0], image.shape[1]),
        counts=counts,
        labeled=label is not None,
        image=_form(sample.image, values=False),
        label=_label_form(sample.label),
        digest="" if image is None or light else _digest(image),
        label_digest="" if label is None or light else _digest(label),
        mean=mean,
        square=square,
        thumb=np.zeros((THUMB, THUMB), np.uint8) if gray is None else _small(gray),
        edges=NO_EDGES
        if light or gray is None or label is None or gray.shape != label.shape
        else compare_edges(gray, label),
    )


def _statistics(image: np.ndarray | None) -> tuple[tuple[float, ...], tuple[float, ...]]:
    if image is None:
        return (0.0,), (0.0,)
    mean, std = (values.ravel() for values in cv2.meanStdDev(image))
    if image.dtype == np.uint16:
        mean, std = mean * 255 / FULL, std * 255 / FULL
    return tuple(mean.tolist()), tuple((mean**2 + std**2).tolist())


def _digest(image: np.ndarray) -> str:
    return hashlib.blake2b(
        image.tobytes(), digest_size=16, key=repr(image.shape).encode()
    ).hexdigest()


def _small(gray: np.ndarray) -> np.ndarray:
    small: np.ndarray = cv2.resize(gray, (THUMB, THUMB), interpolation=cv2.INTER_AREA)
    return small


def _label_form(label: Path | None) -> Form:
    """Return the form of a file of pixels; one with the shapes of all images is left unread."""
    if label is None or label.suffix.lower() not in LABEL_SUFFIXES:
        return Form()
    return _form(label, values=True)


def _form(path: Path, *, values: bool) -> Form:
    """Return the form of a file, empty where it is no image."""
    try:
        if not values:
            with Image.open(path) as header:
                return Form(header.mode, header.getexif().get(_ORIENTATION, 1))
        image = decode(path, read_bytes(path), upright=False)
    except (UserError, OSError, SyntaxError, ValueError):
        return Form()
    pixels = np.asarray(image)
    if pixels.ndim == 3 and pixels.shape[2] >= 3:
        red, green, blue = (pixels[..., channel].astype(np.int64) for channel in range(3))
        pixels = COLOR + (red << 16 | green << 8 | blue)
    elif pixels.ndim == 3:
        pixels = pixels[..., 0]
    stored, counts = _counted(pixels)
    order = np.argsort(-counts, kind="stable")[:MOST_VALUES]
    kept = dict(zip(stored[order].tolist(), counts[order].tolist(), strict=True))
    return Form(image.mode, image.getexif().get(_ORIENTATION, 1), kept, len(stored))


def _counted(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if pixels.dtype == np.uint8:
        counts = np.bincount(pixels.ravel(), minlength=256)
        return np.flatnonzero(counts), counts[counts > 0]
    return np.unique(pixels, return_counts=True)


def to_plain(facts: Facts) -> dict[str, Any]:
    """Return facts as JSON takes them, without those that `arrays` returns."""
    plain = {name: getattr(facts, name) for name in _PLAIN}
    for name in ("image", "label"):
        form = plain[name]
        plain[name] = [form.mode, form.orientation, [*form.stored.items()], form.distinct]
    return {**plain, "counts": facts.counts.tolist(), "edges": facts.edges.plain()}


def arrays(facts: Facts) -> np.ndarray:
    """Return the small pictures of facts, (3, THUMB, THUMB) uint8."""
    return np.stack([facts.thumb, facts.edges.image, facts.edges.label])


def from_plain(plain: dict[str, Any], pictures: np.ndarray) -> Facts:
    """Return the facts that `to_plain` and `arrays` describe."""
    forms = {
        name: Form(mode, orientation, {int(value): count for value, count in stored}, distinct)
        for name in ("image", "label")
        for mode, orientation, stored, distinct in [plain[name]]
    }
    given = {name: plain[name] for name in _PLAIN} | forms
    given |= {name: tuple(plain[name]) for name in ("errors", "mean", "square")}
    return Facts(
        **{**given, "size": None if plain["size"] is None else tuple(plain["size"])},
        counts=np.array(plain["counts"], np.int64),
        thumb=pictures[0],
        edges=Edges.from_plain(plain["edges"], pictures[1], pictures[2]),
    )


_PLAIN = [it.name for it in fields(Facts) if it.name not in ("counts", "thumb", "edges")]
