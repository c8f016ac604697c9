"""Errors of exported files beside the network, per runtime, at twenty odd sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn

from pspnet.data.datasets.classes import Classes
from pspnet.models.pspnet import PSPNet
from pspnet.prediction.loading import Trained
from pspnet.task import Segmentation
from pspnet.tools.export.checks import cut, pictures, reference
from pspnet.tools.export.onnx_file import Session, with_logits
from pspnet.tools.export.program import SavedProgram
from pspnet.tools.export.write import export

ENCODERS = ("resnet18", "tu-resnet50s", "vgg16_bn", "tu-efficientnet_lite0")
SIZES = (
    *((32, 47), (33, 33), (47, 32), (40, 100), (65, 34), (96, 67), (97, 131), (129, 72)),
    *((101, 161), (192, 75), (63, 255), (211, 137), (224, 224), (150, 321), (257, 259)),
    *((360, 97), (301, 403), (480, 361), (473, 473), (1025, 513)),
)
Run = Callable[[np.ndarray], np.ndarray]  # images (N, H, W, 3) to logits of the padded images


def largest_errors(encoder: str, *, align_corners: bool) -> dict[str, float]:
    """Return per runtime the largest error of a logit over all sizes, relative to the largest one.

    Errors are differences from the network in float64; the first is that of the network in float32.

    Args:
        encoder: of a network with random weights and statistics.
        align_corners: as in `PSPNet`.
    """
    trained = random_network(encoder, align_corners=align_corners)
    errors: dict[str, float] = {}
    with TemporaryDirectory() as folder:
        files = [Path(folder, f"network{suffix}") for suffix in (".onnx", ".pt2")]
        for file in files:
            export(trained, file)
        runs = {"network": lambda image: reference(trained, image), **dict(_runtimes(*files))}
        for pair in pictures(SIZES):
            image = pair[:1]
            expected = reference(trained, image, torch.float64)
            for name, run in runs.items():
                logits = cut(run(image), image)
                error = float(np.abs(logits - expected).max() / np.abs(expected).max())
                errors[name] = max(errors.get(name, 0.0), error)
    return errors


def random_network(encoder: str, *, align_corners: bool = True, classes: int = 19) -> Trained:
    """Return a network in which every part matters: no scale of 0, no tiny classifier."""
    torch.manual_seed(0)
    network = PSPNet(classes, encoder=encoder, align_corners=align_corners, auxiliary=False)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
            module.momentum = (
                1.0  # the next statistics are the network's, so that maps keep a scale
            )
    nn.init.normal_(network.decoder[-1].weight, std=0.3)  # type: ignore[arg-type]
    with torch.no_grad():
        network.train()(torch.randn(4, 3, 97, 97))
    names = tuple(f"class {index}" for index in range(classes))
    task = Segmentation(network, Classes(names, ((0, 0, 0),) * classes))
    return Trained(task.eval(), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def _runtimes(onnx: Path, pt2: Path) -> Iterator[tuple[str, Run]]:
    content = with_logits(onnx)
    session = Session(content)
    yield "onnxruntime", lambda image: session.run(image)[2]
    program = SavedProgram(pt2)
    yield "torch.export", lambda image: program.run(torch.from_numpy(image))[2].numpy()
    try:
        import openvino
    except ImportError:
        return
    core = openvino.Core()
    compiled = core.compile_model(
        core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    yield "OpenVINO", lambda image: compiled(image)[2]
