"""The pyramid pooling module (section 3.2, figure 3c)."""

from __future__ import annotations

from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.errors import UserError
from pspnet.ops import fused_pyramid_conv as fusion

Pool = Literal["average", "max"]


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalization that uses its running statistics where there is nothing to average.

    A 1×1 map of a batch of one has a single value a channel and so no variance; torch refuses it.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class PyramidPooling(nn.Module):
    """Concatenates features with themselves pooled to several grids and upsampled again.

    Args:
        in_channels: channels C of the features.
        bins: sides of the grids, (1, 2, 3, 6) in the paper; empty passes the features through.
        pool: average or max pooling within a cell (table 1: average is better).
        reduce: whether a 1×1 convolution takes each level to C / len(bins) channels, rounded down
            as semseg does ("dimension reduction", table 1); otherwise the C pooled channels go on.
        align_corners: how the levels are upsampled.

    Shapes:
        (N, C, H, W) in, (N, out_channels, H, W) out, features first, then the bins as given.

    Raises:
        ValueError: for a bin below 1 or given twice, or more bins to reduce to than channels.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        bins: tuple[int, ...] = (1, 2, 3, 6),
        pool: Pool = "average",
        reduce: bool = True,
        align_corners: bool = True,
    ) -> None:
        super().__init__()
        if any(side < 1 for side in bins) or len(set(bins)) != len(bins):
            raise UserError(f"bins={list(bins)}: give different sides of at least 1, or none")
        if reduce and len(bins) > in_channels:
            raise UserError(
                f"bins={list(bins)}: {in_channels} channels cannot be split into {len(bins)} "
                f"parts; use reduce=False or at most {in_channels} bins"
            )
        self.bins, self.pool, self.align_corners = tuple(bins), pool, align_corners
        width = in_channels // len(bins) if reduce and bins else in_channels
        self.levels = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(in_channels, width, 1, bias=False),
                BatchNorm2d(width),
                nn.ReLU(inplace=True),
            )
            if reduce
            else nn.Identity()
            for _ in bins
        )
        self.out_channels = in_channels + len(bins) * width

    def forward(self, features: Tensor) -> Tensor:
        pool = F.adaptive_avg_pool2d if self.pool == "average" else F.adaptive_max_pool2d
        context = [
            F.interpolate(
                level(pool(features, side)),  # (N, C / len(bins), side, side)
                size=features.shape[2:],
                mode="bilinear",
                align_corners=self.align_corners,
            )
            for side, level in zip(self.bins, self.levels, strict=True)
        ]
        return torch.cat([features, *context], dim=1)

    def convolved(self, features: Tensor, convolution: nn.Conv2d) -> Tensor:
        """What a 3×3 convolution makes of `forward`'s output, (N, D, H, W).

        Computed without the concatenation where that takes fewer multiplications, to the same
        values but for rounding; see `pspnet.ops.fused_pyramid_conv`.

        Args:
            features: (N, C, H, W).
            convolution: of out_channels to D channels, padding 1.
        """
        level = (self.out_channels - features.shape[1]) // max(len(self.bins), 1)
        height, width = features.shape[2:]
        if not self.bins or not fusion.saves(
            self.bins,
            channels=features.shape[1],
            level=level,
            out=convolution.out_channels,
            height=height,
            width=width,
        ):
            return cast(Tensor, convolution(self(features)))
        if self.pool == "average":
            cells = fusion.pool_average(features, self.bins)
        else:
            cells = [F.adaptive_max_pool2d(features, side) for side in self.bins]
        levels = [level(cell) for level, cell in zip(self.levels, cells, strict=True)]
        return fusion.convolve(
            features,
            levels,
            convolution.weight,
            convolution.bias,
            align_corners=self.align_corners,
        )
