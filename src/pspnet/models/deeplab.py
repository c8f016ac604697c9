"""DeepLabv3's atrous spatial pyramid pooling in place of the pyramid, for comparison."""

from __future__ import annotations

from typing import Any

from torch import nn
from torchvision.models.segmentation.deeplabv3 import ASPP

from pspnet.errors import UserError
from pspnet.models.dilation import LARGEST
from pspnet.models.pspnet import MOST_CHANNELS, PSPNet, initialize
from pspnet.models.pyramid_pooling import BatchNorm2d


class DeepLabV3(PSPNet):
    """The same encoder, decoder and auxiliary head around torchvision's ASPP.

    Its context comes from 3×3 convolutions of several dilations and one global average, which are
    concatenated and projected (Chen et al., arXiv 1706.05587, section 3.3). Torchvision's dropout
    after the projection is left out.

    Args:
        *args: of `PSPNet`.
        rates: dilations of its 3×3 convolutions; the paper's at stride 8.
        aspp_channels: width of each branch and of the result.
        **options: of `PSPNet`; those of the pyramid have no effect.

    Raises:
        UserError: as `PSPNet` does, or for rates or a width out of range.
    """

    def __init__(
        self,
        *args: Any,
        rates: tuple[int, ...] = (12, 24, 36),
        aspp_channels: int = 256,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        if not rates or not all(1 <= rate <= LARGEST for rate in rates):
            raise UserError(f"rates={list(rates)}: give dilations of 1 to {LARGEST}, at least one")
        if not 1 <= aspp_channels <= MOST_CHANNELS:
            raise UserError(f"aspp_channels={aspp_channels}: give 1 to {MOST_CHANNELS}")
        channels: int = self.encoder.out_channels[-1]  # type: ignore[index, assignment]
        aspp = ASPP(channels, rates, aspp_channels)
        pooling = aspp.convs[-1]
        assert isinstance(pooling, nn.Sequential)
        pooling[2] = BatchNorm2d(aspp_channels)  # a batch of one has a single value per channel
        aspp.project[3] = nn.Identity()  # the decoder has dropout, by samples, as PSPNet's
        aspp.out_channels = aspp_channels
        self.pyramid = aspp
        first = self.decoder[0]
        assert isinstance(first, nn.Conv2d)
        self.decoder[0] = nn.Conv2d(aspp_channels, first.out_channels, 3, padding=1, bias=False)
        for module in (self.pyramid, self.decoder[0]):
            module.apply(initialize)
