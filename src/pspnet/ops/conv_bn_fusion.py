"""Batch normalization folded into the convolution before it, for inference.

The folding is torch's, on a deep copy of the network as it stands. This file finds out which
normalizations alone read a convolution's output.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torch.overrides import TorchFunctionMode

from pspnet.ops.equivalence import (
    copy_sharing_parameters,
    copy_without_memory,
    nearly_equal,
    why_not_plain,
)

SIDE = 129  # pixels of the image on which the network is traced, and 65 to compare the outputs
Network = TypeVar("Network", bound=nn.Module)


def fuse_conv_bn(
    network: Network,
    *,
    norms: tuple[type[nn.Module], ...],
    convolutions: tuple[type[nn.Module], ...] = (nn.Conv2d,),
) -> tuple[Network, list[tuple[str, str]]]:
    """Return a copy for inference whose normalizations are part of the convolutions before them.

    A normalization is folded if its input is the output of just one convolution that nothing else
    reads, if it has running statistics, and if both are plain and called once. The copy computes
    the same but for rounding and shares all other tensors with the network, which stays as it is.

    Args:
        network: takes images (N, C, H, W); C is its `in_channels`, and 3 without it.
        norms: the exact classes that normalize like `nn.BatchNorm2d` in evaluation mode, and then
            apply their children, if they have any, in turn: timm's hold an activation.
        convolutions: the exact classes whose outputs are linear in their `weight` and `bias`.

    Returns:
        The copy, in evaluation mode, and the names of the convolutions and of the normalizations
        that were folded into them.
    """
    copy = _in_evaluation(copy_sharing_parameters(network))
    pairs = _pairs(network, norms, convolutions)
    for convolution, norm in pairs:
        folded = copy.get_submodule(norm)
        copy.set_submodule(norm, nn.Sequential(*folded.children()))
        # its tensors are the network's; the copy of it gets its own
        fused = copy.get_submodule(convolution)
        fused.weight = nn.Parameter(torch.empty(0))
        fused.bias = nn.Parameter(torch.empty(0))
    refold(copy, network, pairs)
    return copy, pairs


def refold(copy: nn.Module, network: nn.Module, pairs: Sequence[tuple[str, str]]) -> None:
    """Fold the weights that the network has by now into its copy.

    Args:
        copy: of `fuse_conv_bn`.
        network: the network that was copied, with the same structure.
        pairs: of `fuse_conv_bn`.
    """
    for convolution, norm in pairs:
        source: Any = network.get_submodule(convolution)
        batch: Any = network.get_submodule(norm)
        into: Any = copy.get_submodule(convolution)
        statistics = batch.running_mean, batch.running_var, batch.eps
        weight, bias = fuse_conv_bn_weights(
            source.weight, source.bias, *statistics, batch.weight, batch.bias
        )
        into.weight.data, into.bias.data = weight.data, bias.data


def release(copy: nn.Module, pairs: Sequence[tuple[str, str]]) -> None:
    """Free the memory of folded weights until the next `refold`."""
    for convolution, _ in pairs:
        fused: Any = copy.get_submodule(convolution)
        fused.weight.data, fused.bias.data = torch.empty(0), torch.empty(0)


def same_output(network: nn.Module, copy: nn.Module) -> bool:
    """Return whether network and copy, both in evaluation mode, agree on one random image."""
    parameter = next(network.parameters())
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(1, _channels(network), SIDE // 2 + 1, SIDE // 2 + 1, generator=generator)
    image = image.to(parameter.device, parameter.dtype)
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")  # TF32 would differ by its rounding
    try:
        with (
            torch.no_grad(),
            torch.autocast(image.device.type, enabled=False),
            torch.backends.cudnn.flags(enabled=True, allow_tf32=False),
        ):
            return nearly_equal(copy(image), network(image))
    finally:
        torch.set_float32_matmul_precision(precision)


def _channels(network: nn.Module) -> int:
    channels: int = getattr(network, "in_channels", 3)
    return channels


def _pairs(
    network: nn.Module, norms: tuple[type[nn.Module], ...], kinds: tuple[type[nn.Module], ...]
) -> list[tuple[str, str]]:
    """Return the names of convolutions and of the normalizations that alone read their outputs.

    They are found in one forward pass, on shapes alone. The hooks that watch it also keep other
    substitutes from bypassing a module.
    """
    hollow = _in_evaluation(copy_without_memory(network))
    convolutions: dict[str, nn.Module] = {}
    followers: dict[str, nn.Module] = {}
    for name, module in hollow.named_modules():
        if module.training:  # somebody wants it so, as dropout for its variance
            continue
        if why_not_plain(module, *kinds) is None:
            convolutions[name] = module
        elif why_not_plain(module, *norms) is None and module.track_running_stats:
            followers[name] = module
    uses, sources, calls = _Uses(), dict[int, str](), Counter[str]()
    found: list[tuple[str, str, int]] = []

    def after(name: str) -> Callable[..., None]:
        def note(_: nn.Module, __: Any, output: Tensor) -> None:
            calls[name] += 1
            sources[uses.keep(output)] = name

        return note

    def before(name: str) -> Callable[..., None]:
        def note(_: nn.Module, inputs: tuple[Tensor]) -> None:
            calls[name] += 1
            if id(inputs[0]) in sources:
                found.append((sources[id(inputs[0])], name, id(inputs[0])))

        return note

    for name, module in convolutions.items():
        module.register_forward_hook(after(name))
    for name, module in followers.items():
        module.register_forward_pre_hook(before(name))
    shape, dtype = (1, _channels(network), SIDE, SIDE), next(hollow.parameters()).dtype
    image = torch.zeros(shape, device="meta", dtype=dtype)
    with torch.no_grad(), uses:
        hollow(image)
    return [
        (convolution, norm)
        for convolution, norm, between in found
        if uses.counts[between] == 1 and calls[convolution] == calls[norm] == 1
    ]


def _in_evaluation(copy: Network) -> Network:
    """Set evaluation mode; in a network that is in it, single parts stay as they are."""
    return copy.eval() if copy.training else copy


class _Uses(TorchFunctionMode):
    """Count how often each tensor enters a function that returns tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[int] = Counter()
        self._kept: list[Tensor] = []  # an id stands for one tensor only while that lives

    def keep(self, tensor: Tensor) -> int:
        self._kept.append(tensor)
        return id(tensor)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if any(True for _ in _tensors(result)):
            for tensor in _tensors((args, kwargs or {})):
                self.counts[self.keep(tensor)] += 1
        return result


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        yield from _tensors([*values.values()])
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)
