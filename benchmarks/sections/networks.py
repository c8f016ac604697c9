"""Training step and inference of this package's network, the published one and smp's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks import ours
from benchmarks.compare import Comparison, Variant
from benchmarks.plan import DTYPE_NAMES, Case, Plan
from benchmarks.published.network import PublishedPSPNet, published_loss
from benchmarks.timing import Call
from pspnet.data.datasets.classes import IGNORE
from pspnet.models.pspnet import PSPNet

OURS, PUBLISHED, SMP = "ours", "published", "smp.PSPNet, another network"
LR = 1e-4  # no weight grows in the few steps, whatever the labels
Step = Callable[[Tensor, Tensor], None]  # of images (N, 3, H, W) and labels (N, H, W)
Context = Callable[[], AbstractContextManager[object]]


def training(plan: Plan) -> Iterator[Comparison]:
    """Yield training steps, then those whose memory alone is measured."""
    for case in plan.cases("training step"):
        yield Comparison(case.task, str(case), variants(case), images=case.batch)
    for case in plan.memory_cases():
        small = variants(case, smp=False)
        yield Comparison(case.task, str(case), small, images=case.batch, time=False)


def inference(plan: Plan) -> Iterator[Comparison]:
    """Yield class maps of one forward pass."""
    for case in plan.cases("inference"):
        yield Comparison(case.task, str(case), variants(case), images=case.batch)


def growth(plan: Plan) -> Iterator[Comparison]:
    """Yield training steps of growing batch, size, classes and bins."""
    for name, case in plan.growth_cases():
        section = f"training step by {name}"
        yield Comparison(section, str(case), variants(case, smp=False), images=case.batch)


def variants(case: Case, *, smp: bool = True) -> list[Variant]:
    """Return ours, the published network as it is and at our precision and layout, and smp's.

    A training step of ours is measured with `model.recompute` too.

    Args:
        case: the work.
        smp: adds segmentation_models_pytorch's PSPNet, which is another network.
    """
    matched = f"{PUBLISHED}, {DTYPE_NAMES[case.dtype]}, channels last"
    found = [
        Variant(OURS, partial(build_ours, case), dtype=case.dtype),
        Variant(PUBLISHED, partial(build_published, case, matched=False), dtype=torch.float32),
        Variant(matched, partial(build_published, case, matched=True), dtype=case.dtype),
    ]
    if case.task == "training step":
        recomputing = partial(build_ours, case, recompute=True)
        found.insert(1, Variant(f"{OURS}, recompute", recomputing, dtype=case.dtype))
    if smp:
        size = divisible(case.size)
        remark = f"a smaller, different network, on {size}×{size}"
        found.append(Variant(SMP, partial(build_smp, case), torch.float32, remark))
    return found


def build_ours(case: Case, *, recompute: bool = False) -> Call:
    """Return a training step or a forward pass of this package's network."""
    image = ours.channels_last(case.images())
    if case.task == "inference":
        network = ours.for_inference(case.network())
        return _no_grad(lambda: ours.class_map(network, image), precision=case.autocast)
    return partial(step_ours(case, recompute=recompute), image, case.labels())


def build_published(case: Case, *, matched: bool) -> Call:
    """Return the same of the published network.

    Args:
        case: the work.
        matched: computes at this package's precision and layout, not in float32, channels first.
    """
    image = ours.channels_last(case.images()) if matched else case.images()
    if case.task == "training step":
        return partial(step_published(case, matched=matched), image, case.labels())
    network = _laid_out(PublishedPSPNet(case.network()).eval(), matched=matched)
    precision = case.autocast if matched else nullcontext
    return _no_grad(lambda: network(image).argmax(1), precision=precision)


def build_smp(case: Case) -> Call:
    """Return the same of smp's network as it ships, without auxiliary head, at a size it takes."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    with torch.device(case.device):
        network = smp.PSPNet(case.encoder, encoder_weights=None, classes=case.classes)
    size = divisible(case.size)
    image = case.images(size=size)
    if case.task == "inference":
        network.eval()
        return _no_grad(lambda: network(image).argmax(1), precision=nullcontext)

    def loss(image: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(network(image), label, ignore_index=IGNORE)

    groups = [{"params": [*network.parameters()]}]
    step = _training_step(network, loss, groups=groups, precision=nullcontext)
    return partial(step, image, case.labels(size=size))


def step_ours(case: Case, *, recompute: bool = False) -> Step:
    """Return a training step of this package's network."""
    network = case.network().to(memory_format=torch.channels_last)
    return training_step(case, network, recompute=recompute)


def training_step(case: Case, network: PSPNet, *, recompute: bool = False) -> Step:
    """Return a training step of one of this package's networks, as it is."""
    loss = ours.training_loss(network, recompute=recompute)
    groups, fused = ours.parameter_groups(network, lr=LR), torch.device(case.device).type == "cuda"
    return _training_step(network, loss, groups=groups, precision=case.autocast, fused=fused)


def step_published(case: Case, *, matched: bool) -> Step:
    """Return a training step of the published network."""
    layers = case.network()
    network = _laid_out(PublishedPSPNet(layers), matched=matched)

    def loss(image: Tensor, label: Tensor) -> Tensor:
        return published_loss(network(image), label)

    groups = ours.parameter_groups(layers, lr=LR)
    precision = case.autocast if matched else nullcontext
    return _training_step(network, loss, groups=groups, precision=precision)


def divisible(size: int) -> int:
    """Return the nearest size that smp's network takes."""
    return round(size / 8) * 8


def _training_step(
    network: nn.Module,
    loss: ours.Loss,
    *,
    groups: list[dict[str, Any]],
    precision: Context,
    fused: bool | None = None,  # torch's own choice
) -> Step:
    network.train()
    optimizer = torch.optim.SGD(groups, lr=LR, momentum=0.9, weight_decay=1e-4, fused=fused)

    def step(image: Tensor, label: Tensor) -> None:
        optimizer.zero_grad()
        with precision():
            value = loss(image, label)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def _no_grad(forward: Callable[[], Tensor], *, precision: Context) -> Call:
    def call() -> Tensor:
        with torch.no_grad(), precision():
            return forward()

    return call


def _laid_out(network: PublishedPSPNet, *, matched: bool) -> PublishedPSPNet:
    return network.to(memory_format=torch.channels_last) if matched else network
