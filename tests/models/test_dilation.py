"""The layout on real encoders: strides, dilations by block, and the à trous identity."""

import pytest
import torch
from torch import nn

from pspnet import Dilation
from pspnet.errors import UserError
from pspnet.models.encoder import build_encoder

PLAIN = Dilation(stage4=(1,), stage5=(1,))


def dilations(module: nn.Module) -> list[int]:
    """Dilations of the wide convolutions, in order."""
    wide = [m for m in module.modules() if isinstance(m, nn.Conv2d) and m.kernel_size[0] > 1]
    return [m.dilation[0] for m in wide]


def shapes_only(name: str, dilation: Dilation) -> nn.Module:
    """An encoder without memory: its forward computes shapes and costs nothing."""
    with torch.device("meta"):
        return build_encoder(name, weights=None, dilation=dilation).eval()


def with_weights(name: str, dilation: Dilation, weights: list[torch.Tensor]) -> nn.Module:
    encoder = shapes_only(name, dilation)
    state = dict(zip(encoder.state_dict(), weights, strict=True))
    encoder.load_state_dict(state, assign=True)
    return encoder


@pytest.mark.parametrize(
    ("layout", "stage4", "stage5", "stride"),
    [
        (PLAIN, [1] * 6, [1] * 3, 32),
        (Dilation(stage4=(1,), stage5=(2,)), [1] * 6, [2] * 3, 16),
        (Dilation(), [2] * 6, [4] * 3, 8),
        (Dilation(first_block="half"), [1, 2, 2, 2, 2, 2], [2, 4, 4], 8),
        (Dilation(stage5=(4, 8, 16)), [2] * 6, [4, 8, 16], 8),
        (Dilation(stage4=(1, 2, 5, 9), stage5=(5, 9, 17)), [1, 2, 5, 9, 1, 2], [5, 9, 17], 8),
        (Dilation(stage4=(1, 1), stage5=(1, 1)), [1] * 6, [1] * 3, 8),
    ],
)
@pytest.mark.parametrize("name", ["resnet50", "tu-resnet50s"])
def test_layout_by_block_is_the_same_for_smp_and_timm(name, layout, stage4, stage5, stride):
    encoder = shapes_only(name, layout)
    body = getattr(encoder, "model", encoder)
    assert layout.output_stride == stride
    assert dilations(body.layer3) == stage4
    assert dilations(body.layer4) == stage5
    assert dilations(body.layer1) + dilations(body.layer2) == [1] * 7
    with torch.no_grad():
        features = encoder(torch.zeros(1, 3, 64, 64, device="meta"))
    assert features[-1].shape[-1] == 64 // stride
    assert features[-2].shape[-1] == 64 // min(stride, 16)


def test_both_convolutions_of_a_basic_block_are_dilated():
    encoder = shapes_only("resnet18", Dilation(first_block="half"))
    assert dilations(encoder.layer3) == [1, 2, 2, 2]
    assert dilations(encoder.layer4) == [2, 4, 4, 4]


def test_only_the_first_convolution_of_a_basic_block_in_mmsegmentations_layout():
    layout = Dilation(first_block="half", convolutions="first")
    encoder = shapes_only("tu-resnet18c", layout).model
    assert dilations(encoder.layer3) == [1, 1, 2, 1]
    assert dilations(encoder.layer4) == [2, 1, 4, 1]


@pytest.mark.parametrize("layout", [Dilation(), PLAIN])
def test_the_stride_can_sit_on_the_1x1_convolution(layout):
    """As in the Caffe release's PSPNet50: `conv3_1_1x1_reduce` has it, `conv3_1_3x3` has not."""
    moved = Dilation(layout.stage4, layout.stage5, stride_in_1x1=True)
    body = shapes_only("tu-resnet50s", moved).model
    usual = shapes_only("tu-resnet50s", layout).model
    for stage in ("layer2", "layer3", "layer4"):
        first, other = getattr(body, stage)[0], getattr(usual, stage)[0]
        assert (first.conv1.stride, first.conv2.stride) == (other.conv2.stride, (1, 1))
        assert other.conv1.stride == (1, 1)
        assert first.downsample[0].stride == other.downsample[0].stride
    assert body.layer2[0].conv1.stride == (2, 2)
    assert dilations(body.layer4) == dilations(usual.layer4)


def test_average_pools_that_had_a_stride_can_be_left_out():
    """ResNeSt strides by pools: one behind the 3×3 of a first block, one in its shortcut."""
    layout = Dilation(first_block="half", average_pools="none")
    body = shapes_only("tu-resnest14d", layout).model
    pools = [name for name, layer in body.named_modules() if isinstance(layer, nn.AvgPool2d)]
    assert pools == ["layer2.0.avd_last", "layer2.0.downsample.0"]
    assert dilations(body.layer3) + dilations(body.layer4) == [1, 2]
    dense = shapes_only("tu-resnest14d", Dilation()).model
    assert sum(isinstance(layer, nn.AvgPool2d) for layer in dense.modules()) == 6


@pytest.mark.parametrize("name", ["resnet50", "tu-resnet50s"])
def test_stages_can_keep_their_strides_and_be_dilated(name):
    encoder = shapes_only(name, Dilation(first_block="half", keep_strides=True))
    body = getattr(encoder, "model", encoder)
    assert dilations(body.layer3) == [1, 2, 2, 2, 2, 2]
    assert dilations(body.layer4) == [2, 4, 4]
    strides = [body.get_submodule(f"layer{i}.0.conv2").stride for i in (2, 3, 4)]
    assert strides == [(2, 2)] * 3
    with torch.no_grad():
        features = encoder(torch.zeros(1, 3, 64, 64, device="meta"))
    assert [feature.shape[-1] for feature in features[-2:]] == [4, 2]


@pytest.mark.parametrize("name", ["mobilenet_v2", "tu-convnext_femto", "vgg11", "efficientnet-b0"])
def test_strided_layers_of_every_kind_can_stay(name):
    """Depthwise convolutions, patches of even sides, pools, layers that pad by themselves."""
    layout = Dilation((2,), (2,), keep_strides=True)
    encoder, plain = shapes_only(name, layout), shapes_only(name, PLAIN)
    image = torch.zeros(1, 3, 96, 96, device="meta")
    with torch.no_grad():
        sizes, plain_sizes = ([x.shape for x in net(image)] for net in (encoder, plain))
    assert sizes == plain_sizes
    assert 2 in dilations(encoder)


def test_a_block_without_a_1x1_convolution_cannot_have_its_stride_there():
    with pytest.raises(UserError, match="set stride_in_1x1=false"):
        shapes_only("resnet18", Dilation(stride_in_1x1=True))


@pytest.mark.parametrize(
    ("name", "stem", "blocks"),
    [
        ("tu-resnet18c", [32, 32, 64], [2, 2, 2, 2]),
        ("tu-resnet269s", [64, 64, 128], [3, 30, 48, 8]),
    ],
)
def test_the_resnets_that_timm_lacks(name, stem, blocks):
    body = shapes_only(name, Dilation()).model
    convolutions = [layer for layer in body.conv1 if isinstance(layer, nn.Conv2d)]
    assert [layer.out_channels for layer in convolutions] == stem
    assert [layer.kernel_size for layer in convolutions] == [(3, 3)] * 3
    assert [len(getattr(body, f"layer{i}")) for i in range(1, 5)] == blocks
    with pytest.raises(UserError, match="No pretrained weights exist"):
        build_encoder(name, weights="imagenet", dilation=Dilation())


def test_residual_branches_take_part_from_the_start():
    """timm's own start at 0, where a short training from scratch leaves them."""
    body = build_encoder("tu-resnet18n", weights=None, dilation=Dilation()).model
    assert all(block.bn2.weight.min() == 1 for block in (body.layer3[0], body.layer4[-1]))
    assert [body.layer1[0].conv1.out_channels, body.layer4[0].conv1.out_channels] == [32, 256]


def test_a_cycle_goes_by_blocks_not_by_convolutions():
    """Both convolutions of a basic block share a value; in VGG each convolution is a block."""
    encoder = shapes_only("resnet18", Dilation(stage5=(4, 8)))
    assert dilations(encoder.layer4) == [4, 4, 8, 8]
    assert dilations(shapes_only("vgg16", Dilation(stage4=(2, 4))).features)[-3:] == [2, 4, 2]


def test_vgg_loses_the_strides_of_pool4_and_pool5():
    """The paper's other encoder, which smp refuses to dilate: conv5 by 2, pool5 without stride."""
    encoder = shapes_only("vgg16", Dilation())
    assert dilations(encoder.features) == [1] * 10 + [2] * 3
    strides = [m.stride for m in encoder.features.modules() if isinstance(m, nn.MaxPool2d)]
    assert strides == [2, 2, 2, 1, 1]


@pytest.mark.parametrize(
    "name", ["resnet18", "tu-resnet50s", "vgg16", "mobilenet_v2", "tu-vgg11_bn", "tu-regnetx_002"]
)
def test_half_layout_computes_what_the_plain_network_computes(name):
    """The algorithme à trous: with the first block at half, every output of the plain network
    is an output of the dilated one, at each fourth place; an independent check of the surgery.
    Networks with squeeze-and-excitation average over all places, so it holds for others only."""
    torch.manual_seed(0)
    plain = build_encoder(name, weights=None, dilation=PLAIN).eval()
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)  # timm starts some of them at 0
    weights = list(plain.state_dict().values())
    dilated = with_weights(name, Dilation(first_block="half"), weights)
    full = with_weights(name, Dilation(), weights)
    image = torch.randn(1, 3, 96, 96, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        few, many, other = plain(image)[-1], dilated(image)[-1], full(image)[-1]
    atol = 1e-5 * few.abs().max().item()
    assert many.shape[2:] == (12, 12)
    torch.testing.assert_close(many[:, :, ::4, ::4], few, rtol=1e-4, atol=atol)
    strided_convolution = not name.replace("tu-", "").startswith("vgg")
    assert torch.allclose(other[:, :, ::4, ::4], few, rtol=1e-4, atol=atol) != strided_convolution


@pytest.mark.parametrize(
    "name",
    [
        *("efficientnet-b0", "tu-efficientnet_b0", "tu-tf_efficientnet_b0", "tu-convnext_atto"),
        *("tu-mobilenetv3_small_050", "tu-resnet10t", "densenet121"),
    ],
)
def test_other_families_keep_their_features_at_an_eighth(name):
    encoder = shapes_only(name, Dilation())
    image = torch.zeros(1, 3, 96, 96, device="meta")
    shapes = [feature.shape[-1] for feature in encoder(image)]
    assert shapes[-2:] == [12, 12]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stage4": ()}, r"dilation.stage4=\[\]"),
        ({"stage5": (4, 0)}, r"dilation.stage5=\[4, 0\]"),
        ({"stage4": (2,), "stage5": (1,)}, "undoes a dilated stage 4"),
    ],
)
def test_layouts_that_make_no_sense_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        Dilation(**options)
