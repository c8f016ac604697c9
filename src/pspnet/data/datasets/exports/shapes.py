"""Shapes of annotation tools: checked against their image, and bitmaps decoded."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np

from pspnet.data.datasets.exports.json_fields import Field
from pspnet.data.image_io import decode
from pspnet.errors import UserError

_PNG = b"\x89PNG\r\n\x1a\n"
_SIZE = struct.Struct(">16xII")  # width and height in the head of a PNG file


def read_size(height: Field, width: Field) -> tuple[int, int]:
    """Return height and width of an image.

    Raises:
        UserError: if they are no numbers of pixels.
    """
    return height.integer(1), width.integer(1)


def check_place(field: Field, points: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse a shape that belongs to an image of another size.

    A shape may cross the border, where it is cut off.

    Args:
        field: the shape, for the error message.
        points: its points [x, y], (N, 2).
        size: height and width of the image.

    Raises:
        UserError: if it is outside of the image, or a point further away than the image is long.
    """
    height, width = size
    low, high, reach = points.min(0), points.max(0), max(size)
    beside = high.min() < 0 or low[0] > width or low[1] > height
    if beside or low.min() < -reach or high.max() > 2 * reach:
        raise field.error(f"give points inside of the image, which is {width}×{height} pixels")


def decode_bitmap(field: Field, size: tuple[int, int]) -> np.ndarray:
    """Decode a PNG in base64, (H, W) bool: True where it is opaque, or not 0 if it has no alpha.

    The PNG may be compressed once more by zlib, as Supervisely writes it.

    Args:
        field: the text.
        size: height and width of the image, which the bitmap must not exceed.

    Raises:
        UserError: if the text is no base64 of such a PNG.
    """
    text, remedy = field.text(), "give a gray PNG in base64, not larger than the image"
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except ValueError:
        raise field.error(remedy) from None
    if not content.startswith(_PNG):
        content = _inflate(content, most=8 * size[0] * size[1] + 2**16)
    width, height = _SIZE.unpack(content[:24]) if len(content) > 24 else (0, 0)
    if not content.startswith(_PNG) or not (0 < height <= size[0] and 0 < width <= size[1]):
        raise field.error(remedy)
    try:
        image = decode(field.path, content, upright=False)
    except UserError:
        raise field.error(remedy) from None
    if image.mode in ("RGBA", "LA") or "transparency" in image.info:
        return np.asarray(image.convert("RGBA").getchannel("A")) > 0
    if image.mode not in ("1", "L", "P"):
        raise field.error(remedy)
    return np.asarray(image) > 0


def _inflate(content: bytes, *, most: int) -> bytes:
    """Return what zlib compressed, or nothing if it is longer than `most` or damaged."""
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(content, most)
    except zlib.error:
        return b""
    return inflated if stream.eof else b""


def paste(label: np.ndarray, bitmap: np.ndarray, corner: tuple[int, int], train_id: int) -> bool:
    """Write a train id where a bitmap is True; return False, and write nothing, if it sticks out.

    Args:
        label: (H, W) uint8, changed in place.
        bitmap: (h, w) bool.
        corner: row and column of its upper left pixel.
        train_id: the value to write.
    """
    (top, left), (rows, columns) = corner, bitmap.shape
    if not (0 <= top <= label.shape[0] - rows and 0 <= left <= label.shape[1] - columns):
        return False
    label[top : top + rows, left : left + columns][bitmap] = train_id
    return True
