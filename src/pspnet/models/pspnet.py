"""PSPNet, as in figure 3 of the paper.

from pspnet import PSPNet
logits = PSPNet(num_classes=21, encoder="resnet50").eval()(image)   # (N, 21, H, W)
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.errors import UserError
from pspnet.models.dilation import Dilation, input_channels
from pspnet.models.dropout import Dropout2d
from pspnet.models.encoder import build_encoder, frozen_modules
from pspnet.models.fused_pyramid import (
    forward_is_fused_form,
    fused_pyramid_conv,
    fusing_saves,
    why_not_fused,
)
from pspnet.models.options import build, records_options
from pspnet.models.pyramid_pooling import Pool, PyramidPooling

SMALLEST_SIDE = 32
MOST_CHANNELS = 16_384
NORMALIZATIONS = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.LayerNorm, nn.GroupNorm)


class PSPNet(nn.Module):
    """Pyramid Scene Parsing Network (arXiv 1612.01105): dilated encoder, pyramid pooling, decoder.

    To change a part, replace it on the object or in a subclass, after `super().__init__`:
    `network.pyramid`, `network.decoder` (`head` builds one), `network.encoder`.

    Args:
        num_classes: number of classes C.
        encoder: a convolutional network that `segmentation_models_pytorch.encoders.get_encoder`
            knows, its own ("resnet50", "vgg16_bn") or timm's ("tu-resnet50s", "tu-convnext_tiny").
        encoder_weights: None for random ones, "imagenet" for the pretrained ones of smp or timm
            (fetched from their hub), the path of a safetensors or torch file of the encoder, or of
            a checkpoint that `pspnet.load_published` takes, whose encoder is used, or
            "package:NAME" of an installed package that holds one such file.
        dilation: dilations of stages 4 and 5; the paper's 2 and 4 keep the features at 1/8.
        bins: the pyramid's grids; none is the dilated FCN that table 1 starts from.
        pool: average or max pooling.
        reduce: reduce each level by a 1×1 convolution to its share of the channels.
        decoder_channels: width of the decoder's 3×3 convolution.
        dropout: probability of channel dropout before both classifiers.
        auxiliary: train a second classifier on stage 4 (section 4, figure 4).
        align_corners: how the pyramid's levels and the logits are upsampled: True in the authors'
            releases, with images of 8n + 1 pixels per side; False in mmsegmentation.
        auxiliary_channels: width of the auxiliary head's 3×3 convolution.
        fused_pyramid: compute pyramid and decoder without the concatenation of figure 3 where both
            are plain and it saves operations; logits are equal but for rounding.
        frozen_stages: stages of the encoder, from the stem on, that do not train: 0 (none) to 5.
        norm_eval: use and keep the running statistics of the encoder's batch normalizations.
        in_channels: of the images; pretrained weights for RGB are adapted, see `build_encoder`.
        level_width: channels of each pyramid level, as a multiple of the features'; None is the
            paper's 1 / len(bins), 1 keeps them.

    Shapes:
        (N, in_channels, H, W) in, any H and W of at least 32; logits (N, C, H, W) out, or with
        `upsample=False` (N, C, H/8, W/8). In training mode with an auxiliary head, a pair (logits,
        auxiliary logits).

    Raises:
        UserError: for an encoder that is unknown or cannot be dilated, weights that are missing,
            cannot be fetched or do not fit, or an option out of range.
    """

    options: dict[str, Any]  # the constructor's arguments as plain data, see `from_options`

    def __init_subclass__(cls) -> None:
        # also where it is inherited: a class beside PSPNet may have it
        cls.__init__ = records_options(cls.__init__)  # type: ignore[method-assign]

    @records_options
    def __init__(
        self,
        num_classes: int,
        encoder: str = "resnet50",
        encoder_weights: str | None = None,
        dilation: Dilation = Dilation(),  # noqa: B008  (frozen)
        bins: tuple[int, ...] = (1, 2, 3, 6),
        pool: Pool = "average",
        reduce: bool = True,
        decoder_channels: int = 512,
        dropout: float = 0.1,
        auxiliary: bool = True,
        align_corners: bool = True,
        auxiliary_channels: int = 256,
        fused_pyramid: bool = True,
        frozen_stages: int = 0,
        norm_eval: bool = False,
        in_channels: int = 3,
        level_width: float | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("num_classes", num_classes),
            ("decoder_channels", decoder_channels),
            ("auxiliary_channels", auxiliary_channels),
            ("in_channels", in_channels),
        ):
            if not 1 <= value <= MOST_CHANNELS:
                raise UserError(f"{name}={value}: give 1 to {MOST_CHANNELS}")
        if not 0 <= dropout < 1:
            raise UserError(f"dropout={dropout}: give a probability in [0, 1)")
        self.num_classes, self.align_corners = num_classes, align_corners
        self.dilation, self.output_stride = dilation, dilation.output_stride
        self.fused_pyramid, self.norm_eval = fused_pyramid, norm_eval
        self.encoder = build_encoder(
            encoder,
            weights=encoder_weights,
            dilation=dilation,
            frozen_stages=frozen_stages,
            in_channels=in_channels,
        )
        stage4, stage5 = cast(list[int], self.encoder.out_channels)[-2:]
        self.pyramid = PyramidPooling(
            stage5,
            bins=bins,
            pool=pool,
            reduce=reduce,
            align_corners=align_corners,
            level_width=level_width,
        )
        self.decoder = head(self.pyramid.out_channels, decoder_channels, num_classes, dropout)
        self.auxiliary = (
            head(stage4, auxiliary_channels, num_classes, dropout) if auxiliary else None
        )
        for module in (self.pyramid, self.decoder, self.auxiliary):
            if module is not None:
                module.apply(initialize)
        self._is_fused_form = forward_is_fused_form()  # compares both, once per process
        self.train()  # frozen parts in evaluation mode

    @property
    def in_channels(self) -> int:
        """Channels of the images."""
        return input_channels(self.encoder)

    def forward(self, image: Tensor, upsample: bool = True) -> Tensor | tuple[Tensor, Tensor]:
        size = (image.shape[2], image.shape[3])
        if any(side < SMALLEST_SIDE for side in size):
            raise UserError(
                f"an image of {size[0]}×{size[1]} pixels: pad it to {SMALLEST_SIDE} a side at least"
            )
        *_, stage4, stage5 = self.encoder(image)  # (N, 1024, H/8, W/8), (N, 2048, H/8, W/8)
        logits: Tensor
        if self.fuses(stage5):
            logits = self.decoder[1:](fused_pyramid_conv(self.pyramid, self.decoder[0], stage5))
        else:
            logits = self.decoder(self.pyramid(stage5))  # (N, C, H/8, W/8)
        if upsample:
            logits = self.upsample(logits, size)  # (N, C, H, W)
        if not self.training or self.auxiliary is None:
            return logits
        auxiliary: Tensor = self.auxiliary(stage4)  # (N, C, H/8, W/8)
        return logits, self.upsample(auxiliary, size) if upsample else auxiliary

    def upsample(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Upsample logits (N, C, h, w) bilinearly to height and width `size`."""
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=self.align_corners)

    def fuses(self, features: Tensor) -> bool:
        """Return whether pyramid and decoder are computed in the fused form on these features."""
        plain = self.why_not_fused() is None
        return plain and fusing_saves(self.pyramid, self.decoder[0], features)

    def why_not_fused(self) -> str | None:
        """Return why pyramid and decoder do not take the fused form, None if they may."""
        if not self.fused_pyramid:
            return "fused_pyramid=false"
        if not torch.compiler.is_compiling():  # which traces no comparison: the last one counts
            self._is_fused_form = forward_is_fused_form()
        if not self._is_fused_form:
            return "PyramidPooling.forward computes something else"
        return why_not_fused(self.pyramid, self.decoder)

    def train(self, mode: bool = True) -> PSPNet:
        """Set training or evaluation mode; frozen stages and `norm_eval` keep evaluation mode."""
        super().train(mode)
        for module in frozen_modules(self.encoder, norms=self.norm_eval):
            module.eval()
        return self

    def parameter_groups(
        self, *, new_layer_factor: float = 10.0, norm_decay: bool = True
    ) -> list[dict[str, Any]]:
        """Trainable parameters by learning rate: the encoder's, and those of all new layers.

        Args:
            new_layer_factor: `lr_factor` of the new layers' groups; the encoder's is 1.
            norm_decay: without it, scales and shifts of normalizations are in groups of their own
                with `weight_decay` 0.

        Source: the authors' Caffe prototxts (`lr_mult: 10`, `decay_mult: 0` of each BN) and semseg.
        """
        encoder = {id(parameter) for parameter in self.encoder.parameters()}
        norms = {
            id(parameter)
            for layer in self.modules()
            if isinstance(layer, NORMALIZATIONS) and not norm_decay
            for parameter in layer.parameters(recurse=False)
        }
        groups: list[dict[str, Any]] = []
        for name, factor, inside in (("encoder", 1.0, True), ("new", new_layer_factor, False)):
            members = [p for p in self.parameters() if p.requires_grad]
            members = [p for p in members if (id(p) in encoder) == inside]
            for suffix, decay, is_norm in (("", {}, False), ("_norm", {"weight_decay": 0.0}, True)):
                params = [p for p in members if (id(p) in norms) == is_norm]
                if params:
                    group = {"name": f"{name}{suffix}", "params": params, "lr_factor": factor}
                    groups.append(group | decay)
        return groups


def from_options(options: Mapping[str, Any], kind: type[PSPNet] = PSPNet) -> PSPNet:
    """Build the network of class `kind` that has these `options`, with weights of its own.

    Raises:
        UserError: if they are no options of a network.
    """
    return build(kind, options)


def head(in_channels: int, channels: int, num_classes: int, dropout: float = 0.1) -> nn.Sequential:
    """Return a 3×3 convolution, BN, ReLU, channel dropout and a 1×1 convolution to the classes."""
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        Dropout2d(dropout),
        nn.Conv2d(channels, num_classes, 1),
    )


def initialize(module: nn.Module) -> None:
    """Kaiming for convolutions before a ReLU (Caffe's "msra"), N(0, 0.01) for the classifiers."""
    if isinstance(module, nn.Conv2d) and module.bias is None:
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Conv2d) and module.bias is not None:
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)
