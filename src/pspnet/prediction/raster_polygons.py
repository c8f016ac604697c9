"""The regions of a predicted raster as GeoJSON, in longitude and latitude (RFC 7946)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.raster import open_raster
from pspnet.errors import UserError
from pspnet.files.writing import atomic
from pspnet.prediction.forms import simplified


def write_polygons(
    index: Path, out: Path, classes: Classes, *, tolerance: float, origin: str | None
) -> None:
    """Write the regions of a raster of class ids, one after the other, over an older file.

    Args:
        index: the raster, with 255 where there is no data.
        out: the GeoJSON file; its coordinates are pixels where the raster has no place.
        classes: names and colors.
        tolerance: pixels by which a border may differ.
        origin: of the prediction, see `prediction.folder`.

    Raises:
        NotWritten: if it cannot be written.
        UserError: if the raster's coordinates have no longitude and latitude.
    """
    head = "{" + (f'"pspnet": "{origin}", ' if origin else "")
    with open_raster(index) as raster, atomic(out, durable=False) as draft, draft.open("w") as file:
        file.write(head + '"type": "FeatureCollection", "features": [')
        for number, (class_id, geometry) in enumerate(_regions(raster, tolerance)):
            color = bytes(classes.colors[class_id]).hex()
            properties = {
                "class": classes.names[class_id],
                "class_id": class_id,
                "fill": f"#{color}",
            }
            feature = {"type": "Feature", "properties": properties, "geometry": geometry}
            file.write((",\n" if number else "\n") + json.dumps(feature, ensure_ascii=False))
        file.write("\n]}\n")


def _regions(raster: Any, tolerance: float) -> Iterator[tuple[int, dict[str, Any]]]:
    import rasterio
    from rasterio._err import CPLE_BaseError
    from rasterio.features import shapes
    from rasterio.warp import transform, transform_geom

    if raster.crs:
        try:
            transform(raster.crs, "EPSG:4326", [raster.transform.c], [raster.transform.f])
        except CPLE_BaseError as error:
            raise UserError(
                f"{raster.name}: its coordinates have no longitude and latitude; leave geojson out"
                " of output.forms"
            ) from error
    back, along = ~raster.transform, 1 if raster.transform.determinant < 0 else -1
    for shape, value in shapes(rasterio.band(raster, 1), connectivity=4):  # where it lies
        corners = [np.rint(_moved(np.array(ring), back)) for ring in shape["coordinates"]]
        rings = [simplified(ring, tolerance) for ring in corners]
        if value == IGNORE or rings[0] is None:
            continue
        # counterclockwise, also where the south is up
        placed = [
            _moved(ring[::along], raster.transform).tolist() for ring in rings if ring is not None
        ]
        geometry: dict[str, Any] = {"type": "Polygon", "coordinates": placed}
        if raster.crs:
            geometry = transform_geom(raster.crs, "EPSG:4326", geometry, precision=9)
        yield int(value), geometry


def _moved(ring: np.ndarray, transform: Any) -> np.ndarray:
    """Return corners (K, 2) in pixels where they lie on the map, or the reverse."""
    x, y = ring.T
    return np.stack(
        [
            transform.a * x + transform.b * y + transform.c,
            transform.d * x + transform.e * y + transform.f,
        ],
        axis=1,
    )
