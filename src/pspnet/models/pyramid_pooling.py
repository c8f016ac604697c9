"""The pyramid pooling module (section 3.2, figure 3c)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.errors import UserError

Pool = Literal["average", "max"]
WIDEST = 4  # times the channels of the features
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
        level_width: channels that each level is reduced (or raised) to, as a multiple of C; None is
            1 / len(bins).
        align_corners: how the levels are upsampled, see `torch.nn.functional.interpolate`.

    Shapes:
        (N, C, H, W) in, (N, out_channels, H, W) out, features first, then the bins as given.

    Raises:
        UserError: for a bin below 1 or given twice, more bins to reduce to than channels, or a
            width that is out of range or given without `reduce`.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        bins: tuple[int, ...] = (1, 2, 3, 6),
        pool: Pool = "average",
        reduce: bool = True,
        align_corners: bool = True,
        level_width: float | None = None,
    ) -> None:
        super().__init__()
        if not all(1 <= side <= FINEST for side in bins) or len(set(bins)) != len(bins):
            raise UserError(f"bins={list(bins)}: give different sides, 1 to {FINEST}, or none")
        if reduce and len(bins) > in_channels:
            raise UserError(
                f"bins={list(bins)}: {in_channels} channels cannot be split into {len(bins)} "
                f"parts; use reduce=False or at most {in_channels} bins"
            )
        if level_width is not None and (not reduce or not 1 / in_channels <= level_width <= WIDEST):
            raise UserError(
                f"level_width={level_width}: give 1/{in_channels} to {WIDEST} times the features' "
                f"{in_channels} channels, with reduce=True"
            )
        self.bins, self.pool, self.align_corners = tuple(bins), pool, align_corners
        width = in_channels // len(bins) if reduce and bins else in_channels
        if level_width is not None:
            width = int(in_channels * level_width)
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
