"""A folder with a page that runs a network in the browser."""

from __future__ import annotations

import json
from importlib import resources
from pathlib import Path

import torch

from pspnet.files.draft_folder import draft_folder
from pspnet.files.writing import writing
from pspnet.prediction.loading import Trained
from pspnet.tools.demo.bins import Bins
from pspnet.tools.export.checks import check, pictures
from pspnet.tools.export.graph import ImageGraph
from pspnet.tools.export.onnx_file import DEFAULT_OPSET, model_of
from pspnet.tools.export.page.describe import about_of, title_of
from pspnet.tools.export.page.graph import KEEP, SwitchedGraph
from pspnet.tools.export.page.runtime import check_folder, copy_runtime
from pspnet.tools.export.program import program_of
from pspnet.tools.export.write import SINGLE_PASS, metadata_of

NETWORK = "network.onnx"


def write_page(
    trained: Trained,
    folder: Path,
    bins: Bins,
    *,
    runtime: Path | None = None,
    license: str | None = None,
) -> str:
    """Write a page, whole or not at all, and return a line on how far its network agrees.

    Args:
        trained: the network.
        folder: the folder; it is empty or missing.
        bins: those that the page can switch.
        runtime: a folder with onnxruntime-web; None fetches it by npm.
        license: of the weights, for the metadata.

    Raises:
        UserError: if the network cannot be exported, or its file disagrees with it.
    """
    check_folder(folder)
    with draft_folder(folder) as draft:
        copy_runtime(draft / "onnxruntime-web", runtime)
        said = _write_network(trained, draft / NETWORK, bins, license=license)
        described = {
            "name": title_of(trained),
            "about": about_of(trained, protocol=SINGLE_PASS),
            "classes": trained.task.classes.names,
            "colors": trained.task.classes.colors,
            "bins": bins.sides,
            "bins_off": bins.when_off,
        }
        (draft / "network.json").write_text(json.dumps(described, ensure_ascii=False), "utf-8")
        for file in (resources.files("pspnet.tools.export.page") / "static").iterdir():
            (draft / file.name).write_bytes(file.read_bytes())
        with writing(folder):
            draft.rename(folder)
    return said


def _write_network(trained: Trained, path: Path, bins: Bins, *, license: str | None) -> str:
    """Write the ONNX file after a check of its outputs with all bins on."""
    described = metadata_of(trained, precision="float32", size=None, license=license)
    if not bins.sides:
        traced = program_of(ImageGraph(trained))
        model = model_of(traced, opset=DEFAULT_OPSET, metadata=described)
        path.write_bytes(model.SerializeToString())
        return str(check(path, trained, pictures(), precision="float32"))
    import onnx

    keep = torch.ones(len(bins.sides))
    traced = program_of(SwitchedGraph(trained, bins), keep)
    model = model_of(traced, opset=DEFAULT_OPSET, metadata=described)
    model.graph.initializer.append(onnx.numpy_helper.from_array(keep.numpy(), KEEP))
    path.write_bytes(model.SerializeToString())  # with a value for the input `keep`
    said = str(check(path, trained, pictures(), precision="float32"))
    del model.graph.initializer[-1]
    path.write_bytes(model.SerializeToString())
    return said
