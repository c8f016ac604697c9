"""The program as an ONNX file, and its sessions of onnxruntime."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.export import ExportedProgram

from pspnet.errors import UserError
from pspnet.prediction.exported import quiet

if TYPE_CHECKING:
    from onnx import ModelProto

DEFAULT_OPSET = 18
IMAGE, LABEL, CONFIDENCE, LOGITS = "image", "label", "confidence", "logits"
AXES = ("batch", "height", "width")
LARGEST = 2**31 - 1  # bytes of one ONNX file


def model_of(program: ExportedProgram, *, opset: int, metadata: dict[str, Any]) -> ModelProto:
    """Translate a program to ONNX, with named axes and its metadata.

    Raises:
        UserError: naming the operation that has no translation, and the module that it is in.
    """
    try:
        with quiet():
            translated = torch.onnx.export(
                program,
                dynamo=True,
                opset_version=opset,
                input_names=[IMAGE],
                output_names=[LABEL, CONFIDENCE],
                external_data=False,
                verbose=False,
            )
    except torch.onnx.errors.OnnxExporterError as error:
        raise UserError(_untranslated(error, program)) from error
    assert translated is not None
    model: ModelProto = translated.model_proto
    _name_axes(model)
    for key, value in metadata.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value if isinstance(value, str) else json.dumps(value)
    if model.ByteSize() > LARGEST:
        raise UserError(f"{model.ByteSize()} bytes: an ONNX file holds 2 GiB; give OUT.pt2")
    return model


def _name_axes(model: ModelProto) -> None:
    del model.graph.value_info[:]  # sizes in the words of torch
    for value in (*model.graph.input, *model.graph.output):
        for axis, name in zip(value.type.tensor_type.shape.dim, AXES, strict=False):
            if not axis.dim_value:
                axis.dim_param = name


def _untranslated(error: BaseException, program: ExportedProgram) -> str:
    """Return the line about an operation without translation, named in the chain of errors."""
    chain: BaseException | None = error
    said = ""
    while chain is not None:
        said, chain = str(chain), chain.__cause__  # the first cause tells the operation
    operation = re.search(r"op='\w+\.(\w+)'", said)
    for node in program.graph.nodes:
        if operation and operation[1] in str(node.target):
            stack = [*node.meta.get("nn_module_stack", {}).values()]
            name, kind = stack[-1] if stack else ("network", "")
            kind = str(getattr(kind, "__name__", kind)).rpartition(".")[2]
            return f"{name} ({kind}) cannot be exported: ONNX has no {node.target}; give OUT.pt2"
    return f"network cannot be exported: {' '.join(said.split())[:300]}; give OUT.pt2"


class Session:
    """An ONNX model in onnxruntime, on the CPU.

    Args:
        model: its path or content.
        threads: 0 is onnxruntime's choice.
    """

    def __init__(self, model: Path | bytes, *, threads: int = 0) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level, options.intra_op_num_threads = 3, threads
        given = str(model) if isinstance(model, Path) else model
        self._session = onnxruntime.InferenceSession(
            given, options, providers=["CPUExecutionProvider"]
        )

    def run(self, image: np.ndarray) -> list[np.ndarray]:
        """Return class ids (N, H, W) uint8 and confidence, of images (N, H, W, 3) uint8.

        Of a model of `with_logits`, the logits (N, C, H', W') of the padded images as well.
        """
        found: list[np.ndarray] = self._session.run(None, {IMAGE: image})
        return found


def with_logits(path: Path) -> bytes:
    """Return a file's content with its logits, the input of the maximum, as a third output."""
    import onnx

    model = onnx.load(path)
    (maximum,) = [node for node in model.graph.node if node.op_type == "ArgMax"]
    kind = onnx.TensorProto.FLOAT
    model.graph.output.append(onnx.helper.make_tensor_value_info(maximum.input[0], kind, None))
    content: bytes = model.SerializeToString()
    return content
