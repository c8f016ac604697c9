"""Label files: pixels of values, palettes or colors, read as train ids exactly or refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.image_io import bits_per_channel, count_pages, decode, encode, read_bytes
from pspnet.data.label_errors import colors_unknown, wrong_colors, wrong_values
from pspnet.errors import UserError
from pspnet.files.writing import write_atomic

EXACT = ("PNG", "BMP", "TIFF", "GIF")  # formats that give back what was written
LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
REFUSED = -1
LARGEST_VALUE = 65_535  # that 16 bits hold
_COMPRESSION, _PHOTOMETRIC, _NO_DATA = 259, 262, 42113  # tags of TIFF
_JPEG_IN_TIFF = (6, 7)

Color = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class LabelCode:
    """The train id of each pixel value or color of a data set's label files.

    Args:
        values: train id of each stored value, (256,) or longer, int16, 255 where it is ignored, -1
            where it is refused.
        colors: train id, or 255, of each RGB color. With it, files of colors and palettes are read
            by color. Without it, files of colors are refused, and palettes are not looked at unless
            they are gray throughout.
        transparent: True ignores fully transparent pixels; False refuses them.
        one_channel: True refuses gray files of several channels, as benchmarks' servers do.
        drawn: names that decide what is drawn, where labels are shapes and no pixels.
        class_file: the classes.yaml that can ignore values and give colors, for error messages.
    """

    values: np.ndarray
    colors: Mapping[Color, int] | None = None
    transparent: bool = False
    one_channel: bool = False
    drawn: tuple[str, ...] = ()
    class_file: Path | None = None

    @cached_property
    def key(self) -> str:
        """Return a digest of the code, by which outdated copies of labels are known."""
        colors = None if self.colors is None else sorted(self.colors.items())
        text = f"{self.values.tolist()} {colors} {self.transparent}{''.join(map(repr, self.drawn))}"
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def color_table(self) -> np.ndarray:
        """Train id of each color 65536·R + 256·G + B, (2²⁴,) int16, -1 where it is refused."""
        table = np.full(1 << 24, REFUSED, np.int16)
        for (red, green, blue), train_id in (self.colors or {}).items():
            table[red << 16 | green << 8 | blue] = train_id
        return table


def read_label(path: Path, code: LabelCode) -> np.ndarray:
    """Read the train ids of a label file, (H, W) uint8, turned by its own EXIF orientation.

    One channel holds values. A palette is read by its colors where `code` knows colors, and as
    values where it is gray, as tools that make files smaller write it. RGB is read by color, or as
    values where it is gray and its colors are not known.

    Raises:
        UserError: if the file is missing, cut off, of a format that changes pixels or of several
            pages, is transparent in part, or holds a value or color that `code` refuses.
    """
    content = read_bytes(path)
    image = decode(path, content, upright=True)
    _check_format(path, image, content)
    pixels = _pixels(path, image, content)
    clear = _clear(path, image, pixels, code)
    if clear.all():
        return np.full(pixels.shape[:2], IGNORE, np.uint8)
    if clear.any():  # what they hold means nothing, and may be no value or color that is known
        pixels[clear] = pixels[~clear][0]
    if image.mode == "P":
        label = _by_palette(path, image, pixels, code)
    elif pixels.ndim == 3:
        label = _by_color(path, image.mode, pixels, code)
    else:
        label = _by_value(path, pixels, code)
    if clear.any():
        label[clear] = IGNORE
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


def _check_format(path: Path, image: Image.Image, content: bytes) -> None:
    pages = count_pages(path, image, content)
    lossy = image.format == "TIFF" and image.tag_v2.get(_COMPRESSION) in _JPEG_IN_TIFF  # type: ignore[attr-defined]
    if image.format not in EXACT or lossy:
        raise UserError(
            f"{path} is a {image.format} file{' with JPEG compression' if lossy else ''}; labels"
            " must be PNG, which is exact, or BMP, GIF or TIFF"
        )
    if pages > 1:
        raise UserError(f"{path} has {pages} pages; save the one with the labels by itself")


def _pixels(path: Path, image: Image.Image, content: bytes) -> np.ndarray:
    """Return what a file stores: values or indices, (H, W), or colors, (H, W, 3) uint8."""
    bits = bits_per_channel(image, content)
    if image.mode in ("RGB", "RGBA", "LA") and bits <= 8:
        return np.array(image.convert("RGB"))
    if image.mode not in ("1", "L", "P", "I", "I;16", "I;16B"):
        raise UserError(
            f"{path} has pixels of mode {image.mode}, {bits} bits per channel, where one class"
            " index per pixel is expected; save it as a PNG of class indices"
        )
    from_white = image.format == "TIFF" and image.tag_v2.get(_PHOTOMETRIC) == 0  # type: ignore[attr-defined]
    if from_white and image.mode != "1":
        raise UserError(
            f"{path} counts its grays from white (MinIsWhite), so that readers differ in its"
            " values; save it as a PNG of class indices"
        )
    stored = np.array(image)
    if image.mode == "L" and bits in (2, 4):
        stored //= 255 // (2**bits - 1)  # Pillow stretches these grays to 0..255
    return stored.astype(np.uint8) if stored.dtype == np.bool_ else stored


def _by_value(path: Path, stored: np.ndarray, code: LabelCode) -> np.ndarray:
    table = code.values
    if stored.dtype == np.uint8:
        mapped = cv2.LUT(stored, table[:256])  # five times faster than indexing in numpy
    elif stored.min() >= 0 and stored.max() < len(table):
        mapped = table[stored]
    else:
        raise wrong_values(path, stored, table, code.class_file)
    if mapped.min() < 0:
        raise wrong_values(path, stored, table, code.class_file)
    label: np.ndarray = mapped.astype(np.uint8)
    return label


def _by_palette(path: Path, image: Image.Image, indices: np.ndarray, code: LabelCode) -> np.ndarray:
    palette = np.zeros((256, 3), np.uint8)
    colors = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[: len(colors)] = colors
    is_whole = indices.max() < len(colors)
    if code.colors is None:
        gray = is_whole and (colors == colors[:, :1]).all()
        return _by_value(path, palette[:, 0][indices] if gray else indices, code)
    by_color = code.color_table[_packed(palette)]
    # behind its end a palette has no colors, where tools leave 255 as it is
    by_color[len(colors) :] = np.where(code.values[len(colors) : 256] == IGNORE, IGNORE, REFUSED)
    # it may be shorter than the classes, or hold other colors for values of no class
    mapped = cv2.LUT(indices, by_color)
    if mapped.min() >= 0:
        label: np.ndarray = mapped.astype(np.uint8)
        return label
    wrong = np.setdiff1d(indices, np.flatnonzero(by_color >= 0))
    if wrong[-1] >= len(colors):
        raise UserError(
            f"{path} holds the index {wrong[-1]}, but its palette has {len(colors)} colors; save it"
            " with its whole palette"
        )
    used = palette[np.unique(indices)]
    if is_whole and (used == used[:, :1]).all() and _are_values(used[:, 0], code):
        return _by_value(path, palette[:, 0][indices], code)
    raise wrong_colors(path, palette[wrong], code.class_file)


def _by_color(path: Path, mode: str, pixels: np.ndarray, code: LabelCode) -> np.ndarray:
    if code.colors is not None:
        mapped = code.color_table[_packed(pixels)]
        if mapped.min() >= 0:
            label: np.ndarray = mapped.astype(np.uint8)
            return label
    gray = pixels[..., 0]
    is_gray = (gray == pixels[..., 1]).all() and (gray == pixels[..., 2]).all()
    if is_gray and not code.one_channel and _are_values(np.unique(gray), code):
        return _by_value(path, gray, code)
    if code.colors is None:
        raise colors_unknown(path, mode, code.class_file)
    packed = np.unique(_packed(pixels)[mapped < 0])
    wrong = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    raise wrong_colors(path, wrong, code.class_file)


def _are_values(grays: np.ndarray, code: LabelCode) -> bool:
    """Return whether grays, of which some are no known color, mean the same as colors and values.

    Otherwise they are colors with a few wrong ones: white would be read as 255, and be ignored.
    """
    if code.colors is None:
        return True
    by_color = code.color_table[_packed(np.stack([grays] * 3, axis=-1))]
    return bool(((by_color == REFUSED) | (by_color == code.values[grays])).all())


def _packed(pixels: np.ndarray) -> np.ndarray:
    """Return 65536·R + 256·G + B of (..., 3) uint8."""
    red, green, blue = (pixels[..., channel].astype(np.int32) for channel in range(3))
    return red << 16 | green << 8 | blue


def _clear(path: Path, image: Image.Image, pixels: np.ndarray, code: LabelCode) -> np.ndarray:
    """Return which pixels are transparent or no data, (H, W) bool, or one False.

    Raises:
        UserError: if some are transparent, and `code` does not ignore them, or are so in part, or
            if no data is a class.
    """
    no_data, key = _no_data(image), image.info.get("transparency")
    if no_data is not None:
        if 0 <= no_data < len(code.values) and code.values[no_data] not in (REFUSED, IGNORE):
            raise UserError(
                f"{path} declares the value {no_data} to be no data, but it is a class; ignore the"
                " value, or remove the file's no-data tag"
            )
        return np.asarray(pixels == no_data)
    if image.mode in ("RGBA", "LA"):
        alpha = np.asarray(image.getchannel("A"))
    elif key is None:
        return np.zeros((), np.bool_)
    elif image.mode == "P":
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    else:  # the one gray or color that is transparent; Pillow stretches that of 1 bit
        equal = pixels == (key > 0 if image.mode == "1" else np.array(key))
        alpha = np.where(equal.all(-1) if equal.ndim == 3 else equal, 0, 255)
    clear: np.ndarray = alpha == 0
    if not code.transparent and clear.any():
        raise UserError(
            f"{path} is transparent in {clear.mean():.0%} of its pixels; ignore them with"
            " `transparent: ignore` in classes.yaml, or save it without transparency"
        )
    if not (clear | (alpha == 255)).all():
        raise UserError(
            f"{path} has pixels that are transparent in part, as of soft edges; save it without"
            " transparency, each pixel of one class"
        )
    return clear


def _no_data(image: Image.Image) -> int | None:
    """Return the whole number, or index, that a GeoTIFF of one channel declares to be no data."""
    if image.format != "TIFF" or len(image.getbands()) > 1:
        return None
    try:
        number = float(str(image.tag_v2[_NO_DATA]).strip("\0 "))  # type: ignore[attr-defined]
        return int(number) if number == int(number) else None
    except (KeyError, ValueError, OverflowError):  # no tag, no number, infinite
        return None
