"""TIFF files that are read by windows, of any size, with their georeference.

They need rasterio, which is the extra `geo`.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pspnet.data.channels import RGB, Channels
from pspnet.errors import NotWritten, UserError

SUFFIXES = (".tif", ".tiff")
LARGE = 2**26  # pixels; smaller files without georeference are read at once
CACHE = "256"  # MB of tiles that GDAL keeps; its own default is a share of the machine
TILE = 512  # pixels per side of a tile in the files that are written
# tags of TIFF: the place of pixels on the ground, or a transformation to it
_GEOREFERENCE = (33550, 33922, 34264)


def is_raster(path: Path) -> bool:
    """Return whether a file is a TIFF that is large or says where on the ground it lies.

    Without rasterio there is none, and files are read at once.
    """
    if path.suffix.lower() not in SUFFIXES or find_spec("rasterio") is None:
        return False
    try:
        with Image.open(path) as image:
            tags = getattr(image, "tag_v2", {})
            return image.width * image.height > LARGE or any(tag in tags for tag in _GEOREFERENCE)
    except (OSError, ValueError, SyntaxError):  # damaged, or of kinds that Pillow does not know
        with contextlib.suppress(UserError), open_raster(path) as file:
            area = file.width * file.height
            return area > LARGE or file.crs is not None or not file.transform.is_identity
        return False


class Raster:
    """A TIFF file, opened to be read by windows.

    Args:
        path: the file; of RGB it has three bands of 8 bits, and perhaps a fourth of transparency.
        channels: of the images.

    Raises:
        UserError: if rasterio is missing, or the file cannot be read or has other bands.
    """

    def __init__(self, path: Path, channels: Channels = RGB) -> None:
        self._file = open_raster(path)
        self.path, self.channels = path, channels
        self.size = (self._file.height, self._file.width)
        from rasterio.enums import ColorInterp

        bands = [*self._file.colorinterp]
        self._alpha = ColorInterp.alpha in bands
        kinds = {*self._file.dtypes}
        bits = self._file.tags(1, ns="IMAGE_STRUCTURE").get("NBITS", "8")
        palette = ColorInterp.palette in bands
        if palette or (channels.value_range is None and int(bits) < 8):
            held = "a palette" if palette else f"{bits} bits per channel"
            raise UserError(f"{path} has {held}; save its channels as they are shown, 8 bits each")
        if channels.is_rgb and (len(bands) - self._alpha != 3 or kinds != {"uint8"}):
            raise UserError(
                f"{path} has {len(bands)} bands of {', '.join(sorted(kinds))}; save red, green and"
                " blue as three of 8 bits, or name them in data.channels"
            )
        if len(self._file.subdatasets) > 1:
            raise UserError(
                f"{path} has {len(self._file.subdatasets)} pages, of which only the first is read;"
                " save each as an image"
            )
        self._places = channels.places(len(bands), alpha=self._alpha, path=path)

    def __enter__(self) -> Raster:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def read(self, rows: slice, columns: slice) -> np.ndarray:
        """Return a part of the image, (rows, columns, C), see `Channels.scaled`."""
        with _readable(self.path):
            bands = self._file.read([it + 1 for it in self._places], window=window(rows, columns))
        return self.channels.scaled(bands.transpose(1, 2, 0), name=self.path)

    def is_data(self, rows: slice, columns: slice) -> np.ndarray:
        """Return which pixels hold data, (rows, columns) bool: by transparency, mask or no-data."""
        with _readable(self.path):
            mask: np.ndarray = self._file.dataset_mask(window=window(rows, columns)) > 0
        return mask

    def create(self, path: Path, *, bands: int, kind: str, **options: Any) -> Any:
        """Create a tiled file of the same size and place on the ground."""
        points, system = self._file.gcps  # in place of a transformation
        profile = {
            "driver": "GTiff",
            "height": self.size[0],
            "width": self.size[1],
            "count": bands,
            "dtype": kind,
            "crs": self._file.crs,
            "transform": None if points else self._file.transform,
            "tiled": True,
            "blockxsize": TILE,
            "blockysize": TILE,
            "compress": "deflate",
            "bigtiff": "if_safer",
        }
        file = open_raster(path, "w", **(profile | options))
        if points:
            file.gcps = points, system
        return file


def window(rows: slice, columns: slice) -> Any:
    """Return a rectangle of pixels as rasterio takes it."""
    from rasterio.windows import Window

    return Window(columns.start, rows.start, columns.stop - columns.start, rows.stop - rows.start)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    from rasterio.errors import RasterioError

    try:
        yield
    except RasterioError as error:
        raise UserError(f"{path} cannot be read as an image ({error}); replace it") from error


def open_raster(path: Path, mode: str = "r", **options: Any) -> Any:
    """Open a TIFF file by rasterio, as `rasterio.open`.

    Raises:
        UserError: if rasterio is missing, or the file cannot be read or written.
    """
    os.environ.setdefault("GDAL_CACHEMAX", CACHE)
    try:
        import rasterio
        from rasterio.errors import NotGeoreferencedWarning, RasterioError
    except ImportError as error:
        raise UserError(
            "large and georeferenced TIFF files need rasterio; pip install rasterio"
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        try:
            return rasterio.open(path, mode, **options)
        except RasterioError as error:
            if mode == "w":
                raise NotWritten(f"{path} cannot be written ({error}); name another") from error
            raise UserError(f"{path} cannot be read as an image ({error}); replace it") from error
