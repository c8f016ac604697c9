"""The published network and loss, around the layers of one of this package's networks."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.data.datasets.classes import IGNORE
from pspnet.models.pspnet import PSPNet

AUXILIARY_WEIGHT = 0.4  # table 2 of the paper


class PublishedPSPNet(nn.Module):
    """The forward pass of semseg's PSPNet, with the layers and so the weights of a network.

    Average pooling, aligned corners. Every level is upsampled, concatenated and convolved, and all
    logits of both heads are upsampled before the loss. The class map that semseg's training
    computes of each batch for its log is left out.

    Args:
        network: network whose layers are taken; give a copy if both are to be trained.

    Shapes:
        (N, 3, H, W) in, H and W of 8n + 1; logits (N, C, H, W) out, in training a pair of logits
        and auxiliary logits.

    Source: hszhao/semseg, model/pspnet.py.
    """

    def __init__(self, network: PSPNet) -> None:
        super().__init__()
        self.bins = network.pyramid.bins
        self.encoder, self.levels = network.encoder, network.pyramid.levels
        self.decoder, self.auxiliary = network.decoder, network.auxiliary

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        size = (image.shape[2], image.shape[3])
        *_, stage4, stage5 = self.encoder(image)
        maps = [stage5]
        for side, level in zip(self.bins, self.levels, strict=True):
            cells = level(F.adaptive_avg_pool2d(stage5, side))  # (N, 512, side, side)
            maps.append(_upsample(cells, (stage5.shape[2], stage5.shape[3])))
        logits = _upsample(self.decoder(torch.cat(maps, 1)), size)
        if not self.training or self.auxiliary is None:
            return logits
        return logits, _upsample(self.auxiliary(stage4), size)


def published_loss(output: tuple[Tensor, Tensor], label: Tensor) -> Tensor:
    """Return the cross-entropy of both heads over the pixels that are not ignored, 0-dim.

    Args:
        output: logits and auxiliary logits, (N, C, H, W) each.
        label: (N, H, W) int64.

    Source: semseg's tool/train.py; equation of section 4 of the paper.
    """
    main, auxiliary = (F.cross_entropy(logits, label, ignore_index=IGNORE) for logits in output)
    return main + AUXILIARY_WEIGHT * auxiliary


def _upsample(maps: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(maps, size=size, mode="bilinear", align_corners=True)
