"""The paper's multi-scale evaluation of one image, against the published loop over its windows."""

from __future__ import annotations

from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.measure import Bench, Row, Side, compare
from benchmarks.networks import NAMES, OURS, PUBLISHED, Case
from benchmarks.pictures import MEAN, STD, label, picture
from benchmarks.published import Published
from benchmarks.sliding import Network, class_map
from benchmarks.timing import Call
from pspnet.evaluation.inference import predict
from pspnet.evaluation.metrics import SegmentationMetrics
from pspnet.evaluation.protocols import SIX_SCALES, Protocol, ProtocolOverrides, resolve
from pspnet.models.pspnet import PSPNet
from pspnet.ops.conv_bn_fusion import fold

SECTION = "multi-scale evaluation"
SHARPNESS = 10.0  # times what a classifier starts with, so that probabilities differ
Size = tuple[int, int]  # height and width


def measure(bench: Bench, case: Case, *, size: Size) -> list[Row]:
    """Rows of an image of this size, with windows of the case's.

    The remark says how many pixels get another class than ours.
    """
    alike = f"{PUBLISHED} loop, our network"
    sides = [
        Side(OURS, partial(build_ours, case, size), dtype=case.dtype),
        Side(PUBLISHED, partial(build_published, case, size), dtype=torch.float32),
        Side(alike, partial(build_alike, case, size), dtype=case.dtype),
    ]
    title = (
        f"{case.encoder}, {size[1]}×{size[0]}, windows of {case.size}×{case.size}, "
        f"{case.classes} classes, {NAMES[case.dtype]}"
    )
    return compare(bench, sides, section=SECTION, case=title, differing=differing)


def measure_metric(bench: Bench, case: Case, *, size: Size) -> list[Row]:
    """Rows of an image's prediction in one pass, and of counting its pixels for the mIoU."""
    sides = [
        Side(OURS, partial(build_pass, case, size), dtype=case.dtype),
        Side("its metric", partial(build_metric, case, size)),
    ]
    title = f"{case.encoder}, {size[1]}×{size[0]}, {case.classes} classes, {NAMES[case.dtype]}"
    return compare(bench, sides, section="metric", case=title, sized=False)


def differing(ours: object, other: object) -> str:
    """In how many pixels two class maps differ, in words."""
    one, two = np.asarray(ours), np.asarray(other)
    return f"{(one != two).sum():,} of {one.size:,} pixels in another class"


def build_ours(case: Case, size: Size) -> Call:
    """`pspnet.evaluation.inference.predict` under "paper-ms", with the folded network."""
    network = fold(network_of(case, size)).to(memory_format=torch.channels_last)
    protocol = resolve(
        "paper-ms", ProtocolOverrides(), crop_size=(case.size, case.size), base_size=max(size)
    )
    image = _normalized(picture(size, seed=0)).to(case.device)

    def classes() -> np.ndarray:
        with torch.no_grad(), case.autocast():
            found: np.ndarray = predict(network, image, protocol)[0][0].cpu().numpy()
        return found

    return classes


def build_pass(case: Case, size: Size) -> Call:
    """`pspnet.evaluation.inference.predict` of the whole image, with the folded network."""
    network = fold(case.network()).to(memory_format=torch.channels_last)
    image, whole = _normalized(picture(size, seed=0)).to(case.device), Protocol("whole")

    def classes() -> Tensor:
        with torch.no_grad(), case.autocast():
            return predict(network, image, whole)[0]

    return classes


def build_metric(case: Case, size: Size) -> Call:
    """`pspnet.evaluation.metrics.SegmentationMetrics` over ids of such an image."""
    metric = SegmentationMetrics(case.classes).to(case.device)
    ids = torch.from_numpy(label(size, classes=case.classes, seed=0)).to(case.device)
    prediction = torch.from_numpy(label(size, classes=case.classes, seed=1)).to(case.device)
    prediction = prediction.clamp(max=case.classes - 1)
    return partial(metric.update, prediction[None], ids[None].long())


def build_published(case: Case, size: Size) -> Call:
    """The published loop with the published formulation, float32 in the default layout."""
    network = Published(network_of(case, size)).eval()
    return _loop(lambda image: cast(Tensor, network(image)), case, size)


def build_alike(case: Case, size: Size) -> Call:
    """The published loop with our network, precision and layout."""
    network = fold(network_of(case, size)).to(memory_format=torch.channels_last)

    def logits(image: Tensor) -> Tensor:
        with case.autocast():
            return cast(Tensor, network(image.contiguous(memory_format=torch.channels_last)))

    return _loop(logits, case, size)


def network_of(case: Case, size: Size) -> PSPNet:
    """Random weights, with the picture's own statistics, so that all classes appear."""
    network = case.network()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # takes those of the last batch
    classifier = cast(nn.Conv2d, network.decoder[-1])
    view = _normalized(picture(size, seed=0))[:, :, : case.size, : case.size]
    with torch.no_grad():
        classifier.weight.mul_(SHARPNESS)
        network.train()(torch.cat([view, view.flip(3)]).to(case.device))
    return network.eval()


def _loop(network: Network, case: Case, size: Size) -> Call:
    image = picture(size, seed=0).astype(np.float32)
    return partial(
        class_map,
        network,
        image,
        classes=case.classes,
        crop=case.size,
        base_size=max(size),
        scales=SIX_SCALES,
        mean=MEAN,
        std=STD,
        device=torch.device(case.device),
    )


def _normalized(image: np.ndarray) -> Tensor:
    """(1, 3, H, W) float32."""
    pixels = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    return ((pixels - mean) / std)[None]
