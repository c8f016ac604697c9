"""Edits that a researcher makes to a PSPNet, each as a function that returns the edited network."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from pspnet import PSPNet, PyramidPooling
from pspnet.models.pspnet import head

SMALL = {"encoder": "tu-resnet10n", "decoder_channels": 8, "auxiliary_channels": 8, "dropout": 0.0}


def network(kind=PSPNet, **options):
    """A network in float64 whose parts all matter: no BN scale of 0, no tiny classifier."""
    torch.manual_seed(0)
    built = kind(3, **{**SMALL, **options}).double()
    for module in built.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    for classifier in (built.decoder[4], built.auxiliary[4]):
        nn.init.normal_(classifier.weight, std=0.3)
    return built


def first_convolution(built, **options):
    """Replace the decoder's first convolution by one with other options."""
    channels = built.pyramid.out_channels
    built.decoder[0] = nn.Conv2d(channels, 8, 3, **{"padding": 1, **options}).double()
    return built


class DoubledContext(PyramidPooling):
    def forward(self, features):
        pooled = super().forward(features)
        return torch.cat([features, 2 * pooled[:, features.shape[1] :]], 1)


def pyramid_subclass():
    built = network()
    built.pyramid = DoubledContext(built.pyramid.levels[0][0].in_channels).double()
    return built


class Attention(nn.Module):
    """A pyramid followed by squeeze and excitation."""

    def __init__(self, pyramid):
        super().__init__()
        self.pyramid, self.out_channels = pyramid, pyramid.out_channels
        self.gate = nn.Conv2d(self.out_channels, self.out_channels, 1)

    def forward(self, features):
        context = self.pyramid(features)
        return context * self.gate(context.mean((2, 3), keepdim=True)).sigmoid()


def attention_after_the_pyramid():
    built = network()
    built.pyramid = Attention(built.pyramid).double()
    return built


class ASPP(nn.Module):
    def __init__(self, channels, out_channels, rates=(1, 2, 3)):
        super().__init__()
        self.out_channels = out_channels
        self.branches = nn.ModuleList(
            nn.Conv2d(channels, out_channels // len(rates), 3, padding=rate, dilation=rate)
            for rate in rates
        )

    def forward(self, features):
        return torch.cat([F.relu(branch(features)) for branch in self.branches], 1)


def aspp():
    built = network()
    built.pyramid = ASPP(built.pyramid.levels[0][0].in_channels, 24).double()
    built.decoder = head(24, 8, 3, 0.0).double()
    return built


def replace_everywhere(module, old, new):
    for name, child in module.named_children():
        if isinstance(child, old):
            setattr(module, name, new(child))
        else:
            replace_everywhere(child, old, new)


def group_norm():
    built = network()
    replace_everywhere(built, nn.BatchNorm2d, lambda norm: nn.GroupNorm(1, norm.num_features))
    return built.double()


def gelu():
    built = network()
    for part in (built.pyramid, built.decoder, built.auxiliary):
        replace_everywhere(part, nn.ReLU, lambda _: nn.GELU())
    return built


def dilated_decoder():
    return first_convolution(network(), dilation=2, padding=2, bias=False)


def biased_decoder():
    return first_convolution(network(), bias=True)


def depthwise_separable_decoder():
    built = network()
    channels = built.pyramid.out_channels
    built.decoder[0] = nn.Sequential(
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.Conv2d(channels, 8, 1)
    ).double()
    return built


def spectral_norm_on_the_decoder():
    built = network()
    spectral_norm(built.decoder[0])
    return built


def forward_hook():
    built = network()
    built.decoder[0].register_forward_hook(lambda module, inputs, output: output.tanh())
    return built


def forward_pre_hook():
    built = network()
    built.pyramid.register_forward_pre_hook(lambda module, inputs: (inputs[0].square(),))
    return built


def align_corners_flipped():
    built = network()
    built.align_corners = built.pyramid.align_corners = False
    return built


def max_pooling_on_the_object():
    built = network()
    built.pyramid.pool = "max"
    return built


def frozen_stages():
    return network(frozen_stages=2, norm_eval=True)


class Temperature(PSPNet):
    """An option of its own, used in a forward of its own."""

    def __init__(self, *args, temperature: float = 1.0, **options):
        super().__init__(*args, **options)
        self.temperature = temperature

    def forward(self, image, upsample=True):
        output = super().forward(image, upsample)
        if isinstance(output, tuple):
            return output[0] / self.temperature, output[1]
        return output / self.temperature


def added_option():
    return network(Temperature, temperature=0.25)


class TwoConvolutions(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.first = nn.Conv2d(channels, 8, 3, padding=1)
        self.last = nn.Conv2d(8, classes, 3, padding=1)

    def forward(self, context):
        return self.last(self.first(context).relu())


def another_head():
    built = network()
    built.decoder = TwoConvolutions(built.pyramid.out_channels, 3).double()
    return built


class Wrapped(nn.Module):
    def __init__(self, encoder):
        super().__init__()
        self.inner, self.out_channels = encoder, encoder.out_channels

    def forward(self, image):
        return [torch.tanh(features) for features in self.inner(image)]


def wrapped_encoder():
    built = network()
    built.encoder = Wrapped(built.encoder)
    return built


EDITS = {
    edit.__name__: edit
    for edit in (
        *(pyramid_subclass, attention_after_the_pyramid, aspp, group_norm, gelu, dilated_decoder),
        *(biased_decoder, depthwise_separable_decoder, spectral_norm_on_the_decoder, forward_hook),
        *(forward_pre_hook, align_corners_flipped, max_pooling_on_the_object, frozen_stages),
        *(added_option, another_head, wrapped_encoder),
    )
}


def plain(built, image):
    """Logits (and auxiliary logits) of figure 3, module by module, by none of the fast forms."""
    *_, stage4, stage5 = built.encoder(image)
    logits = built.decoder(built.pyramid(stage5)) / getattr(built, "temperature", 1.0)
    size, align = image.shape[2:], built.align_corners
    logits = F.interpolate(logits, size, mode="bilinear", align_corners=align)
    if not built.training:
        return logits
    auxiliary = built.auxiliary(stage4)
    return logits, F.interpolate(auxiliary, size, mode="bilinear", align_corners=align)
