"""Training step and inference of the networks that are compared."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.measure import Side
from benchmarks.published import AUXILIARY_WEIGHT, Published, published_loss
from benchmarks.timing import Call
from pspnet.data.datasets.classes import IGNORE
from pspnet.evaluation.inference import predict
from pspnet.evaluation.protocols import Protocol
from pspnet.losses import CrossEntropy
from pspnet.models.pspnet import PSPNet
from pspnet.ops.activation_recompute import Recomputation
from pspnet.ops.conv_bn_fusion import fold
from pspnet.precision import Precision

Step = Callable[[Tensor, Tensor], None]  # of images (N, 3, H, W) and labels (N, H, W)
Loss = Callable[[Tensor, Tensor], Tensor]
Context = Callable[[], AbstractContextManager[object]]
Task = Literal["training step", "inference"]

OURS, PUBLISHED, OTHER = "ours", "published", "smp.PSPNet, another network"
NAMES = {torch.bfloat16: "bf16", torch.float32: "float32"}
LR = 1e-4  # no weight grows in the few steps, whatever the labels
BLOCK = 32  # pixels; labels are regions of this size


@dataclass(frozen=True)
class Case:
    """What a network is given to do.

    Args:
        task: a step of training (forward, loss, backward, SGD), or class maps.
        encoder: its name.
        size: of square images, 8n + 1 pixels.
        classes: number.
        batch: images.
        device: where.
        precision: of this package, as Lightning names it.
        bins: of the pyramid.
    """

    task: Task
    encoder: str
    size: int
    classes: int
    batch: int
    device: str
    precision: Precision
    bins: tuple[int, ...] = (1, 2, 3, 6)

    def __str__(self) -> str:
        bins = "" if self.bins == (1, 2, 3, 6) else f", bins {list(self.bins)}"
        return (
            f"{self.encoder}, {self.size}×{self.size}, {self.classes} classes, "
            f"batch {self.batch}{bins}"
        )

    @property
    def dtype(self) -> torch.dtype:
        """Of this package's products."""
        return torch.bfloat16 if self.precision == "bf16-mixed" else torch.float32

    def network(self) -> PSPNet:
        """The same at each call."""
        torch.manual_seed(0)
        with torch.device(self.device):
            return PSPNet(self.classes, encoder=self.encoder, bins=self.bins)

    def autocast(self) -> torch.autocast:
        """The precision of this package."""
        kind = torch.device(self.device).type
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bf16-mixed")

    def images(self, *, side: int | None = None) -> Tensor:
        """As if normalized, (N, 3, side, side) float32; None is the case's size."""
        side = side or self.size
        generator = torch.Generator().manual_seed(1)
        return torch.randn(self.batch, 3, side, side, generator=generator).to(self.device)

    def labels(self, *, side: int | None = None) -> Tensor:
        """Regions of all classes and ignored ones, (N, side, side) int64."""
        side = side or self.size
        generator = torch.Generator().manual_seed(2)
        cells = -(-side // BLOCK)
        drawn = torch.randint(
            self.classes + 1, (self.batch, cells, cells), generator=generator
        ).repeat_interleave(BLOCK, 1)
        label = drawn.repeat_interleave(BLOCK, 2)[:, :side, :side]
        return label.where(label < self.classes, IGNORE).to(self.device)


def sides(case: Case, *, other: bool = True) -> list[Side]:
    """Ours, the published formulation, that in our precision and layout, and smp's network.

    Of a training step ours is measured with `model.recompute` too.

    Args:
        case: what they do.
        other: whether smp's, which is another network, takes part.
    """
    alike = f"{PUBLISHED}, {NAMES[case.dtype]}, channels last"
    found = [
        Side(OURS, partial(build_ours, case), dtype=case.dtype),
        Side(PUBLISHED, partial(build_published, case, alike=False), dtype=torch.float32),
        Side(alike, partial(build_published, case, alike=True), dtype=case.dtype),
    ]
    if case.task == "training step":
        forgetful = partial(build_ours, case, recompute=True)
        found.insert(1, Side(f"{OURS}, recompute", forgetful, dtype=case.dtype))
    if other:
        side = divisible(case.size)
        remark = f"a smaller, different network, on {side}×{side}"
        found.append(Side(OTHER, partial(build_other, case), torch.float32, remark))
    return found


def build_ours(case: Case, *, recompute: bool = False) -> Call:
    """This package's network as `pspnet.task.Segmentation` trains it and predicts with it."""
    if case.task == "inference":
        network = fold(case.network()).to(memory_format=torch.channels_last)
        image, whole = channels_last(case.images()), Protocol("whole", average="scores")
        return _inference(lambda: predict(network, image, whole)[0], precision=case.autocast)
    step = step_ours(case, recompute=recompute)
    return partial(step, channels_last(case.images()), case.labels())


def build_published(case: Case, *, alike: bool) -> Call:
    """The published formulation: float32 in the default layout, or `alike` ours in both."""
    image = channels_last(case.images()) if alike else case.images()
    if case.task == "training step":
        return partial(step_published(case, alike=alike), image, case.labels())
    network = _laid_out(Published(case.network()).eval(), alike=alike)
    precision = case.autocast if alike else nullcontext
    return _inference(lambda: network(image).argmax(1), precision=precision)


def build_other(case: Case) -> Call:
    """smp's network as it ships, on images of a size that it takes; no auxiliary head."""
    import segmentation_models_pytorch as smp

    torch.manual_seed(0)
    with torch.device(case.device):
        network = smp.PSPNet(case.encoder, encoder_weights=None, classes=case.classes)
    side = divisible(case.size)
    if case.task == "inference":
        image = case.images(side=side)
        network.eval()
        return _inference(lambda: network(image).argmax(1), precision=nullcontext)

    def loss(image: Tensor, label: Tensor) -> Tensor:
        return F.cross_entropy(network(image), label, ignore_index=IGNORE)

    groups = [{"params": [*network.parameters()]}]
    step = _training(network, loss, groups=groups, precision=nullcontext)
    return partial(step, case.images(side=side), case.labels(side=side))


def step_ours(case: Case, *, recompute: bool = False) -> Step:
    """A training step of this package's network."""
    network = case.network().to(memory_format=torch.channels_last)
    criterion = CrossEntropy()
    forgetting = Recomputation(network) if recompute else nullcontext

    def loss(image: Tensor, label: Tensor) -> Tensor:
        with forgetting():
            outputs = network(image, upsample=False)
        main, extra = (
            criterion(logits, label, align_corners=network.align_corners) for logits in outputs
        )
        return cast(Tensor, main + AUXILIARY_WEIGHT * extra)

    groups, fused = _groups(network), torch.device(case.device).type == "cuda"
    return _training(network, loss, groups=groups, precision=case.autocast, fused=fused)


def step_published(case: Case, *, alike: bool) -> Step:
    """A training step of the published formulation."""
    ours = case.network()
    network = _laid_out(Published(ours), alike=alike)

    def loss(image: Tensor, label: Tensor) -> Tensor:
        return published_loss(network(image), label)

    precision = case.autocast if alike else nullcontext
    return _training(network, loss, groups=_groups(ours), precision=precision)


def channels_last(image: Tensor) -> Tensor:
    """The same values in the layout that this package computes in."""
    return image.contiguous(memory_format=torch.channels_last)


def divisible(side: int) -> int:
    """The nearest side that smp's network takes."""
    return round(side / 8) * 8


def _training(
    network: nn.Module,
    loss: Loss,
    *,
    groups: list[dict[str, Any]],
    precision: Context,
    fused: bool | None = None,  # as torch chooses
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


def _inference(answer: Callable[[], Tensor], *, precision: Context) -> Call:
    def classes() -> Tensor:
        with torch.no_grad(), precision():
            return answer()

    return classes


def _laid_out(network: Published, *, alike: bool) -> Published:
    return network.to(memory_format=torch.channels_last) if alike else network


def _groups(network: PSPNet) -> list[dict[str, Any]]:
    return network.parameter_groups(lr=LR)
