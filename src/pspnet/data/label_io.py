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
from pspnet.data.image_io import PNG_DEPTH, count_pages, decode, encode, read_bytes
from pspnet.errors import UserError
from pspnet.files.writing import write_atomic

EXACT = ("PNG", "BMP", "TIFF", "GIF")  # formats that give back what was written
LABEL_SUFFIXES = (".png", ".bmp", ".tif", ".tiff", ".gif")
REFUSED = -1
LARGEST_VALUE = 65_535  # that 16 bits hold
_PNG_COLOR = PNG_DEPTH + 1  # offset of the color type in a PNG file
_BITS, _COMPRESSION, _PHOTOMETRIC, _NO_DATA = 258, 259, 262, 42113  # tags of TIFF
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
    """

    values: np.ndarray
    colors: Mapping[Color, int] | None = None
    transparent: bool = False
    one_channel: bool = False
    drawn: tuple[str, ...] = ()

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
    clear = _transparent(path, image, code)
    if clear is not None and clear.all():
        return np.full(clear.shape, IGNORE, np.uint8)
    if image.mode == "P":
        label = _by_palette(path, image, _filled(np.array(image), clear), code)
    elif image.mode in ("RGB", "RGBA", "LA"):
        pixels = _filled(np.array(image.convert("RGB")), clear)
        label = _by_color(path, image.mode, pixels, code)
    else:
        label = _by_value(path, _values(path, image, content), code, _no_data(path, image, code))
    if clear is not None:
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
    pages = count_pages(image, content)
    lossy = image.format == "TIFF" and image.tag_v2.get(_COMPRESSION) in _JPEG_IN_TIFF  # type: ignore[attr-defined]
    if image.format not in EXACT or lossy:
        raise UserError(
            f"{path} is a {image.format} file{' with JPEG compression' if lossy else ''}; labels"
            " must be PNG, which is exact, or BMP, GIF or TIFF"
        )
    if pages > 1:
        raise UserError(f"{path} has {pages} pages; save the one with the labels by itself")


def _by_value(
    path: Path, stored: np.ndarray, code: LabelCode, no_data: int | None = None
) -> np.ndarray:
    table = code.values
    if no_data is not None:
        table = np.pad(table, (0, max(0, no_data + 1 - len(table))), constant_values=REFUSED)
        table[no_data] = IGNORE
    if stored.dtype == np.uint8:
        mapped = cv2.LUT(stored, table[:256])  # five times faster than indexing in numpy
    elif stored.max() < len(table):
        mapped = table[stored]
    else:
        raise _wrong_values(path, stored, table)
    if mapped.min() < 0:
        raise _wrong_values(path, stored, table)
    label: np.ndarray = mapped.astype(np.uint8)
    return label


def _values(path: Path, image: Image.Image, content: bytes) -> np.ndarray:
    if image.mode not in ("1", "L", "I", "I;16", "I;16B"):
        raise UserError(
            f"{path} has pixels of mode {image.mode} where one class index per pixel is expected;"
            " save it as a PNG of class indices"
        )
    depth = 8
    if image.format == "PNG" and content[_PNG_COLOR] == 0:
        depth = content[PNG_DEPTH]
    elif image.format == "TIFF":
        tags = image.tag_v2  # type: ignore[attr-defined]
        depth = tags.get(_BITS, (8,))[0]
        if tags.get(_PHOTOMETRIC) == 0 and image.mode != "1":
            raise UserError(
                f"{path} counts its grays from white (MinIsWhite), so that readers differ in its"
                " values; save it as a PNG of class indices"
            )
    stored = np.array(image)
    if stored.dtype == np.bool_:
        return stored.astype(np.uint8)
    if depth in (2, 4):
        stored //= 255 // (2**depth - 1)  # Pillow stretches these grays to 0..255
    return stored


def _no_data(path: Path, image: Image.Image, code: LabelCode) -> int | None:
    """Return the value that a GeoTIFF declares to be no data.

    Raises:
        UserError: if it is a class.
    """
    if image.format != "TIFF" or _NO_DATA not in image.tag_v2:  # type: ignore[attr-defined]
        return None
    text = str(image.tag_v2[_NO_DATA]).strip("\0 ")  # type: ignore[attr-defined]
    try:
        number = float(text)
    except ValueError:
        return None
    if number != number // 1 or not 0 <= number <= LARGEST_VALUE:  # nan, and what no pixel holds
        return None
    value = int(number)
    if value >= len(code.values) or code.values[value] in (REFUSED, IGNORE):
        return value
    raise UserError(
        f"{path} declares the value {value} to be no data, but it is a class; ignore the value, or"
        " remove the file's no-data tag"
    )


def _by_palette(path: Path, image: Image.Image, indices: np.ndarray, code: LabelCode) -> np.ndarray:
    palette = np.zeros((256, 3), np.uint8)
    colors = np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)
    palette[: len(colors)] = colors
    if code.colors is None:
        gray = (colors == colors[:, :1]).all()
        return _by_value(path, palette[:, 0][indices] if gray else indices, code)
    by_color = code.color_table[_packed(palette)]
    # a palette may be shorter than the classes, or hold other colors for values of no class
    mapped = cv2.LUT(indices, by_color)
    if mapped.min() >= 0:
        label: np.ndarray = mapped.astype(np.uint8)
        return label
    used = palette[np.unique(indices)]
    if (used == used[:, :1]).all() and _are_values(used[:, 0], code):
        return _by_value(path, palette[:, 0][indices], code)
    raise _wrong_colors(path, used[by_color[np.unique(indices)] < 0], code)


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
        raise UserError(
            f"{path} has pixels of mode {mode} where one class index per pixel is expected;"
            " give the classes' colors, or replace each color by its class's index and save the"
            " PNG in mode L or P"
        )
    packed = np.unique(_packed(pixels)[mapped < 0])
    wrong = np.stack([packed >> 16, packed >> 8 & 255, packed & 255], axis=1)
    raise _wrong_colors(path, wrong, code)


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


def _transparent(path: Path, image: Image.Image, code: LabelCode) -> np.ndarray | None:
    """Return which pixels are transparent, (H, W) bool; None if none can be.

    Raises:
        UserError: if some are, and `code` does not ignore them, or some are so in part.
    """
    if image.mode in ("RGBA", "LA"):
        alpha = np.asarray(image.getchannel("A"))
    elif "transparency" in image.info and image.mode == "P":
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
    else:
        return None
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


def _filled(pixels: np.ndarray, clear: np.ndarray | None) -> np.ndarray:
    """Give transparent pixels, whose color means nothing, that of one that is opaque."""
    if clear is not None and clear.any():
        pixels[clear] = pixels[~clear][0]
    return pixels


def _wrong_values(path: Path, stored: np.ndarray, table: np.ndarray) -> UserError:
    accepted = np.flatnonzero(table >= 0)
    wrong = np.setdiff1d(stored, accepted)
    return UserError(
        f"{path} holds the label values {_ranges(wrong)}, but {_ranges(accepted)} are accepted;"
        " correct the file, or choose the data set that it belongs to"
    )


def _wrong_colors(path: Path, wrong: np.ndarray, code: LabelCode) -> UserError:
    some = ", ".join(str(tuple(map(int, color))) for color in wrong[:4])
    more = f" and {len(wrong) - 4} more" if len(wrong) > 4 else ""
    known = len(set((code.colors or {}).values()) - {IGNORE})
    return UserError(
        f"{path} holds the colors {some}{more}, which are none of the {known} classes' colors;"
        " correct the file or the classes' colors; without colors, palettes are read by index"
    )


def _ranges(values: np.ndarray) -> str:
    """Return sorted integers as text: `0 to 20 and 255`."""
    runs = np.split(values, np.flatnonzero(np.diff(values) != 1) + 1)
    texts = [f"{run[0]} to {run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs]
    if len(texts) > 8:  # a color image saved as gray has hundreds
        texts = [*texts[:7], f"{len(values) - sum(map(len, runs[:7]))} more"]
    return " and ".join([", ".join(texts[:-1])] * (len(texts) > 1) + texts[-1:])
