"""Channels of images: their names, their bands in a file, and the range of stored values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pspnet.errors import UserError

MOST = 256  # channels
FULL = 2**16 - 1  # full intensity in 16 bits


@dataclass(frozen=True)
class Channels:
    """The channels that a network sees, and how a file stores them.

    Args:
        names: their names; one for gray images, four for RGB and near infrared.
        bands: the number of each in the file, from 1; None takes the file's in their order, without
            an alpha channel beyond them.
        value_range: stored values of no and of full intensity, between which images are scaled, and
            beyond which they are clipped; None takes files of 8 bits as they are.
        shown: one or three names, which pictures show as gray or as red, green and blue; None shows
            the first three, or the first of fewer.

    Raises:
        UserError: if a value is out of range.
    """

    names: tuple[str, ...] = ("red", "green", "blue")
    bands: tuple[int, ...] | None = None
    value_range: tuple[float, float] | None = None
    shown: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if not 1 <= len(set(self.names)) == len(self.names) <= MOST:
            raise UserError(f"channels.names={[*self.names]}: give 1 to {MOST} different names")
        if self.bands is not None and (len(self.bands) != len(self) or min(self.bands) < 1):
            raise UserError(
                f"channels.bands={[*self.bands]}: give {len(self)} numbers from 1, one per name"
            )
        low, high = self.value_range or (0, 1)
        if not -math.inf < low < high < math.inf:
            raise UserError(
                f"channels.value_range={[low, high]}: give two values, the least first, such as "
                "[0, 10000]"
            )
        shown = self.shown or self.names[:1]
        if len(shown) not in (1, 3) or not {*shown} <= {*self.names}:
            raise UserError(f"channels.shown={[*shown]}: give one or three of {[*self.names]}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def is_rgb(self) -> bool:
        """True for three channels of 8 bits, the first three of a file."""
        return len(self) == 3 and self.bands is None and self.value_range is None

    @property
    def dtype(self) -> np.dtype:
        """The type of decoded images: uint8, or uint16 where a range is stated."""
        return np.dtype(np.uint8 if self.value_range is None else np.uint16)

    def places(self, count: int, *, alpha: bool, path: Path) -> list[int]:
        """Return the places of the channels among the `count` bands of a file.

        Args:
            count: bands of the file.
            alpha: the last one is an alpha channel.
            path: the file.

        Raises:
            UserError: if the file has other bands.
        """
        if self.bands is None and len(self) in (count, count - alpha):
            return [*range(len(self))]
        if self.bands is None or max(self.bands) > count:
            asked = f"bands {[*self.bands]}" if self.bands else ", ".join(self.names)
            raise UserError(
                f"{path} has {count} bands, and data.channels asks for {asked}; set "
                "data.channels.names and data.channels.bands to those that it has"
            )
        return [band - 1 for band in self.bands]

    def scaled(self, values: np.ndarray, *, name: object) -> np.ndarray:
        """Return stored values (H, W, C) as shares of full intensity, uint8 or uint16.

        Args:
            values: of 8 bits, or of any real type where a range is stated.
            name: of the image, for the error message.

        Raises:
            UserError: for values of more than 8 bits without a range.
        """
        if self.value_range is None:
            if values.dtype != np.uint8:
                raise UserError(
                    f"{name} holds {values.dtype}; set data.channels.value_range to the values of"
                    " no and of full intensity, such as [0, 65535]"
                )
            return np.ascontiguousarray(values)
        low, high = self.value_range
        shares = (values.astype(np.float32, order="C") - np.float32(low)) / np.float32(high - low)
        steps: np.ndarray = np.rint(np.nan_to_num(shares).clip(0, 1) * FULL).astype(np.uint16)
        return steps

    def picture(self, pixels: np.ndarray) -> np.ndarray:
        """Return the shown channels of an image (H, W, C) as RGB, (H, W, 3) uint8."""
        if self.is_rgb and self.shown is None:
            return pixels
        shown = self.shown or self.names[: 3 if len(self) >= 3 else 1]
        picked = pixels[..., [self.names.index(name) for name in shown]]
        if picked.dtype == np.uint16:
            picked = (picked // (FULL // 255)).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(picked, (*picked.shape[:2], 3)))


RGB = Channels()
