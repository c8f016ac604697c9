"""Images of any size through the network in one pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.models.pspnet import SMALLEST_SIDE, PSPNet
from pspnet.ops.chunked_logits import predict


@dataclass(frozen=True)
class Coarse:
    """What the network says of images at the size of its features.

    Args:
        logits: (N, C, h, w).
        padded: height and width of the images that went through it.
        window: rows and columns of these in which the images themselves lie.
        align_corners: how the logits are enlarged.
    """

    logits: Tensor
    padded: tuple[int, int]
    window: tuple[slice, slice]
    align_corners: bool

    def scores(self) -> Tensor:
        """Logits (N, C, H, W) of the images' own size."""
        scores = F.interpolate(
            self.logits, size=self.padded, mode="bilinear", align_corners=self.align_corners
        )
        return scores[:, :, self.window[0], self.window[1]]

    def prediction(self) -> Tensor:
        """Class ids (N, H, W) uint8 of the images' own size; strip by strip, of little memory."""
        return predict(
            self.logits, self.padded, align_corners=self.align_corners, window=self.window
        )

    def loss(self, loss: Callable[..., Tensor], label: Tensor, *, ignore: int) -> Tensor:
        """A loss of `pspnet.losses` of labels (N, H, W) of the images' own size."""
        around = label.new_full((len(label), *self.padded), ignore)
        around[:, self.window[0], self.window[1]] = label
        return loss(self.logits, around, align_corners=self.align_corners)


def coarse(network: PSPNet, image: Tensor) -> Coarse:
    """One pass over whole images, in evaluation mode.

    Images are padded centrally with the mean color (0 once normalized) to the smallest size that
    the network takes, and with `align_corners` to 8n + 1 pixels a side (16n + 1, 32n + 1 at those
    output strides), at which the features' corners lie on pixels; semseg takes no other sizes.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalized, any H and W.
    """
    assert not network.training
    height, width = image.shape[2:]
    multiple = network.output_stride if network.align_corners else 1
    padded, (top, left) = pad_centrally(image, multiple=multiple, smallest=SMALLEST_SIDE)
    logits = network(padded.contiguous(memory_format=torch.channels_last), upsample=False)
    assert isinstance(logits, Tensor)
    return Coarse(
        logits,
        padded=(padded.shape[2], padded.shape[3]),
        window=(slice(top, top + height), slice(left, left + width)),
        align_corners=network.align_corners,
    )


def whole(network: PSPNet, image: Tensor) -> Tensor:
    """Logits (N, C, H, W) of whole images (N, 3, H, W) in one pass, see `coarse`."""
    return coarse(network, image).scores()


def pad_centrally(
    image: Tensor, *, multiple: int, smallest: int | tuple[int, int]
) -> tuple[Tensor, tuple[int, int]]:
    """Pads with 0 to sides of `multiple`·n + 1 (any, if 1) and at least `smallest`.

    Returns:
        The padded images (N, 3, H', W'), and the row and column of the first image pixel.
    """
    least = (smallest, smallest) if isinstance(smallest, int) else smallest
    sides = zip(image.shape[2:], least, strict=True)
    missing = [_side(side, multiple, low) - side for side, low in sides]
    top, left = (pixels // 2 for pixels in missing)
    if not any(missing):
        return image, (0, 0)
    padding = (left, missing[1] - left, top, missing[0] - top)
    return F.pad(image, padding), (top, left)


def _side(side: int, multiple: int, smallest: int) -> int:
    side = max(side, smallest)
    return side if multiple == 1 else side + (1 - side) % multiple
