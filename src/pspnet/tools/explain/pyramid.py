"""What each part of the pyramid gives to the decoder, and what goes when it is silenced.

The decoder's 3×3 convolution is linear, so that its output is a sum over the features and the bins:
each part's term is what the part's own slice of the kernel makes of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.evaluation.whole import pad_centrally
from pspnet.models.pspnet import SMALLEST_SIDE, PSPNet

FEATURES, EVERY_BIN, WHOLE = "features", "all bins", "nothing"


@dataclass(frozen=True)
class Terms:
    """What the decoder's first convolution makes of each part of an image's context.

    Args:
        terms: by "features", "bin 1", …: (N, D, h, w), before the normalization; their sum is what
            the network computes.
        parts: the parts themselves, (N, channels, h, w) each.
        padded: height and width of the image that went through the network.
        window: where the image itself lies in it.
    """

    terms: dict[str, Tensor]
    parts: dict[str, Tensor]
    padded: tuple[int, int]
    window: tuple[slice, slice]


def part_names(network: PSPNet) -> list[str]:
    """The parts of the decoder's input in order: the features, then the bins."""
    return [FEATURES, *(f"bin {side}" for side in network.pyramid.bins)]


def split(network: PSPNet, image: Tensor) -> Terms:
    """Takes the decoder's input apart, of images that are padded as `evaluation.whole` does.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalized.
    """
    multiple = network.output_stride if network.align_corners else 1
    padded, (top, left) = pad_centrally(image, multiple=multiple, smallest=SMALLEST_SIDE)
    features: Tensor = network.encoder(padded)[-1]
    context = network.pyramid(features)  # (N, 4096, H/8, W/8)
    slices = context.split_with_sizes(_widths(network), 1)
    parts = dict(zip(part_names(network), slices, strict=True))
    height, width = image.shape[2:]
    return Terms(
        terms={name: term(network, name, part) for name, part in parts.items()},
        parts=parts,
        padded=(padded.shape[2], padded.shape[3]),
        window=(slice(top, top + height), slice(left, left + width)),
    )


def term(network: PSPNet, name: str, part: Tensor) -> Tensor:
    """The term of one part (N, channels, h, w) in the decoder's first convolution, (N, D, h, w)."""
    index = part_names(network).index(name)
    convolution = network.decoder[0]
    assert isinstance(convolution, nn.Conv2d)
    kernel = convolution.weight.split_with_sizes(_widths(network), 1)[index]
    return F.conv2d(part, kernel, padding=convolution.padding)


def logits(network: PSPNet, total: Tensor, terms: Terms) -> Tensor:
    """Class scores of the images' own size, (N, C, H, W), from the first convolution's output."""
    small = network.decoder[1:](total)  # (N, C, H/8, W/8)
    align = network.align_corners
    scores = F.interpolate(small, size=terms.padded, mode="bilinear", align_corners=align)
    return scores[:, :, terms.window[0], terms.window[1]]


def variants(network: PSPNet) -> dict[str, list[str]]:
    """The parts that are silenced, by the name of the variant; nothing, one part, all bins."""
    names = part_names(network)
    singles = {name: [name] for name in names}
    every = {EVERY_BIN: names[1:]} if len(names) > 2 else {}
    return {WHOLE: [], **singles, **every}


def silenced(
    network: PSPNet, terms: Terms, names: Iterable[str], means: Mapping[str, Tensor] | None
) -> Tensor:
    """The first convolution's output (N, D, h, w) without some parts.

    Args:
        network: in evaluation mode.
        terms: of the images.
        names: the parts that are replaced.
        means: by part, its mean (channels,) over a data set, by which it is replaced; None: by 0.
    """
    total = torch.stack(list(terms.terms.values())).sum(0)
    for name in names:
        total = total - terms.terms[name]
        if means is not None:
            constant = means[name].view(1, -1, 1, 1).expand_as(terms.parts[name][:1])
            total = total + term(network, name, constant)  # its border sees the padding too
    return total


@dataclass
class Averages:
    """Sums over a data set from which the parts' means and the sizes of their terms follow.

    Sums are of images, not of pixels, so that each image counts alike.
    """

    images: int = 0
    parts: dict[str, Tensor] = field(default_factory=dict)  # (channels,), of means
    terms: dict[str, Tensor] = field(default_factory=dict)  # (D,), of means
    squares: dict[str, Tensor] = field(default_factory=dict)  # (D,), of mean squares

    def add(self, terms: Terms) -> None:
        """Counts a batch."""
        self.images += len(next(iter(terms.parts.values())))
        for sums, values in (
            (self.parts, terms.parts),
            (self.terms, terms.terms),
            (self.squares, {name: t.square() for name, t in terms.terms.items()}),
        ):
            for name, value in values.items():
                mean = value.double().mean((2, 3)).sum(0)
                sums[name] = sums.get(name, torch.zeros_like(mean)) + mean

    def means(self) -> dict[str, Tensor]:
        """Each part's mean over images and places, (channels,) float32."""
        return {name: (total / self.images).float() for name, total in self.parts.items()}

    def sizes(self) -> dict[str, tuple[float, float]]:
        """Root mean square of each part's term: of all of it, and of what varies about its mean.

        A term's mean by channel is no more than a bias, which the normalization takes off.
        """
        sizes = {}
        for name, squares in self.squares.items():
            power = squares / self.images
            constant = (self.terms[name] / self.images).square()
            varying = (power - constant).clamp(min=0)
            sizes[name] = (power.mean().sqrt().item(), varying.mean().sqrt().item())
        return sizes


def contributions(
    network: PSPNet, image: Tensor, means: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """What each part does for the predicted class, pixel by pixel.

    The prediction, (H, W) int64, and by part how much higher the predicted class's score is than it
    would be with the part replaced by its mean, (H, W). The scores are no sum of these, as a ReLU
    stands between.

    Args:
        network: in evaluation mode.
        image: (3, H, W), normalized.
        means: each part's mean over a data set.
    """
    terms = split(network, image[None])
    scores = logits(network, silenced(network, terms, [], None), terms)
    prediction = scores.argmax(1, keepdim=True)  # (1, 1, H, W)
    maps = {}
    for name in part_names(network):
        without = logits(network, silenced(network, terms, [name], means), terms)
        maps[name] = (scores - without).gather(1, prediction)[0, 0]
    return prediction[0, 0], maps


def _widths(network: PSPNet) -> list[int]:
    channels = int(network.encoder.out_channels[-1])  # type: ignore[index]
    bins = len(network.pyramid.bins)
    return [channels] + bins * [(network.pyramid.out_channels - channels) // max(bins, 1)]
