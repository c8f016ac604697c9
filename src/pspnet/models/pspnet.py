"""PSPNet, as in figure 3 of the paper.

from pspnet.errors import UserError
from pspnet import PSPNet
logits = PSPNet(num_classes=21, encoder="resnet50").eval()(image)   # (N, 21, H, W)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, cast, final

import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.errors import UserError
from pspnet.models.dilation import Dilation
from pspnet.models.encoder import build_encoder
from pspnet.models.pyramid_pooling import Pool, PyramidPooling

SMALLEST_SIDE = 32
NORMALIZATIONS = (nn.BatchNorm2d, nn.SyncBatchNorm, nn.LayerNorm, nn.GroupNorm)


@final
class PSPNet(nn.Module):
    """Pyramid Scene Parsing Network (arXiv 1612.01105): dilated encoder, pyramid pooling, decoder.

    Args:
        num_classes: number of classes C.
        encoder: a convolutional network that `segmentation_models_pytorch.encoders.get_encoder`
            knows, its own ("resnet50", "vgg16_bn") or timm's ("tu-resnet50s", "tu-convnext_tiny").
        encoder_weights: None for random ones, "imagenet" for the pretrained ones of smp or timm
            (fetched from their hub), or the path of a safetensors or torch file of the encoder, or
            of a checkpoint that `pspnet.load_published` takes, whose encoder is used.
        dilation: dilations of stages 4 and 5; the paper's 2 and 4 keep the features at 1/8.
        bins: the pyramid's grids; none is the dilated FCN that table 1 starts from.
        pool: average or max pooling.
        reduce: whether 1×1 convolutions reduce each level to its share of the channels.
        decoder_channels: width of the decoder's 3×3 convolution.
        dropout: probability of channel dropout before both classifiers.
        auxiliary: whether a second classifier on stage 4 is trained along (section 4, figure 4).
        align_corners: how the pyramid's levels and the logits are upsampled: True in the authors'
            releases, with images of 8n + 1 pixels a side; False in mmsegmentation.
        auxiliary_channels: width of the auxiliary head's 3×3 convolution.

    Shapes:
        (N, 3, H, W) in, any H and W of at least 32; logits (N, C, H, W) out, or with
        `upsample=False` (N, C, H/8, W/8), as the losses of `pspnet.losses` take them too. While
        training with an auxiliary head, a pair (logits, auxiliary logits) of that shape.

    `concatenate`, an attribute, False at first, makes the decoder compute as published, with the
    4096 channels of its input in memory; else it gets the same by other means where these are
    cheaper, see `pspnet.ops.fused_pyramid_conv`.

    Raises:
        ValueError: for an encoder that is unknown or cannot be dilated, or an option out of range.
        FileNotFoundError: for weights that are not there.
        ConnectionError: for pretrained weights that cannot be fetched.
    """

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
    ) -> None:
        super().__init__()
        if num_classes < 1:
            raise UserError(f"num_classes={num_classes}: give at least 1")
        for name, width in (
            ("decoder_channels", decoder_channels),
            ("auxiliary_channels", auxiliary_channels),
        ):
            if width < 1:
                raise UserError(f"{name}={width}: give at least 1")
        if not 0 <= dropout < 1:
            raise UserError(f"dropout={dropout}: give a probability in [0, 1)")
        self.num_classes, self.align_corners = num_classes, align_corners
        self.concatenate = False
        self.dilation, self.output_stride = dilation, dilation.output_stride
        self.options = {  # plain data that builds this network again; its weights come with it
            "num_classes": num_classes,
            "encoder": encoder,
            "encoder_weights": None,
            "dilation": asdict(dilation),
            "bins": list(bins),
            "pool": pool,
            "reduce": reduce,
            "decoder_channels": decoder_channels,
            "dropout": dropout,
            "auxiliary": auxiliary,
            "align_corners": align_corners,
            "auxiliary_channels": auxiliary_channels,
        }
        self.encoder = build_encoder(encoder, weights=encoder_weights, dilation=dilation)
        stage4, stage5 = cast(list[int], self.encoder.out_channels)[-2:]
        self.pyramid = PyramidPooling(
            stage5, bins=bins, pool=pool, reduce=reduce, align_corners=align_corners
        )
        self.decoder = _head(self.pyramid.out_channels, decoder_channels, num_classes, dropout)
        self.auxiliary = (
            _head(stage4, auxiliary_channels, num_classes, dropout) if auxiliary else None
        )
        for module in self._new_layers():
            module.apply(_initialize)

    def forward(self, image: Tensor, *, upsample: bool = True) -> Tensor | tuple[Tensor, Tensor]:
        size = (image.shape[2], image.shape[3])
        if min(size) < SMALLEST_SIDE:
            raise UserError(
                f"an image of {size[0]}×{size[1]} pixels: pad it to {SMALLEST_SIDE} a side at least"
            )
        *_, stage4, stage5 = self.encoder(image)  # (N, 1024, H/8, W/8), (N, 2048, H/8, W/8)
        logits = self._decode(stage5)  # (N, C, H/8, W/8)
        if upsample:
            logits = self._upsample(logits, size)  # (N, C, H, W)
        if not self.training or self.auxiliary is None:
            return logits
        auxiliary = self.auxiliary(stage4)  # (N, C, H/8, W/8)
        return logits, self._upsample(auxiliary, size) if upsample else auxiliary

    def parameter_groups(
        self, *, lr: float, new_layer_factor: float = 10.0, norm_decay: bool = True
    ) -> list[dict[str, Any]]:
        """Parameters by learning rate: the encoder at `lr`, new layers at a multiple of it.

        Without `norm_decay` scales and shifts of the normalizations are in groups of their own,
        which say `weight_decay` 0.

        Source: the authors' Caffe prototxts (`lr_mult: 10`, `decay_mult: 0` of each BN) and semseg.
        """
        parts: dict[str, tuple[float, list[nn.Module]]] = {
            "encoder": (lr, [self.encoder]),
            "new": (lr * new_layer_factor, self._new_layers()),
        }
        groups: list[dict[str, Any]] = []
        for name, (rate, modules) in parts.items():
            every = [parameter for module in modules for parameter in module.parameters()]
            norms = {
                id(parameter)
                for module in modules
                for layer in module.modules()
                if isinstance(layer, NORMALIZATIONS) and not norm_decay
                for parameter in layer.parameters(recurse=False)
            }
            rest = [parameter for parameter in every if id(parameter) not in norms]
            groups.append({"name": name, "params": rest, "lr": rate})
            if norms:
                free = [parameter for parameter in every if id(parameter) in norms]
                groups.append(
                    {"name": f"{name}_norm", "params": free, "lr": rate, "weight_decay": 0.0}
                )
        return groups

    def _new_layers(self) -> list[nn.Module]:
        heads = [self.pyramid, self.decoder, self.auxiliary]
        return [module for module in heads if module is not None]

    def _decode(self, features: Tensor) -> Tensor:
        if self.concatenate:
            context = self.pyramid(features)  # (N, 4096, H/8, W/8)
            return cast(Tensor, self.decoder(context))
        fused = self.pyramid.convolved(features, cast(nn.Conv2d, self.decoder[0]))  # (N, 512, …)
        return cast(Tensor, self.decoder[1:](fused))

    def _upsample(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(logits, size=size, mode="bilinear", align_corners=self.align_corners)


def from_options(options: Mapping[str, Any]) -> PSPNet:
    """The network that has these `options`, with weights of its own.

    Raises:
        ValueError, TypeError: if they are no options of a network.
    """
    layout: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in options["dilation"].items()
    }
    plain: dict[str, Any] = {
        **options,
        "bins": tuple(options["bins"]),
        "dilation": Dilation(**layout),
    }
    return PSPNet(**plain)


def _head(in_channels: int, channels: int, num_classes: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Dropout2d(dropout),
        nn.Conv2d(channels, num_classes, 1),
    )


def _initialize(module: nn.Module) -> None:
    """Kaiming for convolutions before a ReLU (Caffe's "msra"), N(0, 0.01) for the classifiers."""
    if isinstance(module, nn.Conv2d) and module.bias is None:
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Conv2d) and module.bias is not None:
        nn.init.normal_(module.weight, std=0.01)
        nn.init.zeros_(module.bias)
