"""Predictions on disk: label values, colors, and colors over the image."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
from PIL import Image

from pspnet.errors import UserError, atomic


class Writer:
    """Writes each prediction as three files below a folder, never over a file unless asked to.

    `index/NAME.png` holds the label values; a palette in it lets viewers show colors. Pillow reads
    the values back (`np.array(Image.open(path))`), OpenCV would expand them to colors.
    `color/NAME.png` holds the colors, `overlay/NAME.jpg` the colors over the image.

    Args:
        out_dir: the folder; it is made when the first file is written.
        palette: RGB by label value, (256, 3) uint8.
        overwrite: whether files that exist are replaced.
        alpha: weight of the colors in the overlay, 0 (image only) to 1 (colors only).

    Raises:
        ValueError: if the palette's shape or type, or alpha, is wrong.
        FileExistsError: if `out_dir` is a file.
    """

    def __init__(
        self, out_dir: Path, *, palette: np.ndarray, overwrite: bool = False, alpha: float = 0.5
    ) -> None:
        if palette.shape != (256, 3) or palette.dtype != np.uint8:
            raise UserError(f"palette {palette.shape} {palette.dtype}; give (256, 3) uint8")
        if not 0 <= alpha <= 1:
            raise UserError(f"alpha={alpha}: give a weight from 0 to 1")
        if Path(out_dir).exists() and not Path(out_dir).is_dir():
            raise UserError(f"{out_dir} is a file; name a folder for the predictions")
        self.out_dir = Path(out_dir)
        self.palette = palette
        self.overwrite = overwrite
        self.alpha = alpha

    def check(self, names: Iterable[str]) -> None:
        """Refuses names that cannot all be written; called before anything is computed.

        Raises:
            ValueError: if a name would leave the folder or stands twice.
            FileExistsError: naming the first file that exists, unless `overwrite` is set.
        """
        seen: set[str] = set()
        for name in names:
            self._refuse_existing(self.paths(name))
            if name in seen:
                raise UserError(f"name {name!r} stands twice; each prediction needs its own")
            seen.add(name)

    def write(self, name: str, label: np.ndarray, image: np.ndarray) -> None:
        """Writes the three files of one prediction, the index file last.

        Args:
            name: relative path without suffix; its folders are kept.
            label: (H, W) uint8.
            image: (H, W, 3) uint8 RGB.

        Raises:
            ValueError: if a shape or type is wrong or the name would leave the folder.
            FileExistsError: if one of the files exists, unless `overwrite` is set.
        """
        if label.ndim != 2 or label.dtype != np.uint8:
            raise UserError(f"{name}: label {label.shape} {label.dtype}; give (H, W) uint8")
        if image.shape != (*label.shape, 3) or image.dtype != np.uint8:
            raise UserError(
                f"{name}: image {image.shape} {image.dtype}; give {(*label.shape, 3)} uint8"
            )
        index, color, overlay = self.paths(name)
        self._refuse_existing((index, color, overlay))
        colors = self.palette[label]  # (H, W, 3)
        blended = Image.fromarray(blend(image, colors, alpha=self.alpha))
        _save(blended, overlay, format="JPEG")
        _save(Image.fromarray(colors), color, format="PNG")
        indexed = Image.fromarray(label)
        indexed.putpalette(self.palette.tobytes())
        _save(indexed, index, format="PNG")

    def paths(self, name: str) -> tuple[Path, Path, Path]:
        """Index, color and overlay file of a name.

        Raises:
            ValueError: if the name is empty, absolute, or holds `..`, `.` or empty parts.
        """
        posix, windows = PurePosixPath(name), PureWindowsPath(name)
        unsafe = posix.is_absolute() or windows.anchor or ".." in (*posix.parts, *windows.parts)
        if unsafe or not posix.parts or str(posix) != name:
            raise UserError(
                f"name {name!r} is no plain relative path; predictions stay below {self.out_dir}"
            )
        return (
            self.out_dir / "index" / f"{name}.png",
            self.out_dir / "color" / f"{name}.png",
            self.out_dir / "overlay" / f"{name}.jpg",
        )

    def _refuse_existing(self, paths: tuple[Path, ...]) -> None:
        for path in paths:
            if not self.overwrite and os.path.lexists(path):
                raise UserError(f"{path} exists; use another folder or overwrite=true")


def blend(image: np.ndarray, colors: np.ndarray, *, alpha: float) -> np.ndarray:
    """alpha * colors + (1 - alpha) * image, rounded; all (H, W, 3) uint8."""
    mixed = alpha * colors.astype(np.float32) + (1 - alpha) * image.astype(np.float32)
    return np.rint(mixed).astype(np.uint8)


def _save(picture: Image.Image, path: Path, *, format: str) -> None:
    """Writes beside the final name and renames, so that a file is whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as draft:
        # full color resolution keeps the borders between classes sharp; PNG ignores both options
        picture.save(draft, format=format, quality=92, subsampling=0)
