"""The memory format in which a network computes fastest: channels last, with one exception."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pspnet.ops.dilated_depthwise import is_depthwise


def fastest_format(
    network: nn.Module, *, device: torch.device, precision: str
) -> torch.memory_format:
    """Return the memory format of weights and images, by what was measured (docs/PERFORMANCE.md).

    Channels first is faster for depthwise convolutions in bfloat16 on CPUs. All others gain from
    channels last, or are as fast.

    Args:
        network: whose convolutions decide.
        device: on which it runs.
        precision: the Trainer's.
    """
    bfloat16 = precision.startswith("bf16") and device.type == "cpu"
    depthwise = any(map(is_depthwise, network.modules()))
    return torch.contiguous_format if bfloat16 and depthwise else torch.channels_last


def set_format(network: nn.Module, memory_format: torch.memory_format) -> None:
    """Lay out the weights of a network in place, and remember how."""
    network.to(memory_format=memory_format)
    network.memory_format = memory_format  # type: ignore[assignment]


def in_format_of(network: nn.Module, image: Tensor) -> Tensor:
    """Return images (N, C, H, W) in the format of `set_format`; without it in channels last."""
    memory_format = getattr(network, "memory_format", torch.channels_last)
    return image.contiguous(memory_format=memory_format)
