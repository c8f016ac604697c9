"""An exported file, whole or absent, and what it says of itself."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch.export import ExportedProgram

from pspnet.data.datasets.classes import IGNORE
from pspnet.errors import UserError
from pspnet.files.text import counted
from pspnet.files.writing import atomic
from pspnet.models.options import plain_data
from pspnet.prediction.loading import Trained
from pspnet.tools.export.checks import SIZES, check, pictures
from pspnet.tools.export.graph import ImageGraph
from pspnet.tools.export.int8 import Calibration, quantize, score
from pspnet.tools.export.onnx_file import DEFAULT_OPSET, Session, model_of
from pspnet.tools.export.program import program_of, save, size_choices

SINGLE_PASS = "whole"  # the one protocol that a graph can hold


def export(
    trained: Trained,
    out: Path,
    *,
    precision: str = "float32",
    size: tuple[int, int] | None = None,
    opset: int | None = None,
    license: str | None = None,
    calibration: Calibration | None = None,
) -> str:
    """Write a network as an .onnx or .pt2 file, and return a line on how far it agrees.

    The file is written to a draft, which takes its name when it has run and agrees.

    Args:
        trained: the network.
        out: the file, with one of the suffixes; it must not exist.
        precision: float32, float16, or int8 of an .onnx file.
        size: height and width of the images; None is any.
        opset: of ONNX; None is the default.
        license: of the weights, for the metadata.
        calibration: the images that int8 needs.

    Raises:
        UserError: if a module cannot be exported, or the file disagrees with the network.
    """
    dtype = torch.float16 if precision == "float16" else torch.float32
    traced = program_of(ImageGraph(trained, dtype=dtype), size=size)
    described = metadata_of(trained, precision=precision, size=size, license=license)
    with atomic(out) as draft:
        if out.suffix == ".pt2":
            save(traced, draft, described)
        else:
            model = model_of(traced, opset=opset or DEFAULT_OPSET, metadata=described)
            draft.write_bytes(model.SerializeToString())
            if calibration is not None:
                return _quantized(draft, trained, calibration, size=size)
        shown = pictures(SIZES if size is None else [size] * 4)
        try:
            return str(check(draft, trained, shown, precision=precision))
        except UserError as error:
            raise UserError(f"{error}; {_remedy(traced)}") from error


def _remedy(traced: ExportedProgram) -> str:
    if chosen := size_choices(traced, SIZES):
        return f"the network chooses by an image's size in Python, at {chosen}; give --size H W"
    return "give --precision float32, or --size H W"


def _quantized(
    draft: Path, trained: Trained, calibration: Calibration, *, size: tuple[int, int] | None
) -> str:
    """Quantize a file in place, compare it on calibration images, and score if there are labels."""
    sides = SIZES if size is None else [size] * len(SIZES)
    pairs = zip(calibration.pixels(size), sides, strict=False)
    shown = [image[:, :height, :width].copy() for image, (height, width) in pairs]
    float32 = Session(draft)
    quantize(draft, calibration, size=size)
    try:
        said = str(check(draft, trained, shown, precision="int8"))
    except UserError as error:
        raise UserError(f"{error}; give more --images, or --precision float16") from error
    if calibration.scored is None:
        return f"{said}; mIoU unknown without the data"
    before, after = (
        100 * score(session, calibration.scored, classes=len(trained.task.classes), size=size)
        for session in (float32, Session(draft))
    )
    count = counted(len(calibration.scored), "validation image")
    return f"{said}\nmIoU of {count}: float32 {before:.2f} %, int8 {after:.2f} %"


def metadata_of(
    trained: Trained, *, precision: str, size: tuple[int, int] | None, license: str | None
) -> dict[str, Any]:
    """Return the metadata as plain data, for ONNX's `metadata_props` and a .pt2's extra file.

    Args:
        trained: the network with its classes.
        precision: float32, float16 or int8.
        size: height and width that the file takes; None is any.
        license: of the weights; None if it is not known.
    """
    task = trained.task
    options = {key: value for key, value in task.network.options.items() if value is not None}
    described = {
        "generator": f"pspnet {metadata.version('pspnet')}",
        "classes": list(task.classes.names),
        "colors": [list(color) for color in task.classes.colors],
        "ignore": IGNORE,
        "mean": list(trained.mean),
        "std": list(trained.std),
        "temperature": float(task.temperature),
        "protocol": SINGLE_PASS,
        "protocol_of_training": task.protocol.name,
        "crop_size": task.crop_size and list(task.crop_size),
        "encoder": options.get("encoder"),
        "bins": options.get("bins"),
        "network": options,
        "precision": precision,
        "size": size and list(size),
        "license": license,
    }
    plain: dict[str, Any] = plain_data(described)
    return {key: value for key, value in plain.items() if value is not None}
