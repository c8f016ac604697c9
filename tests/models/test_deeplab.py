"""The comparison network with DeepLabv3's head, against torchvision's."""

import pytest
import torch
from torchvision.models.segmentation.deeplabv3 import DeepLabHead

from pspnet.errors import UserError
from pspnet.models.deeplab import DeepLabV3
from pspnet.models.options import build


def small(**options):
    options = {"encoder": "tu-resnet10t", "decoder_channels": 256, "rates": (1, 2, 3)} | options
    return DeepLabV3(3, **options)


def test_its_head_is_torchvisions():
    torch.manual_seed(0)
    network = small().eval()
    reference = DeepLabHead(512, 3, atrous_rates=(1, 2, 3)).eval()
    for value in reference.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.1, 0.2)
    (aspp, *rest), own = reference, network.decoder
    network.pyramid.load_state_dict(aspp.state_dict())
    for theirs, ours in zip(rest, (own[0], own[1], own[2], own[-1]), strict=True):
        ours.load_state_dict(theirs.state_dict())
    image = torch.rand(1, 3, 65, 97)
    with torch.no_grad():
        features = network.encoder(image)[-1]
        torch.testing.assert_close(network(image, upsample=False), reference(features))


def test_it_trains_with_one_image_and_is_rebuilt_from_its_options():
    network = small(aspp_channels=32, decoder_channels=16)
    logits, _ = network.train()(torch.rand(1, 3, 65, 65))
    logits.sum().backward()
    assert logits.shape == (1, 3, 65, 65)
    assert network.pyramid.convs[-1][1].weight.grad is not None
    again = build(DeepLabV3, network.options)
    again.load_state_dict(network.state_dict())
    assert again.pyramid.convs[1][0].dilation == (1, 1)


def test_rates_and_widths_out_of_range_are_refused():
    for options, line in [
        ({"rates": ()}, r"rates=\[\]"),
        ({"rates": (0,)}, r"rates=\[0\]"),
        ({"aspp_channels": 0}, "aspp_channels=0"),
    ]:
        with pytest.raises(UserError, match=line):
            small(**options)
