"""The pyramid and the decoder's first convolution in one step, where both are plain.

`fused_pyramid_conv` bypasses the forward methods of three modules. `why_not_fused` says when that
would miss an edit of one of them.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import product
from types import CodeType
from typing import cast, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.models.pyramid_pooling import Pool, PyramidPooling
from pspnet.ops import fused_pyramid_conv as fused
from pspnet.ops.equivalence import nearly_equal, why_not_plain

PLAIN_3X3 = ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")


def fused_pyramid_conv(pyramid: PyramidPooling, convolution: nn.Module, features: Tensor) -> Tensor:
    """Compute `convolution(pyramid(features))` without the concatenation, equal but for rounding.

    Args:
        pyramid: pools, reduces and upsamples the features.
        convolution: 3×3, stride, dilation and groups 1, padded with one ring of zeros.
        features: (N, C, H, W).

    Returns:
        (N, D, H, W) for a convolution to D channels.
    """
    assert isinstance(convolution, nn.Conv2d)
    if pyramid.pool == "average":
        cells = fused.pool_average(features, pyramid.bins)
    else:
        cells = [F.adaptive_max_pool2d(features, side) for side in pyramid.bins]
    levels = [level(cell) for level, cell in zip(pyramid.levels, cells, strict=True)]
    return fused.convolve(
        features,
        levels,
        convolution.weight,
        convolution.bias,
        align_corners=pyramid.align_corners,
    )


def fusing_saves(pyramid: PyramidPooling, convolution: nn.Module, features: Tensor) -> bool:
    """Return whether `fused_pyramid_conv` takes fewer multiplications than the concatenation."""
    assert isinstance(convolution, nn.Conv2d)
    _, channels, height, width = features.shape
    if not pyramid.bins:
        return False
    return fused.saves(
        pyramid.bins,
        channels=channels,
        level=(pyramid.out_channels - channels) // len(pyramid.bins),
        out=convolution.out_channels,
        height=height,
        width=width,
    )


def why_not_fused(pyramid: nn.Module, decoder: nn.Module) -> str | None:
    """Return why `fused_pyramid_conv` would not compute `decoder(pyramid(features))`, or None.

    Pyramid, decoder and the decoder's first convolution have to be exactly of their class, without
    hooks. That `PyramidPooling.forward` computes the fused form is `forward_is_fused_form`: an edit
    of its lines takes effect, too.
    """
    reason = why_not_plain(pyramid, PyramidPooling) or why_not_plain(decoder, nn.Sequential)
    if reason is not None:
        return reason
    assert isinstance(pyramid, PyramidPooling)
    assert isinstance(decoder, nn.Sequential)
    convolution = cast(nn.Conv2d, decoder[0])
    if (reason := why_not_plain(convolution, nn.Conv2d)) is not None:
        return reason
    if convolution.in_channels != pyramid.out_channels or _geometry(convolution) != PLAIN_3X3:
        return f"{convolution} is no plain 3×3 convolution of the pyramid's output"
    if any(not name.startswith("levels.") for name, _ in pyramid.named_parameters()):
        return "PyramidPooling has parameters besides its levels"
    return None


def _geometry(convolution: nn.Conv2d) -> tuple[object, ...]:
    return (
        convolution.kernel_size,
        convolution.stride,
        convolution.padding,
        convolution.dilation,
        convolution.groups,
        convolution.padding_mode,
    )


def forward_is_fused_form() -> bool:
    """Return whether `PyramidPooling.forward`, as its lines are now, computes the fused form."""
    return _compare_forms(PyramidPooling.forward.__code__)


@lru_cache(maxsize=8)
def _compare_forms(lines: CodeType) -> bool:
    """Compare both forms on small maps: every kind of pooling, in training and in evaluation.

    Args:
        lines: of `PyramidPooling.forward`, as the key of the cache.
    """
    with (
        torch.device("cpu"),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.random.fork_rng(devices=[]),
    ):
        torch.manual_seed(0)
        features = torch.randn(2, 8, 13, 15, dtype=torch.float64)
        for pool, align_corners, train in product(get_args(Pool), (True, False), (True, False)):
            pyramid = PyramidPooling(8, pool=pool, align_corners=align_corners)
            convolution = nn.Conv2d(pyramid.out_channels, 4, 3, padding=1).double()
            for tensor in (*pyramid.parameters(), *pyramid.buffers()):
                if tensor.is_floating_point():
                    tensor.uniform_(0.5, 1.5)  # no part starts without effect
            pyramid.double().train(train)
            published = convolution(pyramid(features))
            if not nearly_equal(fused_pyramid_conv(pyramid, convolution, features), published):
                return False
    return True
