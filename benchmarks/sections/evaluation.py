"""The paper's multi-scale evaluation of one image, against the published loop over its windows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks import ours
from benchmarks.compare import Comparison, Variant
from benchmarks.plan import DTYPE_NAMES, Case, Plan, Size
from benchmarks.published.network import PublishedPSPNet
from benchmarks.published.sliding_window import Network, SlidingWindow
from benchmarks.synthetic import MEAN, STD, normalized, random_image, random_label
from benchmarks.timing import Call
from pspnet.evaluation.metrics import SegmentationMetrics
from pspnet.inference.protocols import SIX_SCALES
from pspnet.models.pspnet import PSPNet

SHARPNESS = 10.0  # times a new classifier's weights, so that probabilities differ


def comparisons(plan: Plan) -> Iterator[Comparison]:
    """Yield the multi-scale evaluation of an image, and its mIoU's cost beside a forward pass.

    The remark of an evaluation says how many pixels get another class than ours.
    """
    case, size = plan.evaluation_case(), plan.evaluated
    image, rest = f"{size[1]}×{size[0]}", f"{case.classes} classes, {DTYPE_NAMES[case.dtype]}"
    yield Comparison(
        "multi-scale evaluation",
        f"{case.encoder}, {image}, windows of {case.size}×{case.size}, {rest}",
        [
            Variant("ours", partial(build_ours, case, size), dtype=case.dtype),
            Variant("published", partial(build_published, case, size), dtype=torch.float32),
            Variant(
                "published loop, our network", partial(build_loop, case, size), dtype=case.dtype
            ),
        ],
        difference=differing_pixels,
    )
    yield Comparison(
        "metric",
        f"{case.encoder}, {image}, {rest}",
        [
            Variant("ours", partial(build_forward, case, size), dtype=case.dtype),
            Variant("its metric", partial(build_metric, case, size)),
        ],
        memory=False,
    )


def differing_pixels(ours: object, other: object) -> str:
    """Describe in how many pixels two class maps differ."""
    one, two = np.asarray(ours), np.asarray(other)
    return f"{(one != two).sum():,} of {one.size:,} pixels in another class"


def build_ours(case: Case, size: Size) -> Call:
    """Return the evaluation of an image under "paper-ms" by this package."""
    network = ours.for_inference(network_of(case, size))
    protocol = ours.protocol("paper-ms", crop=case.size, base_size=max(size))
    image = normalized(random_image(size, seed=0)).to(case.device)

    def call() -> np.ndarray:
        with torch.no_grad(), case.autocast():
            return np.asarray(ours.class_map(network, image, protocol)[0].cpu().numpy())

    return call


def build_forward(case: Case, size: Size) -> Call:
    """Return the class map of one forward pass over the image."""
    network = ours.for_inference(case.network())
    image = normalized(random_image(size, seed=0)).to(case.device)

    def call() -> Tensor:
        with torch.no_grad(), case.autocast():
            return ours.class_map(network, image)

    return call


def build_metric(case: Case, size: Size) -> Call:
    """Return an update of the confusion matrix with a class map of the image's size."""
    metric = SegmentationMetrics(case.classes).to(case.device)
    target, prediction = (
        torch.from_numpy(random_label(size, classes=case.classes, seed=seed)).to(case.device)
        for seed in (0, 1)
    )
    prediction = prediction.clamp(max=case.classes - 1)
    return partial(metric.update, prediction[None], target[None].long())


def build_published(case: Case, size: Size) -> Call:
    """Return the published loop with the published network, float32, channels first."""
    network = PublishedPSPNet(network_of(case, size)).eval()
    return _loop(lambda image: cast(Tensor, network(image)), case, size)


def build_loop(case: Case, size: Size) -> Call:
    """Return the published loop with our network, precision and layout."""
    network = ours.for_inference(network_of(case, size))

    def logits(image: Tensor) -> Tensor:
        with case.autocast():
            return cast(Tensor, network(ours.channels_last(image)))

    return _loop(logits, case, size)


def network_of(case: Case, size: Size) -> PSPNet:
    """Return random weights with BN statistics of the image itself, so that all classes appear."""
    network = case.network()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0  # keeps the last batch's statistics alone
    classifier = cast(nn.Conv2d, network.decoder[-1])
    view = normalized(random_image(size, seed=0))[:, :, : case.size, : case.size]
    with torch.no_grad():
        classifier.weight.mul_(SHARPNESS)
        network.train()(torch.cat([view, view.flip(3)]).to(case.device))
    return network.eval()


def _loop(network: Network, case: Case, size: Size) -> Call:
    evaluate = SlidingWindow(
        network,
        classes=case.classes,
        crop=case.size,
        base_size=max(size),
        scales=SIX_SCALES,
        mean=MEAN,
        std=STD,
        device=torch.device(case.device),
    )
    return partial(evaluate, random_image(size, seed=0).astype(np.float32))
