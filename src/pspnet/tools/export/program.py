"""The graph as a `torch.export` program, for images of any size, and its .pt2 file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from io import BytesIO
from pathlib import Path
from typing import Any

import sympy
import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from pspnet.errors import UserError
from pspnet.models.pspnet import SMALLEST_SIDE
from pspnet.prediction.exported import METADATA, quiet
from pspnet.tools.export.graph import ImageGraph

TRACED = (2, 75, 91)  # images, height, width; other sizes than 0 and 1, which torch would keep


def program_of(
    graph: ImageGraph, *further: Tensor, size: tuple[int, int] | None = None
) -> ExportedProgram:
    """Trace the graph.

    Args:
        graph: in evaluation mode, on the CPU.
        further: inputs after the images, each of one size.
        size: height and width of its images; None is any.

    Raises:
        UserError: naming the module that cannot be traced for images of any size.
    """
    images, *sides = TRACED
    example = torch.zeros(images, *(size or sides), 3, dtype=torch.uint8)
    with torch.no_grad():
        graph(example, *further)  # an error here is the network's own, and keeps its traceback
    axes: dict[int, Any] = {0: Dim.DYNAMIC(min=1)}
    if size is None:
        axes |= {1: Dim.DYNAMIC(min=SMALLEST_SIDE), 2: Dim.DYNAMIC(min=SMALLEST_SIDE)}
    try:
        with torch.no_grad(), quiet():
            shapes = (axes, *[None] * len(further))
            return torch.export.export(
                graph, (example, *further), dynamic_shapes=shapes, strict=False
            )
    except Exception as error:  # the network ran above, so it is the exporter that cannot follow
        reason = " ".join(str(error).split("\n\n")[0].split())[:300] or type(error).__name__
        raise UserError(
            f"{culprit(error, graph.network)} cannot be exported: {reason}; replace what it "
            "computes from sizes or values in Python by operations of torch"
        ) from error


def culprit(error: BaseException, network: nn.Module) -> str:
    """Return name and class of the innermost module of the network that raised an error."""
    names = {id(module): f"network.{name}" for name, module in network.named_modules() if name}
    found: nn.Module = network
    chain: BaseException | None = error
    while chain is not None:
        traceback = chain.__traceback__
        while traceback is not None:
            module = traceback.tb_frame.f_locals.get("self")
            if isinstance(module, nn.Module) and id(module) in names:
                found = module
            traceback = traceback.tb_next
        chain = chain.__cause__ or chain.__context__
    return f"{names.get(id(found), 'network')} ({type(found).__name__})"


def size_choices(program: ExportedProgram, sizes: Iterable[tuple[int, int]]) -> str:
    """Return where the network chose by the size of an image, as some of these sizes would not.

    Returns:
        Places in the code, empty if there are none.
    """
    image = next(node for node in program.graph.nodes if node.meta["val"].dtype == torch.uint8)
    sides = [side for side in image.meta["val"].shape[1:3] if isinstance(side, torch.SymInt)]
    if not sides:
        return ""
    symbols = [side.node.expr for side in sides]
    return ", ".join(
        str(guard.sloc).strip("()").rpartition("/")[2]
        for guard in sides[0].node.shape_env.guards  # type: ignore[union-attr]
        if any(
            guard.expr.subs(dict(zip(symbols, size, strict=True))) == sympy.false for size in sizes
        )
    )


def save(program: ExportedProgram, path: Path, metadata: dict[str, Any]) -> None:
    """Write a .pt2 file, with the metadata as one of its extra files."""
    content = BytesIO()  # not the path: torch ends the process where a disk is full
    with quiet():
        torch.export.save(program, content, extra_files={METADATA: json.dumps(metadata)})
    path.write_bytes(content.getbuffer())


class SavedProgram:
    """A .pt2 file, run image by image.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        with quiet():
            self.module = torch.export.load(path).module()

    def run(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return class ids, confidence, and the logits (N, C, H', W') of the padded images.

        Raises:
            UserError: if the program does not take images of this size.
        """
        recorder = _Recorder(self.module)
        try:
            with torch.no_grad():
                label, confidence = recorder.run(image)
        except AssertionError as error:  # of the sizes that the trace holds for
            size = "×".join(map(str, image.shape[1:3]))
            raise UserError(f"the file takes no image of {size} pixels") from error
        return label, confidence, recorder.logits


class _Recorder(torch.fx.Interpreter):
    """Keep the input of the maximum over classes, which is the last one of the graph."""

    logits: Tensor

    def run_node(self, n: torch.fx.Node) -> Any:
        if n.target is torch.ops.aten.max.dim:
            self.logits = self.env[n.args[0]]  # type: ignore[index]
        return super().run_node(n)
