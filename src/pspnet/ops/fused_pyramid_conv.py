"""Pyramid pooling and the convolution behind it as matrix products, without the concatenation.

The decoder's 3×3 convolution over the features and the upsampled levels is a sum over these parts.
A level of b×b cells, upsampled bilinearly, is linear in the cells. Each of the nine kernel elements
is applied to the cells. Its result is then upsampled by the interpolation shifted by that element,
with zeros where this falls outside. Interpolation and average pooling are each a product over the
rows and one over the columns, which depend on the sizes alone. The result is that of figure 3; the
4096 channels are never stored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from pspnet.ops.pyramid_matrices import KERNEL, pooling, upsampling


def pool_average(features: Tensor, bins: tuple[int, ...]) -> list[Tensor]:
    """Pool features to every bin by averages, reading the features once.

    Args:
        features: (N, C, H, W).
        bins: sides b of the grids.

    Returns:
        (N, C, b, b) per bin, like `torch.nn.functional.adaptive_avg_pool2d`.
    """
    n, c, height, width = features.shape
    rows, columns = (pooling(bins, side, features) for side in (height, width))
    flat = features.permute(0, 2, 3, 1).reshape(n, height, width * c)
    bands = torch.cat([power for power, _ in rows]) @ flat  # (N, Σb, W·C)
    pooled = []
    parts = bands.view(n, -1, width, c).split_with_sizes(bins, 1)  # (N, b, W, C)
    for band, (_, row_rest), (power, column_rest) in zip(parts, rows, columns, strict=True):
        cells = power @ band  # (N, b, b, C)
        rest = (row_rest[:, None] * column_rest)[..., None]  # (b, b, 1)
        pooled.append((cells * rest).to(cells.dtype).permute(0, 3, 1, 2))
    return pooled


def convolve(
    features: Tensor,
    levels: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    align_corners: bool,
) -> Tensor:
    """Convolve the features, followed by all levels upsampled bilinearly, with a 3×3 kernel.

    There is no second derivative.

    Args:
        features: (N, C, H, W).
        levels: maps (N, C', b, b), of any channels and sides.
        weight: of the convolution, (D, C + ΣC', 3, 3); it pads with one ring of zeros.
        bias: of the convolution, (D,).
        align_corners: how the levels are upsampled.

    Returns:
        (N, D, H, W), channels last in memory.
    """
    dtype = _computed_in(features)
    features, levels = features.to(dtype), [level.to(dtype) for level in levels]
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        total = _Convolution.apply(features, weight, bias, align_corners, *levels)
    else:
        total = _convolve(features, levels, weight, bias, align_corners)
    n, _, height, width = features.shape
    image: Tensor = total.view(n, height, width, -1).permute(0, 3, 1, 2)
    return image


def _convolve(
    features: Tensor,
    levels: Sequence[Tensor],
    weight: Tensor,
    bias: Tensor | None,
    align_corners: bool,
) -> Tensor:
    """Return the rows of the result, (N, H, W·D), channels last."""
    (n, _, height, width), out = features.shape, weight.shape[0]
    dtype = features.dtype
    kernel, *kernels = _kernels(weight, features, levels)
    bias = None if bias is None else bias.to(dtype)
    own = F.conv2d(features, kernel.to(dtype), bias, padding=1)  # (N, D, H, W)
    rows, columns = _upsamplings(levels, features, align_corners)
    bands = []
    for level, elements, column in zip(levels, kernels, columns, strict=True):
        side = level.shape[2]
        cells = _places_first(level) @ _places_first(elements.to(dtype)).t()  # (N·b·b, D·9)
        shifted = cells.view(n, side, side, out, KERNEL, KERNEL).permute(0, 4, 1, 5, 2, 3)
        shifted = shifted.reshape(n, KERNEL * side, KERNEL * side, out)  # (N, 3·b, 3·b, D)
        bands.append((column @ shifted).view(n, KERNEL * side, width * out))  # (N, 3·b, W·D)
    flat = own.permute(0, 2, 3, 1).reshape(n, height, width * out)
    upsampled = rows.expand(n, -1, -1)  # (N, H, 3·Σb)
    return torch.baddbmm(flat, upsampled, torch.cat(bands, 1))


class _Convolution(torch.autograd.Function):
    """`_convolve` with a backward pass that writes all kernels' gradients into one tensor.

    Autograd would hold them apart, together, and once more in the weight's memory format, at the
    moment of a training's peak memory: 3·72 MiB for PSPNet50.
    """

    @staticmethod
    def forward(
        ctx: Any,
        features: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        align_corners: bool,
        *levels: Tensor,
    ) -> Tensor:
        ctx.align_corners, ctx.bias_type = align_corners, None if bias is None else bias.dtype
        ctx.save_for_backward(features, weight, *levels)
        return _convolve(features, levels, weight, bias, align_corners)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        features, weight, *levels = ctx.saved_tensors
        needs_features, needs_weight, needs_bias, _, *needs_levels = ctx.needs_input_grad
        (n, _, height, width), dtype = features.shape, features.dtype
        upstream = upstream.view(n, height, width, -1).permute(0, 3, 1, 2)  # (N, D, H, W)
        kernel, *kernels = _kernels(weight, features, levels)
        by_features = by_weight = by_bias = None
        if needs_features:
            by_features = _by(0, upstream, features, kernel.to(dtype))
        if needs_weight:
            by_weight = torch.empty_like(weight)
            own, *parts = _kernels(by_weight, features, levels)
            own.copy_(_by(1, upstream, features, kernel.to(dtype)))
        if needs_bias:
            by_bias = upstream.sum((0, 2, 3), dtype=ctx.bias_type)
        by_levels: list[Tensor | None] = []
        upsampled = _cell_gradients(upstream, features, levels, ctx.align_corners)
        for index, (level, cells) in enumerate(zip(levels, upsampled, strict=True)):
            elements, places = kernels[index], level.permute(0, 2, 3, 1).shape
            if needs_weight:
                gradient = cells.t() @ _places_first(level)  # (D·9, C')
                parts[index].copy_(
                    gradient.view(len(elements), KERNEL, KERNEL, -1).permute(0, 3, 1, 2)
                )
            by_level = None
            if needs_levels[index]:
                by_level = (
                    (cells @ _places_first(elements.to(dtype))).view(places).permute(0, 3, 1, 2)
                )
            by_levels.append(by_level)
        return by_features, by_weight, by_bias, None, *by_levels


def _by(which: int, upstream: Tensor, features: Tensor, kernel: Tensor) -> Tensor:
    """Return a padded 3×3 convolution's gradient for features (0) or kernel (1)."""
    gradients = torch.ops.aten.convolution_backward(
        upstream,
        features,
        kernel,
        None,
        [1, 1],
        [1, 1],
        [1, 1],
        False,
        [0, 0],
        1,
        [which == 0, which == 1, False],
    )
    found: Tensor = gradients[which]
    return found


def _cell_gradients(
    upstream: Tensor, features: Tensor, levels: Sequence[Tensor], align_corners: bool
) -> Iterator[Tensor]:
    """Yield the gradient for each kernel element and cell, (N·b·b, D·9) per level."""
    n, out, height, width = upstream.shape
    rows, columns = _upsamplings(levels, features, align_corners)
    flat = upstream.permute(0, 2, 3, 1).reshape(n, height, width * out)
    bands = (rows.t() @ flat).view(n, -1, width, out)  # (N, 3·Σb, W, D)
    sides = [level.shape[2] for level in levels]
    for side, band, column in zip(
        sides,
        bands.split_with_sizes([KERNEL * side for side in sides], 1),
        columns,
        strict=True,
    ):
        shifted = column.t() @ band  # (N, 3·b, 3·b, D)
        cells = shifted.view(n, KERNEL, side, KERNEL, side, out).permute(0, 2, 4, 5, 1, 3)
        yield cells.reshape(n * side * side, out * KERNEL * KERNEL)


def _upsamplings(
    levels: Sequence[Tensor], features: Tensor, align_corners: bool
) -> tuple[Tensor, list[Tensor]]:
    """Return weights of shifted cells: in rows, (H, 3·Σb), and in columns, (W, 3·b) per level."""
    bins = tuple(level.shape[2] for level in levels)
    rows, columns = (upsampling(bins, size, align_corners, features) for size in features.shape[2:])
    return torch.cat(rows, 1), columns


def _kernels(weight: Tensor, features: Tensor, levels: Sequence[Tensor]) -> Sequence[Tensor]:
    """Return views of the weight for the features and for each level, (D, C, 3, 3)."""
    channels = [features.shape[1], *(level.shape[1] for level in levels)]
    return weight.split_with_sizes(channels, 1)


def _places_first(maps: Tensor) -> Tensor:
    """Return (N, C, h, w) as (N·h·w, C); a kernel in channels-last memory is not copied."""
    return maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])


def _computed_in(features: Tensor) -> torch.dtype:
    """Return the type in which autocast, if it is on, computes a convolution."""
    kind = features.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return features.dtype
    wide = features.dtype == torch.float64
    return features.dtype if wide else torch.get_autocast_dtype(kind)


def saves(
    bins: Sequence[int], *, channels: int, level: int, out: int, height: int, width: int
) -> bool:
    """Return whether the products take fewer multiplications than the concatenation.

    They do, except on small maps: at an output stride of 32, or with bins nearly as many as pixels.

    Args:
        bins: sides of the grids.
        channels: C of the features.
        level: channels of each level.
        out: channels D that the convolution gives.
        height: of the features.
        width: of the features.
    """
    area, sides, cells = height * width, sum(bins), sum(side * side for side in bins)
    context = len(bins) * level
    published = area * (len(bins) * channels + 4 * context + KERNEL**2 * context * out)
    pooling = channels * (area * sides + width * cells)
    products = KERNEL**2 * level * out * cells + KERNEL**2 * out * width * cells
    return pooling + products + KERNEL * area * sides * out < published
