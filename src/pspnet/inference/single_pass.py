"""One forward pass over whole images of any size, and logits kept at feature resolution.

Loss and prediction of such logits are computed in chunks of rows, where the network upsamples as
`PSPNet` does. Another network's logits are taken at full size, as its `forward` returns them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import CodeType, SimpleNamespace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from pspnet.models.pspnet import SMALLEST_SIDE, PSPNet
from pspnet.ops import chunked_logits
from pspnet.ops.equivalence import nearly_equal, why_not_plain
from pspnet.ops.memory_format import in_format_of


@dataclass(frozen=True)
class FeatureLogits:
    """Logits at feature resolution, with what is needed to map them back to the image.

    Args:
        logits: (N, C, h, w).
        padded: height and width of the padded images that they were computed from.
        window: rows and columns of these in which the images themselves lie.
        align_corners: how the logits are upsampled.
    """

    logits: Tensor
    padded: tuple[int, int]
    window: tuple[slice, slice]
    align_corners: bool

    def upsample(self) -> Tensor:
        """Logits (N, C, H, W) at the images' own size."""
        logits = F.interpolate(
            self.logits, size=self.padded, mode="bilinear", align_corners=self.align_corners
        )
        return logits[:, :, self.window[0], self.window[1]]

    def argmax(self) -> Tensor:
        """Class ids (N, H, W) uint8 at the images' own size, computed in chunks of rows."""
        return chunked_logits.argmax(
            self.logits, self.padded, align_corners=self.align_corners, window=self.window
        )

    def confidence(self, temperature: float) -> Tensor:
        """Probability of each pixel's class, (N, H, W), computed in chunks of rows."""
        return chunked_logits.confidence(
            self.logits,
            self.padded,
            temperature=temperature,
            align_corners=self.align_corners,
            window=self.window,
        )

    def at(self, index: int, pixels: Tensor) -> Tensor:
        """Return the logits of some pixels of one image, (K, C) float32.

        Args:
            index: of the image.
            pixels: (K,) places in the flattened image.
        """
        logits = self.logits[index].float()
        rows, columns = self.window
        width = columns.stop - columns.start
        places = (pixels.cpu() // width + rows.start, pixels.cpu() % width + columns.start)
        (top, bottom, down), (left, right, across) = (
            self._neighbors(place, axis) for axis, place in enumerate(places)
        )
        upper, lower = (
            torch.lerp(logits[:, row, left], logits[:, row, right], across) for row in (top, bottom)
        )
        return torch.lerp(upper, lower, down).T

    def on_grid(self, index: int, rows: Tensor, columns: Tensor) -> Tensor:
        """Return the logits of some rows and columns of one image, (C, rows, columns) float32."""
        logits = self.logits[index].float()
        (top, bottom, down), (left, right, across) = (
            self._neighbors(places.cpu() + window.start, axis)
            for axis, (places, window) in enumerate(zip((rows, columns), self.window, strict=True))
        )
        wide = torch.lerp(logits[:, :, left], logits[:, :, right], across)
        return torch.lerp(wide[:, top], wide[:, bottom], down[:, None])

    def _neighbors(self, places: Tensor, axis: int) -> tuple[Tensor, Tensor, Tensor]:
        """Return both neighbors of pixels along an axis, and the weight of the higher."""
        found = chunked_logits.neighbors(
            self.padded[axis], self.logits.shape[2 + axis], align_corners=self.align_corners
        )
        device = self.logits.device
        low, high, weight = found.low[places], found.high[places], found.weight[places].float()
        return low.to(device), high.to(device), weight.to(device)

    def loss(self, loss: Callable[..., Tensor], target: Tensor, *, ignore_index: int) -> Tensor:
        """A loss's `chunked` form on targets (N, H, W) at the images' own size."""
        around = target.new_full((len(target), *self.padded), ignore_index)
        around[:, self.window[0], self.window[1]] = target
        return loss(self.logits, around, align_corners=self.align_corners)


def single_pass(
    network: PSPNet, image: Tensor, *, pad_to_corners: bool = True
) -> FeatureLogits | Tensor:
    """Run whole images through a network in evaluation mode.

    Images are padded centrally with the mean color (0 once normalized) to the smallest size that
    the network takes.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalized, any H and W.
        pad_to_corners: pad images of networks with `align_corners` to 8n + 1 pixels per side too
            (16n + 1, 32n + 1 at those output strides), at which the features' corners lie on
            pixels; semseg takes no other sizes, mmsegmentation takes images as they are.

    Returns:
        Logits at feature resolution, or at the images' size (N, C, H, W) where `why_not_chunked`.
    """
    assert not network.training
    height, width = image.shape[2:]
    multiple = network.output_stride if network.align_corners and pad_to_corners else 1
    padded, (top, left) = pad_centrally(image, multiple=multiple, smallest=SMALLEST_SIDE)
    padded = in_format_of(network, padded)
    window = (slice(top, top + height), slice(left, left + width))
    if why_not_chunked(network) is not None:
        full = network(padded)
        assert isinstance(full, Tensor)
        return full[:, :, window[0], window[1]]
    logits = network(padded, upsample=False)
    assert isinstance(logits, Tensor)
    return FeatureLogits(
        logits,
        padded=(padded.shape[2], padded.shape[3]),
        window=window,
        align_corners=network.align_corners,
    )


def full_logits(network: PSPNet, image: Tensor, *, pad_to_corners: bool = True) -> Tensor:
    """Logits (N, C, H, W) of whole images (N, 3, H, W) in one pass, see `single_pass`."""
    logits = single_pass(network, image, pad_to_corners=pad_to_corners)
    return logits.upsample() if isinstance(logits, FeatureLogits) else logits


def why_not_chunked(network: PSPNet) -> str | None:
    """Return why logits at feature resolution do not stand for the network's output, or None.

    They bypass `upsample`, and hooks on the network would see another size. Subclasses may have
    parts of their own, but not another `forward`.
    """
    kind = type(network)
    if kind.forward is not PSPNet.forward:
        return f"{kind.__name__} has a forward of its own"
    if (reason := why_not_plain(network, kind)) is not None:
        return reason
    if kind.upsample is not PSPNet.upsample or "upsample" in vars(network):
        return f"{kind.__name__} has an upsample of its own"
    if not _upsamples_bilinearly(PSPNet.upsample.__code__, network.align_corners):
        return "PSPNet.upsample is no bilinear upsampling"
    if not _upsamples_last(PSPNet.forward.__code__):
        return "PSPNet.forward does more than upsampling at the end"
    return None


@lru_cache(maxsize=16)
def _upsamples_bilinearly(lines: CodeType, align_corners: bool) -> bool:
    """Compare `PSPNet.upsample`, whose lines are the key, with the chunked form."""
    with torch.device("cpu"), torch.inference_mode(False), torch.no_grad():
        logits = torch.sin(torch.arange(2 * 3 * 4.0, dtype=torch.float64)).view(1, 2, 3, 4)
        size = (17, 25)
        form = chunked_logits.ChunkedUpsampling(logits, size, align_corners=align_corners)
        chunked = torch.cat([chunk for _, chunk in form.chunks()], 2)
        stand_in = cast(PSPNet, SimpleNamespace(align_corners=align_corners))
        try:
            full = PSPNet.upsample(stand_in, logits, size)
        except AttributeError:  # it needs more of the network than that
            return False
        return nearly_equal(chunked, full)


@lru_cache(maxsize=16)
def _upsamples_last(lines: CodeType) -> bool:
    """Compare `PSPNet.forward`, whose lines are the key, with its small logits upsampled."""
    with (
        torch.device("cpu"),
        torch.inference_mode(False),
        torch.no_grad(),
        torch.autocast("cpu", enabled=False),
        torch.random.fork_rng(devices=[]),
    ):
        network = PSPNet(2, encoder="tu-resnet10n", decoder_channels=4, dropout=0.0)
        image = torch.sin(torch.arange(2 * 3 * 41 * 49.0)).view(2, 3, 41, 49)
        for training in (True, False):
            network.train(training)
            pairs = (network(image), network(image, upsample=False))
            full, low = (pair if isinstance(pair, tuple) else (pair,) for pair in pairs)
            upsampled = [network.upsample(logits, (41, 49)) for logits in low]
            if not all(map(nearly_equal, upsampled, full)):
                return False
    return True


def pad_centrally(
    image: Tensor, *, multiple: int, smallest: int | tuple[int, int]
) -> tuple[Tensor, tuple[int, int]]:
    """Pad with 0 to sides of `multiple`·n + 1 (any, if 1) and at least `smallest`.

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
