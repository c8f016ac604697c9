"""The decoder's convolution without the concatenation, against the one with it (figure 3)."""

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from pspnet import PSPNet, PyramidPooling
from pspnet.inference.network_copy import inference_copy
from pspnet.models.fused_pyramid import fused_pyramid_conv, fusing_saves
from pspnet.ops.fused_pyramid_conv import convolve, pool_average, saves

SMALL = {"encoder": "tu-resnet10t", "decoder_channels": 8}


def head(bins, pool, reduce, align_corners, dtype=torch.float64, channels=24):
    torch.manual_seed(0)
    options = {"bins": bins, "pool": pool, "reduce": reduce, "align_corners": align_corners}
    pyramid = PyramidPooling(channels, **options)
    convolution = nn.Conv2d(pyramid.out_channels, 5, 3, padding=1, bias=False)
    return pyramid.to(dtype), convolution.to(dtype)


def both(pyramid, convolution, features, *, train):
    """Output, gradients by the features and all parameters, running statistics; of both forms."""
    found = []
    upstream = torch.randn(features.shape[0], 5, *features.shape[2:]).to(features.dtype)
    for fused in (False, True):
        module, kernel = copy.deepcopy(pyramid), copy.deepcopy(convolution)
        x = features.clone().requires_grad_()
        module.train(train)
        out = fused_pyramid_conv(module, kernel, x) if fused else kernel(module(x))
        out.backward(upstream)
        parameters = [*module.parameters(), *kernel.parameters()]
        buffers = [b for b in module.buffers() if b.is_floating_point()]
        found.append([out.detach(), x.grad, *(p.grad for p in parameters), *buffers])
    return found


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest difference, relative to the largest value."""
    return ((found - expected).abs().max() / expected.abs().max().clamp(min=1e-30)).item()


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("reduce", [True, False])
@pytest.mark.parametrize("pool", ["average", "max"])
@pytest.mark.parametrize("bins", [(1,), (1, 2, 3, 6), (4, 3), (2, 9)])
def test_outputs_and_gradients_are_those_of_the_concatenation(
    bins, pool, reduce, align_corners, train
):
    pyramid, convolution = head(bins, pool, reduce, align_corners)
    features = torch.randn(2, 24, 17, 22, dtype=torch.float64)
    expected, found = both(pyramid, convolution, features, train=train)
    assert len(found) == len(expected) >= 3
    for one, other in zip(found, expected, strict=True):
        assert error(one, other) < 1e-10


@pytest.mark.parametrize("trained", [True, False])
def test_with_a_bias_and_an_encoder_that_may_be_frozen(trained):
    pyramid, convolution = head((1, 3), "average", True, True)
    convolution = nn.Conv2d(convolution.in_channels, 5, 3, padding=1).double()
    convolution.to(memory_format=torch.channels_last)
    features = torch.randn(2, 24, 17, 22, dtype=torch.float64, requires_grad=trained)
    upstream = torch.randn(2, 5, 17, 22, dtype=torch.float64)
    wanted = [convolution.weight, convolution.bias, *pyramid.parameters()]
    wanted += [features] if trained else []
    found = torch.autograd.grad(
        fused_pyramid_conv(pyramid, convolution, features), wanted, upstream
    )
    expected = torch.autograd.grad(convolution(pyramid(features)), wanted, upstream)
    for one, other in zip(found, expected, strict=True):
        assert error(one, other) < 1e-10
    assert found[0].stride() == convolution.weight.stride()  # else autograd copies it


def test_levels_of_any_channels():
    torch.manual_seed(0)
    features = torch.randn(2, 4, 9, 11, dtype=torch.float64, requires_grad=True)
    levels = [
        torch.randn(2, c, b, b, dtype=torch.float64, requires_grad=True)
        for c, b in ((3, 2), (5, 4))
    ]
    weight = torch.randn(6, 4 + 3 + 5, 3, 3, dtype=torch.float64, requires_grad=True)
    up = [F.interpolate(x, size=(9, 11), mode="bilinear", align_corners=False) for x in levels]
    expected = F.conv2d(torch.cat([features, *up], 1), weight, padding=1)
    found = convolve(features, levels, weight, align_corners=False)
    assert error(found, expected) < 1e-10
    upstream, wanted = torch.randn_like(expected), [features, weight, *levels]
    pairs = (torch.autograd.grad(out, wanted, upstream) for out in (found, expected))
    for one, other in zip(*pairs, strict=True):
        assert error(one, other) < 1e-10


@pytest.mark.parametrize("size", [(60, 60), (13, 90), (33, 7)])
def test_in_float32(size):
    pyramid, convolution = head((1, 2, 3, 6), "average", True, True, torch.float32, channels=128)
    expected, found = both(pyramid, convolution, torch.randn(2, 128, *size), train=True)
    assert error(found[0], expected[0]) < 1e-5
    for one, other in zip(found[1:], expected[1:], strict=True):
        assert error(one, other) < 1e-4


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (5, 5), (61, 90)])
def test_pooling_is_torchs(size):
    features = torch.randn(2, 3, *size, dtype=torch.float64)
    bins = (1, 2, 3, 4, 7)  # more than there are places, too
    for side, cells in zip(bins, pool_average(features, bins), strict=True):
        torch.testing.assert_close(cells, F.adaptive_avg_pool2d(features, side))


def test_pooling_in_half_precision_rounds_little_and_does_not_overflow():
    # 3,600 values of 60,000 have a sum far beyond the greatest float16
    features = torch.full((1, 2, 60, 60), 60000.0, dtype=torch.float16)
    assert pool_average(features, (1, 6))[0].float().sub(60000).abs().max() < 120
    features = torch.rand(1, 8, 59, 61) + 1
    exact = F.adaptive_avg_pool2d(features, 3)
    rounded = pool_average(features.bfloat16(), (3,))[0].float()
    assert error(rounded, exact) < 2**-7  # of values that bfloat16 keeps to 2^-9


def test_a_single_cell_reaches_just_where_its_interpolation_and_the_kernel_do():
    level = torch.zeros(1, 1, 3, 3, dtype=torch.float64)
    level[0, 0, 0, 0] = 1
    weight = torch.zeros(1, 2, 3, 3, dtype=torch.float64)
    weight[0, 1, 0, 0] = 1  # of the level, the tap above and to the left
    features = torch.zeros(1, 1, 5, 5, dtype=torch.float64)
    found = convolve(features, [level], weight, align_corners=True)[0, 0]
    falls = torch.tensor([1, 0.5, 0, 0, 0], dtype=torch.float64)  # of 3 cells over 5 places
    shifted = torch.tensor([0, 1, 0.5, 0, 0], dtype=torch.float64)  # by the tap, from outside 0
    torch.testing.assert_close(found, torch.outer(shifted, shifted))
    assert not torch.allclose(found, torch.outer(falls, falls))


@pytest.mark.parametrize("bins", [(1,), (1, 2, 3, 6), (1, 3, 6, 8), (2, 4, 8)])
@pytest.mark.parametrize("side", [1, 3, 9, 60])
@pytest.mark.parametrize("reduce", [True, False])
def test_the_cheaper_form_is_chosen_by_torchs_own_count(bins, side, reduce):
    def flops(form):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            form()
        return counter.get_total_flops()

    with torch.device("meta"):
        pyramid = PyramidPooling(256, bins=bins, reduce=reduce).eval()
        convolution = nn.Conv2d(pyramid.out_channels, 64, 3, padding=1, bias=False)
        features = torch.zeros(1, 256, side, side)
        level = (pyramid.out_channels - 256) // len(bins)
        levels = [torch.zeros(1, level, b, b) for b in bins]

        def products():
            pool_average(features, bins)
            convolve(features, levels, convolution.weight, align_corners=True)

        plain = flops(lambda: convolution(pyramid(features)))
        fused = flops(lambda: fused_pyramid_conv(pyramid, convolution, features))
        assert fused == flops(products) + (flops(lambda: pyramid(features)) if reduce else 0)
        taken = fusing_saves(pyramid, convolution, features)
    assert taken == saves(bins, channels=256, level=level, out=64, height=side, width=side)
    if max(fused, plain) > 1.1 * min(fused, plain):  # torch counts neither adding nor upsampling
        assert taken == (fused < plain)


def test_the_network_computes_the_same_in_both_forms_with_one_state_dict():
    torch.manual_seed(0)
    network = PSPNet(4, **SMALL).eval().double()
    nn.init.normal_(network.decoder[4].weight)
    image = torch.randn(2, 3, 65, 129, dtype=torch.float64)
    with torch.no_grad():
        fused = network(image)
        network.fused_pyramid = False
        assert error(fused, network(image)) < 1e-10
        assert error(network(image, upsample=False), network(image)[..., ::8, ::8]) < 1e-10
    assert not any("fused" in key for key in network.state_dict())


def test_under_autocast_the_errors_are_those_of_the_concatenation():
    torch.manual_seed(0)
    pyramid, convolution = head((1, 2, 3, 6), "average", True, True, torch.float32, channels=256)
    for module in pyramid.eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.bias, 3.0)  # so that rounding opens and closes no ReLU
    features = torch.randn(1, 256, 33, 33, requires_grad=True)
    wanted = [features, convolution.weight, *pyramid.parameters()]
    upstream = torch.randn(1, 5, 33, 33)

    def results(*, fused, autocast):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            if fused:
                out = fused_pyramid_conv(pyramid, convolution, features)
            else:
                out = convolution(pyramid(features))
        assert out.dtype == (torch.bfloat16 if autocast else torch.float32)
        return [out, *torch.autograd.grad(out, wanted, upstream.to(out.dtype))]

    exact = results(fused=False, autocast=False)
    published = results(fused=False, autocast=True)
    found = results(fused=True, autocast=True)
    for one, other, truth in zip(found, published, exact, strict=True):
        assert one.dtype == other.dtype
        assert error(one.float(), truth) < 2 * error(other.float(), truth)


def test_a_folded_network_gives_gradients_by_the_image():
    torch.manual_seed(0)
    network = PSPNet(3, auxiliary=False, **SMALL).eval()
    image = torch.randn(1, 3, 65, 97)
    found = []
    for one in (network, inference_copy(network)[0]):
        view = image.clone().requires_grad_()
        one(view).square().sum().backward()  # folded, a ReLU writes over what `convolve` gives
        found.append(view.grad)
    assert error(found[1], found[0]) < 1e-3


def test_matrices_made_in_inference_mode_can_train():
    pyramid, convolution = head((1, 2), "average", True, False)
    features = torch.randn(2, 24, 19, 23, dtype=torch.float64)  # a size of no other test
    with torch.inference_mode():
        fused_pyramid_conv(pyramid, convolution, features)
    fused_pyramid_conv(pyramid, convolution, features.requires_grad_()).sum().backward()
    assert torch.isfinite(features.grad).all()


@pytest.mark.slow  # the export of entire networks is tested quickly
@pytest.mark.parametrize("gradients", [False, True])
def test_it_can_be_exported(gradients):
    network = PSPNet(3, auxiliary=False, **SMALL).eval()
    image = torch.randn(1, 3, 65, 97)
    with warnings.catch_warnings(), torch.set_grad_enabled(gradients):
        warnings.simplefilter("ignore")  # of torch's own code
        program = torch.export.export(network, (image,))
        torch.testing.assert_close(program.module()(image), network(image))
