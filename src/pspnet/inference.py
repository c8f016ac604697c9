"""From images of any size to logits of that size."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.models.network import SMALLEST_SIDE, PSPNet


def whole(network: PSPNet, image: Tensor) -> Tensor:
    """Logits of whole images in one pass, in evaluation mode.

    Images are padded centrally with the mean colour (0 once normalised) to the smallest size that
    the network takes, and with `align_corners` to 8n + 1 pixels a side (16n + 1, 32n + 1 at those
    output strides), at which the features' corners lie on pixels; semseg takes no other sizes.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalised, any H and W.

    Returns:
        Logits (N, C, H, W).
    """
    assert not network.training
    height, width = image.shape[2:]
    multiple = network.output_stride if network.align_corners else 1
    padded, (top, left) = pad_centrally(image, multiple=multiple, smallest=SMALLEST_SIDE)
    logits = network(padded)
    assert isinstance(logits, torch.Tensor)
    return logits[:, :, top : top + height, left : left + width]


def pad_centrally(image: Tensor, *, multiple: int, smallest: int) -> tuple[Tensor, tuple[int, int]]:
    """Pads with 0 to sides of `multiple`·n + 1 (any, if 1) and at least `smallest`.

    Returns:
        The padded images (N, 3, H', W'), and the row and column of the first image pixel.
    """
    missing = [_side(side, multiple, smallest) - side for side in image.shape[2:]]
    top, left = (pixels // 2 for pixels in missing)
    if not any(missing):
        return image, (0, 0)
    padding = (left, missing[1] - left, top, missing[0] - top)
    return F.pad(image, padding), (top, left)


def _side(side: int, multiple: int, smallest: int) -> int:
    side = max(side, smallest)
    return side if multiple == 1 else side + (1 - side) % multiple
