"""Images, labels and lists on disk: read exactly, or refused in one line that names the file."""

from __future__ import annotations

import io
import struct
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import cv2
import numpy as np
from PIL import Image, ImageOps

from pspnet.data.datasets.base import Sample
from pspnet.data.datasets.classes import IGNORE
from pspnet.errors import UserError, write_atomic

if TYPE_CHECKING:
    from pspnet.data.cache import Cache

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp")

# what Pillow raises on bytes that are no image, or not all of one
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    IndexError,
    struct.error,
    Image.DecompressionBombError,
)
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 swap rows and columns
_PNG_DEPTH, _PNG_COLOR = 24, 25  # offsets of bit depth and color type in a PNG file


def read_image(path: Path) -> np.ndarray:
    """A picture as RGB, (H, W, 3) uint8, turned upright as its EXIF orientation says.

    Gray and palette pictures are expanded to RGB and an alpha channel is dropped.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no picture, is cut off, or has more than 8 bits a channel.
    """
    image = _decoded(path, path.read_bytes(), upright=True)
    if image.mode[0] in "IF":
        raise UserError(
            f"{path}: pixels of mode {image.mode} hold more than 8 bits; save it as 8-bit RGB"
        )
    if image.mode == "P":  # Pillow warns when it drops a palette's alpha on the way to RGB
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def image_size(path: Path) -> tuple[int, int]:
    """Height and width of a picture as `read_image` turns it, from the file's header alone.

    The orientation of a JPEG counts; that of other formats may stand behind the pixels.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no picture.
    """
    with path.open("rb") as file:
        try:
            image = Image.open(file)
            sideways = image.format == "JPEG" and image.getexif().get(_ORIENTATION, 1) > 4
        except _UNREADABLE as error:
            raise _unreadable(path, error) from None
    width, height = image.size
    return (width, height) if sideways else (height, width)


def read_label(path: Path, train_ids: np.ndarray) -> np.ndarray:
    """The train ids of a label PNG (one channel or palette), (H, W) uint8.

    Args:
        path: the file.
        train_ids: train id of each stored value, (256,) int16, -1 for values that are refused.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no PNG, is cut off, has colors or transparency in place of class
            indices, or holds a value that `train_ids` refuses.
    """
    stored = _indices(path)
    if stored.dtype != np.uint8:
        if stored.max() > IGNORE:
            _refuse(path, stored, train_ids)
        stored = stored.astype(np.uint8)
    mapped = cv2.LUT(stored, train_ids)  # five times quicker than indexing in numpy
    if mapped.min() < 0:
        _refuse(path, stored, train_ids)
    label: np.ndarray = mapped.astype(np.uint8)
    return label


def read_pair(
    sample: Sample, train_ids: np.ndarray, *, cache: Cache | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Image and label of a sample, (H, W, 3) and (H, W) uint8; those of a cache are read-only.

    Raises:
        ValueError: if the sample has no label, or one of another size than its image.
    """
    if sample.label is None:
        raise UserError(f"{sample.image} has no label; take a split with labels, or predict")
    if cache is None:
        image, label = read_image(sample.image), read_label(sample.label, train_ids)
    else:
        image, label = cache.image(sample.image), cache.label(sample.label, train_ids)
    if image.shape[:2] != label.shape:
        (height, width), (rows, columns) = image.shape[:2], label.shape
        raise UserError(
            f"{sample.label} is {columns}×{rows} pixels, its image {sample.image} {width}×{height};"
            " make them one size"
        )
    return image, label


def write_label(path: Path, label: np.ndarray, palette: np.ndarray | None) -> None:
    """Writes class indices as a PNG of one channel, whole or not at all.

    Args:
        path: the file, in a folder that exists.
        label: (H, W) uint8.
        palette: RGB by label value, (256, 3) uint8, as of `Classes.palette`; None writes grays.
    """
    image = Image.fromarray(label)
    if palette is not None:
        image.putpalette(palette.tobytes())
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    write_atomic(path, encoded.getvalue())


def read_list(path: Path) -> list[str]:
    """The lines of a split's list, stripped, without empty ones.

    Raises:
        FileNotFoundError: if there is no such list.
        ValueError: if it is no text or names nothing.
    """
    require(path, "the split's list of files")
    try:
        text = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{path} is no UTF-8 text; write one name a line") from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise UserError(f"{path} names no file; write one name a line")
    return lines


def read_stems(path: Path) -> list[str]:
    """The stems that a list of VOC's kind names.

    A line is a stem, or the paths of an image and its label, as in the lists that are passed around
    for the augmented training set; of those the image's stem is taken.

    Raises:
        FileNotFoundError: if there is no such list.
        ValueError: if it is no text or names nothing.
    """
    firsts = [line.split()[0] for line in read_list(path)]
    return [Path(first).stem if "/" in first else first for first in firsts]


def require(path: Path, expected: str) -> Path:
    """The path, if it exists.

    Raises:
        FileNotFoundError: otherwise, saying what was expected there.
    """
    if not path.exists():
        raise UserError(f"{path} is missing: expected {expected}")
    return path


def check_samples(samples: list[Sample], origin: Path) -> list[Sample]:
    """The samples of one split, once it is sure that there are some, each once, with their files.

    Args:
        samples: what was found.
        origin: the list or folder that named them, for the messages.

    Raises:
        FileNotFoundError: naming the first image or label that is missing.
        ValueError: if there is no sample or two have one name.
    """
    if not samples:
        raise UserError(f"{origin} holds no image; check the root, or take another split")
    name, count = Counter(sample.name for sample in samples).most_common(1)[0]
    if count > 1:
        raise UserError(f"{origin} names {name!r} {count} times; keep one of them")
    for sample in samples:
        require(sample.image, f"an image that {origin} names")
        if sample.label is not None:
            require(sample.label, f"the label of {sample.image}")
    return samples


def _decoded(path: Path, content: bytes, *, upright: bool) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
        if upright:
            ImageOps.exif_transpose(image, in_place=True)
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    return image


def _unreadable(path: Path, error: Exception) -> ValueError:
    reason = " ".join(str(error).split()) or type(error).__name__
    reason = "no known picture format" if "cannot identify" in reason else reason
    return ValueError(f"{path} cannot be read as a picture ({reason}); replace it")


def _indices(path: Path) -> np.ndarray:
    content = path.read_bytes()
    image = _decoded(path, content, upright=False)
    if image.format != "PNG":
        raise UserError(f"{path} is a {image.format} file; labels must be PNG, which is exact")
    if image.mode not in ("1", "L", "P", "I", "I;16"):
        raise UserError(
            f"{path} has pixels of mode {image.mode} where one class index a pixel is expected;"
            " replace each color by its class's index and save the PNG in mode L or P"
        )
    stored = np.array(image)
    if stored.dtype == np.bool_:
        return stored.astype(np.uint8)
    if content[_PNG_COLOR] == 0 and content[_PNG_DEPTH] in (2, 4):
        stored //= 255 // (2 ** content[_PNG_DEPTH] - 1)  # Pillow stretches these grays to 0..255
    return stored


def _refuse(path: Path, stored: np.ndarray, train_ids: np.ndarray) -> NoReturn:
    accepted = np.flatnonzero(train_ids >= 0)
    wrong = np.setdiff1d(stored, accepted)
    raise UserError(
        f"{path} holds the label values {_in_words(wrong)}, but {_in_words(accepted)} are accepted;"
        " correct the file, or choose the data set that it belongs to"
    )


def _in_words(values: np.ndarray) -> str:
    """Sorted integers as text: `0 to 20 and 255`."""
    runs = np.split(values, np.flatnonzero(np.diff(values) != 1) + 1)
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    if len(texts) > 8:  # a color picture saved as gray has hundreds
        texts = [*texts[:7], f"{len(values) - sum(map(len, runs[:7]))} more"]
    return " and ".join([", ".join(texts[:-1])] * (len(texts) > 1) + texts[-1:])
