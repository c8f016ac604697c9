"""Images and labels on disk: read exactly, or refused in one line that names the file."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.memory import available_memory
from pspnet.errors import UserError
from pspnet.files.writing import write_atomic

# raised by Pillow on bytes that are no image, or not all of one
_UNREADABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    IndexError,
    struct.error,
    MemoryError,
)
Image.MAX_IMAGE_PIXELS = None  # the memory is the limit, see `check_memory`
BYTES_PER_PIXEL = 10  # of RGB decoded, with an alpha channel, and copied
LARGEST_SIDE = 32_766  # pixels; OpenCV counts those of a resize in 16 bits
_ORIENTATION = 0x0112  # the EXIF tag; 5 to 8 swap rows and columns
_PNG_DEPTH, _PNG_COLOR = 24, 25  # offsets of bit depth and color type in a PNG file


def read_image(path: Path) -> np.ndarray:
    """Read an image as RGB, (H, W, 3) uint8, upright according to its EXIF orientation.

    Gray and palette images are expanded to RGB; an alpha channel is dropped.

    Raises:
        UserError: if the file is missing, no image or cut off, or has more than 8 bits per channel.
    """
    image = _decode(path, _read_bytes(path), upright=True)
    if image.mode[0] in "IF":
        raise UserError(
            f"{path}: pixels of mode {image.mode} hold more than 8 bits; save it as 8-bit RGB"
        )
    if image.mode == "P":  # Pillow warns when it drops a palette's alpha on the way to RGB
        image = image.convert("RGBA")
    return np.array(image.convert("RGB"))


def image_size(path: Path) -> tuple[int, int]:
    """Read height and width of an image, as `read_image` turns it, from the file's header alone.

    The orientation of a JPEG counts; that of other formats may stand behind the pixels.

    Raises:
        UserError: if the file is missing or no image.
    """
    try:
        with Image.open(path) as image:
            sideways = image.format == "JPEG" and image.getexif().get(_ORIENTATION, 1) > 4
            width, height = image.size
    except _UNREADABLE as error:
        raise _unreadable(path, error) from None
    return (width, height) if sideways else (height, width)


def read_label(path: Path, train_ids: np.ndarray) -> np.ndarray:
    """Read the train ids of a label PNG (one channel or palette), (H, W) uint8.

    Args:
        path: the file.
        train_ids: train id of each stored value, (256,) int16, -1 for values that are refused.

    Raises:
        UserError: if the file is missing, no PNG or cut off, has colors or transparency in place of
            class indices, or holds a value that `train_ids` refuses.
    """
    stored = _read_indices(path)
    if stored.dtype != np.uint8:
        if stored.max() > IGNORE:
            _refuse(path, stored, train_ids)
        stored = stored.astype(np.uint8)
    mapped = cv2.LUT(stored, train_ids)  # five times faster than indexing in numpy
    if mapped.min() < 0:
        _refuse(path, stored, train_ids)
    label: np.ndarray = mapped.astype(np.uint8)
    return label


def write_label(path: Path, label: np.ndarray, palette: np.ndarray | None) -> None:
    """Write class indices as a PNG of one channel, whole or not at all.

    Args:
        path: the file, in a folder that exists.
        label: (H, W) uint8.
        palette: RGB per label value, (256, 3) uint8, see `Classes.palette`; None writes grays.

    Raises:
        NotWritten: if the system refuses.
    """
    write_atomic(path, encode(label, palette=palette), durable=False)


def encode(pixels: np.ndarray, format: str = "PNG", *, palette: np.ndarray | None = None) -> bytes:
    """Return the bytes of an image file.

    Args:
        pixels: (H, W, 3) or (H, W) uint8.
        format: "PNG", or "JPEG" of full color resolution, which keeps borders of classes sharp.
        palette: RGB per value of (H, W), (256, 3) uint8.
    """
    image = Image.fromarray(pixels)
    if palette is not None:
        image.putpalette(palette.tobytes())
    encoded = io.BytesIO()
    image.save(encoded, format, quality=92, subsampling=0)  # PNG ignores both options
    return encoded.getvalue()


def _read_bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise UserError(f"{path} is a folder, pipe or device; give an image file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from None


def _decode(path: Path, content: bytes, *, upright: bool) -> Image.Image:
    try:
        image = Image.open(io.BytesIO(content))
        check_memory(path, image.width, image.height)
        image.load()
        if upright:
            ImageOps.exif_transpose(image, in_place=True)
    except _UNREADABLE as error:
        if isinstance(error, UserError):
            raise
        raise _unreadable(path, error) from None
    return image


def check_memory(path: Path, width: int, height: int) -> None:
    """Refuse an image that cannot be decoded in the memory that is left.

    Raises:
        UserError: with the image's size.
    """
    need = BYTES_PER_PIXEL * width * height
    if need > available_memory():
        raise UserError(
            f"{path} is {width}×{height} pixels, for which {need / 2**30:.1f} GiB of memory are"
            " missing; cut it into tiles, or give more memory"
        )


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    if isinstance(error, UnidentifiedImageError):
        reason = "not a known image format"
    return UserError(
        f"{path} cannot be read as an image ({reason or type(error).__name__}); replace it"
    )


def _read_indices(path: Path) -> np.ndarray:
    content = _read_bytes(path)
    image = _decode(path, content, upright=False)
    if image.format != "PNG":
        raise UserError(f"{path} is a {image.format} file; labels must be PNG, which is exact")
    if image.mode not in ("1", "L", "P", "I", "I;16"):
        raise UserError(
            f"{path} has pixels of mode {image.mode} where one class index per pixel is expected;"
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
        f"{path} holds the label values {_ranges(wrong)}, but {_ranges(accepted)} are accepted;"
        " correct the file, or choose the data set that it belongs to"
    )


def _ranges(values: np.ndarray) -> str:
    """Return sorted integers as text: `0 to 20 and 255`."""
    runs = np.split(values, np.flatnonzero(np.diff(values) != 1) + 1)
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    if len(texts) > 8:  # a color image saved as gray has hundreds
        texts = [*texts[:7], f"{len(values) - sum(map(len, runs[:7]))} more"]
    return " and ".join([", ".join(texts[:-1])] * (len(texts) > 1) + texts[-1:])
