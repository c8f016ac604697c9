"""Checkpoints in the published formats, from their key lists and the papers' shapes.

Keys have the order of the published code's modules. Values are random, BN statistics too; with
`hollow` every tensor is one number expanded to its shape, so that a file takes no space.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

COUNTS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}
COUNTS |= {152: (3, 8, 36, 3), 269: (3, 30, 48, 8)}
Shapes = Iterator[tuple[str, tuple[int, ...]]]


def unit(convolution: str, norm: str, inputs: int, outputs: int, side: int) -> Shapes:
    yield f"{convolution}.weight", (outputs, inputs, side, side)
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{norm}.{part}", (outputs,)
    yield f"{norm}.num_batches_tracked", ()


def classifier(name: str, inputs: int, classes: int) -> Shapes:
    yield f"{name}.weight", (classes, inputs, 1, 1)
    yield f"{name}.bias", (classes,)


def stages(prefix: str, depth: int, inputs: int) -> Shapes:
    """Shapes of the residual stages after a stem of `inputs` channels (He et al. 2016, table 1)."""
    growth = 1 if depth < 50 else 4
    for stage, count in enumerate(COUNTS[depth]):
        width = 64 << stage
        for block in range(count):
            name = f"{prefix}layer{stage + 1}.{block}."
            sizes = [(inputs, 3), (width, 3)] if growth == 1 else [(inputs, 1), (width, 3)]
            sizes += [] if growth == 1 else [(width, 1)]
            for place, (before, side) in enumerate(sizes, start=1):
                after = width * growth if place == len(sizes) else width
                yield from unit(f"{name}conv{place}", f"{name}bn{place}", before, after, side)
            if block == 0 and inputs != width * growth:
                shortcut = f"{name}downsample."
                yield from unit(f"{shortcut}0", f"{shortcut}1", inputs, width * growth, 1)
            inputs = width * growth


def deep_stem(prefix: str, narrow: int, wide: int) -> Shapes:
    for place, before, after in ((0, 3, narrow), (3, narrow, narrow), (6, narrow, wide)):
        yield from unit(f"{prefix}{place}", f"{prefix}{place + 1}", before, after, 3)


def semseg(
    depth: int = 50, classes: int = 21, *, levels: int = 4, auxiliary: bool = True
) -> Shapes:
    yield from deep_stem("layer0.", 64, 128)
    yield from stages("", depth, 128)
    for level in range(levels):
        name = f"ppm.features.{level}."
        yield from unit(f"{name}1", f"{name}2", 2048, 2048 // levels, 1)
    yield from unit("cls.0", "cls.1", 2048 * (2 if levels else 1), 512, 3)
    yield from classifier("cls.4", 512, classes)
    if auxiliary:
        yield from unit("aux.0", "aux.1", 1024, 256, 3)
        yield from classifier("aux.4", 256, classes)


def mmsegmentation(
    depth: int = 18, classes: int = 11, *, v1c: bool = True, levels: int = 4, auxiliary: bool = True
) -> Shapes:
    features, channels = (512, 128) if depth < 50 else (2048, 512)
    if v1c:
        yield from deep_stem("backbone.stem.", 32, 64)
    else:
        yield from unit("backbone.conv1", "backbone.bn1", 3, 64, 7)
    yield from stages("backbone.", depth, 64)
    head = "decode_head."
    yield from classifier(f"{head}conv_seg", channels, classes)
    for level in range(levels):
        name = f"{head}psp_modules.{level}.1."
        yield from unit(f"{name}conv", f"{name}bn", features, channels, 1)
    bottleneck = f"{head}bottleneck."
    fused = features + levels * channels
    yield from unit(f"{bottleneck}conv", f"{bottleneck}bn", fused, channels, 3)
    if auxiliary:
        head = "auxiliary_head."
        yield from classifier(f"{head}conv_seg", channels // 2, classes)
        name = f"{head}convs.0."
        yield from unit(f"{name}conv", f"{name}bn", features // 2, channels // 2, 3)


def filled(shapes: Shapes, *, hollow: bool = False, counted: bool = True) -> dict[str, Tensor]:
    """Random values for `shapes`; without `counted` the BNs have no `num_batches_tracked`."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for number, (key, shape) in enumerate(shapes):
        if key.endswith("num_batches_tracked"):
            if counted:
                state[key] = torch.tensor(1000 + number)
        elif hollow:
            state[key] = torch.full((), 0.01).expand(shape)
        elif key.endswith("running_var"):
            state[key] = torch.rand(shape, generator=generator) + 0.5
        elif len(shape) == 4:  # keeps the variance through a ReLU (He et al. 2015)
            spread = (2 / (shape[1] * shape[2] * shape[3])) ** 0.5
            state[key] = torch.randn(shape, generator=generator) * spread
        else:
            shift = 1 if key.endswith("weight") else 0
            state[key] = torch.randn(shape, generator=generator) * 0.1 + shift
    return state


STEM = {"0": "conv1.0", "1": "conv1.1", "3": "conv1.3", "4": "conv1.4", "6": "conv1.6", "7": "bn1"}


def from_semseg(key: str) -> str:
    """Map the name of a tensor of semseg to this package's, by splitting it."""
    first, *rest = key.split(".")
    if first == "layer0":
        return ".".join(["encoder.model", STEM[rest[0]], *rest[1:]])
    if first == "ppm":
        return ".".join(["pyramid.levels", rest[1], str(int(rest[2]) - 1), *rest[3:]])
    ours = {"cls": "decoder", "aux": "auxiliary"}.get(first, f"encoder.model.{first}")
    return ".".join([ours, *rest])


def from_mmsegmentation(key: str) -> str:
    """Map the name of a tensor of mmsegmentation to this package's, by splitting it.

    The result is for a plain ResNet; smp keeps the stages of the others one level deeper.
    """
    head, *rest = key.split(".")
    if head == "backbone":
        if rest[0] == "stem":
            return ".".join(["encoder.model", STEM[rest[1]], *rest[2:]])
        return ".".join(["encoder", *rest])
    place = {"conv": "0", "bn": "1"}
    if rest[0] == "psp_modules":
        return f"pyramid.levels.{rest[1]}.{place[rest[3]]}.{rest[4]}"
    ours = {"decode_head": "decoder", "auxiliary_head": "auxiliary"}[head]
    return (
        f"{ours}.4.{rest[1]}" if rest[0] == "conv_seg" else f"{ours}.{place[rest[-2]]}.{rest[-1]}"
    )


def saved(path: Path, state: dict[str, Tensor], **more: object) -> Path:
    """Save a state dict as a checkpoint."""
    torch.save({"state_dict": state, **more}, path)
    return path
