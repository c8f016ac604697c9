"""Batch normalization folded into the convolutions before it, for inference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

from pspnet.models.pspnet import SMALLEST_SIDE, PSPNet, from_options
from pspnet.models.pyramid_pooling import BatchNorm2d

FOLDED = (nn.BatchNorm2d, nn.SyncBatchNorm, BatchNorm2d)  # just these: a subclass may do more


def fold(network: PSPNet) -> PSPNet:
    """A copy for inference whose normalizations are part of the convolutions before them.

    Folded is what has the output of just one convolution for its input, which nothing else reads,
    and has running statistics: for these it computes the same but for rounding. The copy takes no
    training, and no state dict of the network; it shares the tensors that are not folded.

    Args:
        network: any; it is left as it is.
    """
    with torch.no_grad():
        copy = _twin(network).eval()
        for convolution, norm in _pairs(network):
            _fold(copy.get_submodule(convolution), copy.get_submodule(norm))
            parent, _, name = norm.rpartition(".")
            setattr(copy.get_submodule(parent), name, nn.Identity())
    return copy.requires_grad_(False)


def _twin(network: PSPNet) -> PSPNet:
    """A network with the same tensors, but modules of its own, and no hooks on them."""
    with torch.device("meta"):
        twin = from_options(network.options)
    twin.load_state_dict(network.state_dict(), assign=True)
    for name, buffer in network.named_buffers():  # those that no state dict holds
        parent, _, own = name.rpartition(".")
        twin.get_submodule(parent).register_buffer(own, buffer.detach())
    twin.concatenate = network.concatenate
    return twin


def _pairs(network: PSPNet) -> list[tuple[str, str]]:
    """Names of convolutions and of the normalizations that alone read what they give.

    Found in one forward pass of a network without memory, as published, in which every module is
    called.
    """
    with torch.device("meta"):
        hollow = from_options(network.options).eval()
    hollow.concatenate = True
    uses = _Uses()
    sources: dict[int, str] = {}
    found: list[tuple[str, str, Tensor]] = []
    calls: Counter[str] = Counter()

    def after(name: str) -> Callable[..., None]:
        def note(_: nn.Module, __: Any, output: Tensor) -> None:
            calls[name] += 1
            sources[uses.keep(output)] = name

        return note

    def before(name: str) -> Callable[..., None]:
        def note(_: nn.Module, inputs: tuple[Tensor]) -> None:
            calls[name] += 1
            if id(inputs[0]) in sources:
                found.append((sources[id(inputs[0])], name, inputs[0]))

        return note

    for name, module in hollow.named_modules():
        if type(module) is nn.Conv2d:
            module.register_forward_hook(after(name))
        elif type(module) in FOLDED and getattr(module, "track_running_stats", False):
            module.register_forward_pre_hook(before(name))
    side = 4 * SMALLEST_SIDE + 1
    with torch.no_grad(), uses:
        hollow(torch.zeros(1, 3, side, side, device="meta"))
    return [
        (convolution, norm)
        for convolution, norm, between in found
        if uses.counts[id(between)] == 1 and calls[convolution] == calls[norm] == 1
    ]


def _fold(convolution: nn.Module, norm: nn.Module) -> None:
    assert isinstance(convolution, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d | nn.SyncBatchNorm)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    convolution.weight, convolution.bias = fuse_conv_bn_weights(
        convolution.weight,
        convolution.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )


class _Uses(TorchFunctionMode):
    """Counts how often each tensor enters a function that makes tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[int] = Counter()
        self._kept: list[Any] = []  # an id stands for one tensor only while that lives

    def keep(self, tensor: Tensor) -> int:
        self._kept.append(tensor)
        return id(tensor)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(isinstance(item, Tensor) for item in _flat(result)):
            for item in _flat((args, list((kwargs or {}).values()))):
                if isinstance(item, Tensor):
                    self.counts[self.keep(item)] += 1
        return result


def _flat(values: Any) -> list[Any]:
    if isinstance(values, list | tuple):
        return [item for value in values for item in _flat(value)]
    return [values]
