"""The time of each part of a forward pass, as it runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from statistics import median

import torch
from torch import Tensor

from pspnet.inference.class_scores import evaluate
from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.layer_table import Layer
from pspnet.tools.explain.pyramid_parts import ONE_PASS
from pspnet.tools.explain.walk.hooks import classifier

TIMED = 3  # passes, of which the median counts, after one that warms up
HEADS = "pyramid and decoder"


def part_seconds(network: PSPNet, image: Tensor, layers: Sequence[Layer]) -> dict[str, float]:
    """Return the seconds of each part of the encoder, and of pyramid and decoder together.

    The latter may run in the fused form, which has no parts.

    Args:
        network: in evaluation mode.
        image: (1, 3, H, W), of a size that is not padded.
        layers: of the network, in order of execution.
    """
    part_of = {layer.name: layer.part for layer in layers}
    ends: list[tuple[str, float]] = []

    def end(part: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            if image.is_cuda:
                torch.cuda.synchronize()
            ends.append((part, time.perf_counter()))

        return hook

    runs: list[dict[str, float]] = []
    with torch.no_grad(), ExitStack() as hooks:
        for name, module in network.encoder.named_modules(prefix="encoder"):
            if name in part_of:
                hooks.enter_context(module.register_forward_hook(end(part_of[name])))
        hooks.enter_context(classifier(network).register_forward_hook(end(HEADS)))
        for _ in range(1 + TIMED):
            ends.clear()
            end("start")()
            evaluate(network, image, ONE_PASS)
            runs.append(_differences(ends))
    return {part: median(run[part] for run in runs[1:]) for part in runs[0]}


def _differences(ends: list[tuple[str, float]]) -> dict[str, float]:
    spent: dict[str, float] = {}
    for (_, before), (part, after) in pairwise(ends):
        spent[part] = spent.get(part, 0.0) + after - before
    return spent
