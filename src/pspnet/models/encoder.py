"""The dilated encoder: an ImageNet network of smp or timm and its layout."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from difflib import get_close_matches

import torch
from torch import Tensor, nn

from pspnet.errors import UserError
from pspnet.models.dilation import (
    Dilation,
    blank,
    check_strides,
    dilate,
    layers_of_stages,
    recording,
)
from pspnet.models.encoder_weights import HUB, UNREACHED, find_weights, load_weights
from pspnet.models.hub import hub

CHECK_HEIGHT = 128
CHECK_WIDTH = 75  # some networks add maps that only meet where every side divides by 32
FAMILIES = "ResNet, ResNeXt, VGG, MobileNet, EfficientNet, ConvNeXt and RegNet can be dilated"


def build_encoder(
    name: str,
    *,
    weights: str | None,
    dilation: Dilation,
    frozen_stages: int = 0,
    in_channels: int = 3,
) -> nn.Module:
    """Return an smp encoder with the layout set, whose output is a list of features, stage 5 last.

    Args:
        name: smp's name of the network, "tu-…" for timm's.
        weights: None, "imagenet", the path of a safetensors or torch file, or "package:NAME" of an
            installed package that holds one.
        dilation: the layout, the same for smp's networks and timm's.
        frozen_stages: stages from the stem on whose parameters do not train, 0 to 5.
        in_channels: of the images; the first convolution's weights for RGB are summed for one, and
            repeated and scaled for others, as smp and timm do.

    Raises:
        UserError: for an unknown network, one that cannot be dilated, or weights that are missing,
            cannot be fetched or do not fit.
    """
    if not 0 <= frozen_stages <= 5:
        raise UserError(f"frozen_stages={frozen_stages}: give 0 (none) to 5 (the whole encoder)")
    file = None if weights in (None, HUB) else find_weights(str(weights))
    encoder = _create(name, pretrained=weights == HUB, in_channels=3 if file else in_channels)
    try:
        frozen = layers_of_stages(encoder, frozen_stages)
        dilate(encoder, dilation)
        _check_features(encoder, dilation)
    except (ValueError, RuntimeError, TypeError, IndexError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"encoder={name!r} cannot be dilated: {reason}; {FAMILIES}") from error
    if file:
        load_weights(encoder, file)
        if in_channels != 3:
            from segmentation_models_pytorch.encoders._utils import patch_first_conv

            patch_first_conv(encoder, in_channels)
    for layer in frozen:
        encoder.get_submodule(layer).requires_grad_(False)
    encoder.frozen = frozen  # type: ignore[assignment]  # names, for `frozen_modules`
    return encoder


def frozen_modules(encoder: nn.Module, *, norms: bool) -> Iterator[nn.Module]:
    """Yield the layers of the frozen stages; with `norms` all batch normalizations as well."""
    names = set(getattr(encoder, "frozen", ()))
    for name, module in encoder.named_modules():
        if name in names or (norms and isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm)):
            yield module


def _create(name: str, *, pretrained: bool, in_channels: int) -> nn.Module:
    from segmentation_models_pytorch.encoders import encoders, get_encoder
    from timm import list_models

    import pspnet.models.resnets  # noqa: F401  (registers more networks with timm)

    if name not in encoders and name.removeprefix("tu-").split(".")[0] not in list_models():
        known = [*encoders, *(f"tu-{model}" for model in list_models())]
        close = ", ".join(get_close_matches(name, known, n=3)) or "resnet50, tu-resnet50s, vgg16_bn"
        raise UserError(f"encoder={name!r} is unknown to smp and timm; did you mean {close}?")
    if name not in encoders and not name.startswith("tu-"):
        raise UserError(f"encoder={name!r} is a network of timm's; write 'tu-{name}'")
    weights: str | bool | None = "imagenet" if pretrained else None
    if pretrained and name.startswith("tu-"):
        weights = True  # the form that smp asks of timm's networks
    try:
        with hub() if pretrained else nullcontext():
            encoder: nn.Module = get_encoder(name, in_channels=in_channels, weights=weights)
    except OSError as error:  # every error of the hub client, offline ones too, is one of these
        raise UserError(UNREACHED.format(name=name)) from error
    except (ValueError, TypeError, AssertionError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"encoder={name!r} cannot be used: {reason}; {FAMILIES}") from error
    return encoder.to(torch.get_default_device())  # smp patches a stem on the CPU


def _check_features(encoder: nn.Module, dilation: Dilation) -> None:
    """Check that stages 4 and 5 come out where the layout says, for images of odd sizes too.

    Parameters without influence on stage 5 (classification heads that smp leaves in) are frozen:
    DistributedDataParallel waits for the gradient of every parameter that asks for one.
    """
    with torch.enable_grad(), recording(encoder, CHECK_HEIGHT) as steps:
        try:
            features: list[Tensor] = encoder(blank(encoder, CHECK_HEIGHT, CHECK_WIDTH))
        finally:  # a layer with a stride too many may be why the pass ends
            check_strides(steps, dilation)
    used = _leaves(features[-1])
    for parameter in encoder.parameters():
        if id(parameter) not in used:
            parameter.requires_grad_(False)
    strides = (min(16, dilation.output_stride), dilation.output_stride)
    for stage, stride, feature in zip((4, 5), strides, features[-2:], strict=True):
        (height, width), rows = feature.shape[2:], CHECK_HEIGHT // stride
        if height != rows or width not in (CHECK_WIDTH // stride, -(-CHECK_WIDTH // stride)):
            raise UserError(
                f"stage {stage} of a {CHECK_HEIGHT}×{CHECK_WIDTH} image comes out as "
                f"{height}×{width}, not 1/{stride} of it"
            )


def _leaves(output: Tensor) -> set[int]:
    """Return the ids of all parameters that `output` was computed from."""
    leaves, seen, queue = set(), set(), [output.grad_fn]
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        queue += [before for before, _ in node.next_functions]
    return leaves
