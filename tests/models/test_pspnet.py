"""PSPNet as a whole: shapes, heads, options, parameter groups."""

import pytest
import torch

from pspnet import Dilation, PSPNet
from pspnet.errors import UserError

SMALL = {"encoder": "tu-regnetx_002", "decoder_channels": 16}


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet50c", "vgg16_bn", "mobilenet_v2"])
@pytest.mark.parametrize("size", [(32, 32), (41, 57)])
def test_logits_have_the_size_of_the_image(encoder, size):
    network = PSPNet(5, encoder=encoder, decoder_channels=16)
    image = torch.randn(1, 3, *size)
    logits, auxiliary = network.train()(image)  # a batch of one trains
    assert logits.shape == auxiliary.shape == (1, 5, *size)
    (logits.mean() + auxiliary.mean()).backward()
    assert all(p.grad is not None for p in network.parameters())
    with torch.no_grad():
        assert network.eval()(image).shape == (1, 5, *size)


def test_resnet50_has_the_published_channels():
    """Section 3.2 and figure 3: 2048 features, 4 × 512 of the pyramid, 512 in the decoder."""
    network = PSPNet(21)
    assert network.decoder[0].weight.shape == (512, 4096, 3, 3)
    assert network.decoder[4].weight.shape == (21, 512, 1, 1)
    assert network.auxiliary[0].weight.shape == (256, 1024, 3, 3)
    assert [level[0].weight.shape[:2] for level in network.pyramid.levels] == [(512, 2048)] * 4
    new = sum(p.numel() for g in network.parameter_groups()[1:] for p in g["params"])
    by_hand = 4 * (2048 * 512 + 2 * 512)  # pyramid
    by_hand += 4096 * 512 * 9 + 2 * 512 + 512 * 21 + 21  # decoder
    by_hand += 1024 * 256 * 9 + 2 * 256 + 256 * 21 + 21  # auxiliary head
    assert new == by_hand


def test_the_auxiliary_head_reads_stage_4():
    network = PSPNet(4, dropout=0.0, **SMALL).train()
    image = torch.randn(2, 3, 65, 65)
    with torch.no_grad():
        auxiliary = network(image)[1]
        *_, stage4, _ = network.encoder(image)
        torch.testing.assert_close(auxiliary[..., ::8, ::8], network.auxiliary(stage4))


def test_without_bins_it_is_the_dilated_fcn():
    network = PSPNet(4, bins=(), auxiliary=False, **SMALL).train()
    assert network.pyramid.out_channels == network.encoder.out_channels[-1]
    assert isinstance(network(torch.randn(2, 3, 33, 33)), torch.Tensor)
    assert not any(name.startswith("auxiliary") for name, _ in network.named_parameters())


def test_the_two_parameter_groups_hold_every_parameter_once():
    network = PSPNet(4, **SMALL)
    encoder, new = network.parameter_groups()
    assert (encoder["lr_factor"], new["lr_factor"]) == (1, 10)
    ids = [id(p) for group in (encoder, new) for p in group["params"]]
    assert len(ids) == len(set(ids)) == len(list(network.parameters()))
    assert {id(p) for p in network.encoder.parameters()} == {id(p) for p in encoder["params"]}


def test_normalizations_can_be_spared_the_decay():
    """Exactly scale and shift of each BN, as by `decay_mult: 0` in the authors' prototxts."""
    network = PSPNet(4, **SMALL)
    groups = network.parameter_groups(norm_decay=False)
    assert [group["name"] for group in groups] == ["encoder", "encoder_norm", "new", "new_norm"]
    assert [group.get("weight_decay") for group in groups] == [None, 0.0, None, 0.0]
    assert [group["lr_factor"] for group in groups] == [1, 1, 10, 10]
    spared = {id(p) for group in (groups[1], groups[3]) for p in group["params"]}
    names = [name for name, p in network.named_parameters() if id(p) in spared]
    vectors = [name for name, p in network.named_parameters() if p.ndim == 1]
    assert set(vectors) - set(names) == {"decoder.4.bias", "auxiliary.4.bias"}
    assert set(names) < set(vectors)
    ids = [id(p) for group in groups for p in group["params"]]
    assert len(ids) == len(set(ids)) == len(list(network.parameters()))


def test_the_auxiliary_heads_width_is_an_option():
    network = PSPNet(4, auxiliary_channels=24, **SMALL)
    assert network.auxiliary[0].out_channels == network.auxiliary[4].in_channels == 24
    assert network.options["auxiliary_channels"] == 24
    with pytest.raises(UserError, match="auxiliary_channels=0: give 1 to"):
        PSPNet(4, auxiliary_channels=0, **SMALL)


def test_new_layers_start_as_published():
    network = PSPNet(4, encoder="resnet18", decoder_channels=256)
    weight = network.decoder[0].weight
    assert weight.std().item() == pytest.approx((2 / (9 * 256)) ** 0.5, rel=0.02)
    assert network.decoder[4].weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert network.decoder[4].bias.abs().sum() == 0


def test_options_build_the_network_again():
    network = PSPNet(
        4,
        bins=(1, 3),
        pool="max",
        dilation=Dilation(first_block="half"),
        align_corners=False,
        **SMALL,
    )
    options = dict(network.options)
    twin = PSPNet(**{**options, "dilation": Dilation(**options["dilation"])})
    twin.load_state_dict(network.state_dict())
    image = torch.randn(1, 3, 40, 40)
    with torch.no_grad():
        assert torch.equal(twin.eval()(image), network.eval()(image))
    assert twin.options == network.options


@pytest.mark.parametrize("align_corners", [True, False])
def test_align_corners_is_the_resizing_of_the_logits(align_corners):
    network = PSPNet(4, align_corners=align_corners, **SMALL).eval()
    image = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        *_, features = network.encoder(image)
        small = network.decoder(network.pyramid(features))
        logits = network(image)
    corner_is_kept = torch.allclose(logits[..., 0, 0], small[..., 0, 0], atol=1e-6)
    on_grid = torch.allclose(logits[..., ::8, ::8], small, atol=1e-5)
    assert corner_is_kept
    assert on_grid == align_corners  # 8n + 1 pixels: every eighth is a feature's own


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_classes": 2, "dropout": 1.0}, "dropout=1.0"),
        ({"num_classes": 2, "decoder_channels": 0}, "decoder_channels=0"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        PSPNet(**options)


def test_images_below_the_smallest_side_are_refused():
    with pytest.raises(UserError, match="31×40"):
        PSPNet(2, **SMALL).eval()(torch.zeros(1, 3, 31, 40))
