"""The pyramid pooling module (section 3.2, figure 3c)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.errors import UserError

Pool = Literal["average", "max"]
FINEST = 256  # cells per side of a grid; beyond the features' own size nothing is pooled


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalization that uses its running statistics where there is nothing to average.

    A 1×1 map of a batch of one has a single value per channel and so no variance; torch refuses it.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


class PyramidPooling(nn.Module):
    """Concatenate features with themselves, pooled to several grids and upsampled again.

    Args:
        in_channels: channels C of the features.
        bins: sides of the grids, (1, 2, 3, 6) in the paper; empty passes the features through.
        pool: average or max pooling within a cell (table 1: average is better).
        reduce: reduce each level to C / len(bins) channels by a 1×1 convolution, rounded down as
            semseg does ("dimension reduction", table 1); otherwise each keeps its C channels.
        align_corners: how the levels are upsampled, see `torch.nn.functional.interpolate`.

    Shapes:
        (N, C, H, W) in, (N, out_channels, H, W) out, features first, then the bins as given.

    Raises:
        UserError: for a bin below 1 or given twice, or more bins to reduce to than channels.
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
        if not all(1 <= side <= FINEST for side in bins) or len(set(bins)) != len(bins):
            raise UserError(f"bins={list(bins)}: give different sides, 1 to {FINEST}, or none")
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
