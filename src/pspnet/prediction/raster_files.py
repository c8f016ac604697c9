"""Predictions on TIFF files of any size, block by block, with their georeference."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.raster import TILE, Raster, open_raster, window
from pspnet.errors import NotWritten, UserError
from pspnet.files.writing import atomic
from pspnet.inference.class_scores import label_and_confidence, label_blocks
from pspnet.inference.memory import check_memory
from pspnet.inference.protocols import Protocol
from pspnet.models.pspnet import PSPNet
from pspnet.prediction.forms import MOST, FormName, Options
from pspnet.prediction.prediction import blend

BANDS: tuple[FormName, ...] = ("index", "color", "overlay", "confidence")
RASTER_FORMS: tuple[FormName, ...] = (*BANDS, "geojson")


@dataclass(frozen=True)
class RasterBlock:
    """A rectangle of a raster with its class ids (H, W) uint8 and confidence (H, W) float32."""

    rows: slice
    columns: slice
    label: np.ndarray
    confidence: np.ndarray


def raster_blocks(
    network: PSPNet,
    raster: Raster,
    protocol: Protocol,
    *,
    normalized: Callable[[np.ndarray], Tensor],
    temperature: float = 1.0,
) -> Iterator[RasterBlock]:
    """Yield the prediction on a raster; without sliding windows in one block.

    Args:
        network: in evaluation mode.
        raster: the image.
        protocol: see `pspnet.inference.protocols.resolve`.
        normalized: returns pixels (H, W, C) as the network takes them, (1, C, H, W).
        temperature: as in `label_and_confidence`.

    Raises:
        UserError: if the image is too large for a protocol without windows.
    """
    if protocol.crop_size is None:
        everything = (slice(0, raster.size[0]), slice(0, raster.size[1]))
        image = normalized(raster.read(*everything))
        check_memory(network, image, protocol)
        found = label_and_confidence(network, image, protocol, temperature=temperature)
        yield RasterBlock(*everything, *(part[0].cpu().numpy() for part in found))
        return
    for block in label_blocks(
        network,
        lambda rows, columns: normalized(raster.read(rows, columns))[0],
        raster.size,
        protocol,
        temperature=temperature,
        multiple=TILE,
    ):
        label, certain = block.label.cpu().numpy(), block.confidence.float().cpu().numpy()
        yield RasterBlock(block.rows, block.columns, label, certain)


class RasterFiles:
    """The files of one prediction on a raster, written block by block.

    Args:
        raster: the image.
        files: the path of each form; those of `BANDS` are written.
        palette: RGB per label value, (256, 3) uint8.
        options: what forms depend on beside the prediction.
        origin: of the prediction, see `prediction.folder`.
    """

    def __init__(
        self,
        raster: Raster,
        files: dict[FormName, Path],
        *,
        palette: np.ndarray,
        options: Options = Options(),  # noqa: B008  (frozen)
        origin: str | None = None,
    ) -> None:
        self.raster, self.palette, self.options, self.origin = raster, palette, options, origin
        with contextlib.ExitStack() as stack:
            self.files = {}
            for form in BANDS:
                if (path := files.get(form)) is None:
                    continue
                draft = stack.enter_context(atomic(path, durable=False))
                stack.enter_context(_read_back(draft, path))
                self.files[form] = stack.enter_context(self._create(form, draft))
            self._open = stack.pop_all()

    def _create(self, form: str, path: Path) -> Any:
        if form == "index":
            file = self.raster.create(path, bands=1, kind="uint8", nodata=IGNORE)
            file.write_colormap(1, {value: tuple(rgb) for value, rgb in enumerate(self.palette)})
        elif form == "confidence":
            file = self.raster.create(path, bands=1, kind="uint16", predictor=2)
            file.scales = (1 / MOST,)
        else:
            picture = {"compress": "jpeg", "photometric": "ycbcr", "jpeg_quality": 92}
            file = self.raster.create(path, bands=3, kind="uint8", **picture)
        if self.origin is not None:
            file.update_tags(TIFFTAG_IMAGEDESCRIPTION=f"pspnet {self.origin}")
        return file

    def __enter__(self) -> RasterFiles:
        return self

    def __exit__(self, *reason: Any) -> None:
        self._open.__exit__(*reason)

    def write(self, block: RasterBlock) -> None:
        """Write a block; pixels without data are 255, and their confidence 0."""
        place = (block.rows, block.columns)
        data = self.raster.is_data(*place)
        label = np.where(data, block.label, IGNORE).astype(np.uint8)
        for form, file in self.files.items():
            file.write(self._bands(form, block, label, data), window=window(*place))

    def _bands(
        self, form: str, block: RasterBlock, label: np.ndarray, data: np.ndarray
    ) -> np.ndarray:
        """Return what a form holds of a block, (bands, H, W)."""
        if form == "index":
            return label[None]
        if form == "confidence":
            steps: np.ndarray = np.rint(block.confidence * data * MOST).astype(np.uint16)
            return steps[None]
        colors: np.ndarray = self.palette[label]
        if form == "overlay":
            pixels = self.raster.read(block.rows, block.columns)
            pixels = self.raster.channels.picture(pixels)
            colors = blend(pixels, colors, alpha=self.options.alpha)
        bands: np.ndarray = colors.transpose(2, 0, 1)
        return bands


@contextlib.contextmanager
def _read_back(draft: Path, path: Path) -> Iterator[None]:
    """Refuse a file that is not whole once it is closed: GDAL says nothing of a full disk then."""
    yield
    try:
        with open_raster(draft) as file:
            for _, block in file.block_windows(1):
                file.read(window=block)
    except (UserError, OSError) as error:
        raise NotWritten(f"{path} cannot be written; make room, or name another folder") from error
