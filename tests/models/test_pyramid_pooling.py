"""The pyramid pooling module against a brute-force transcription."""

import numpy as np
import pytest
import torch

from pspnet import PyramidPooling
from pspnet.errors import UserError


def pooled(x: np.ndarray, side: int, pool: str) -> np.ndarray:
    """Cells from floor(i·H/side) to ceil((i+1)·H/side), one value each."""
    channels, height, width = x.shape
    out = np.zeros((channels, side, side))
    for i in range(side):
        for j in range(side):
            rows = slice(i * height // side, -(-(i + 1) * height // side))
            columns = slice(j * width // side, -(-(j + 1) * width // side))
            cell = x[:, rows, columns].reshape(channels, -1)
            out[:, i, j] = cell.mean(1) if pool == "average" else cell.max(1)
    return out


def upsampled(x: np.ndarray, size: tuple[int, int], align_corners: bool) -> np.ndarray:
    """Bilinear interpolation, pixel by pixel."""
    out = np.zeros((x.shape[0], *size))
    for i in range(size[0]):
        for j in range(size[1]):
            (a, b, u), (c, d, v) = (
                weights(place, n, total, align_corners)
                for place, n, total in ((i, x.shape[1], size[0]), (j, x.shape[2], size[1]))
            )
            top = (1 - v) * x[:, a, c] + v * x[:, a, d]
            out[:, i, j] = (1 - u) * top + u * ((1 - v) * x[:, b, c] + v * x[:, b, d])
    return out


def weights(place: int, n: int, total: int, align_corners: bool) -> tuple[int, int, float]:
    if align_corners:
        where = place * (n - 1) / max(total - 1, 1)
    else:
        where = max((place + 0.5) * n / total - 0.5, 0)
    low = min(int(where), n - 1)
    return low, min(low + 1, n - 1), where - low


@pytest.mark.parametrize("align_corners", [True, False])
@pytest.mark.parametrize("reduce", [True, False])
@pytest.mark.parametrize("pool", ["average", "max"])
@pytest.mark.parametrize("bins", [(), (1,), (1, 2, 3, 6), (4, 3), (9,)])
def test_against_brute_force(bins, pool, reduce, align_corners):
    generator = torch.Generator().manual_seed(0)
    module = PyramidPooling(
        12, bins=bins, pool=pool, reduce=reduce, align_corners=align_corners
    ).double()
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, generator=generator)
    for name, buffer in module.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2, generator=generator)
        elif name.endswith("running_mean"):
            buffer.normal_(generator=generator)
    x = torch.randn(1, 12, 7, 10, dtype=torch.float64, generator=generator)
    expected = [x[0].numpy()]
    for side, level in zip(bins, module.levels, strict=True):
        values = pooled(x[0].numpy(), side, pool)
        if reduce:
            conv, norm = level[0], level[1]
            values = np.einsum("oi,ihw->ohw", conv.weight[:, :, 0, 0].detach().numpy(), values)
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            shift = norm.bias - norm.running_mean * scale
            scale, shift = (t.detach().numpy()[:, None, None] for t in (scale, shift))
            values = np.maximum(values * scale + shift, 0)
        expected.append(upsampled(values, (7, 10), align_corners))
    got = module.eval()(x)[0].detach().numpy()
    assert got.shape[0] == module.out_channels
    np.testing.assert_allclose(got, np.concatenate(expected), atol=1e-12)


def test_reduction_shares_the_channels_as_published():
    """A level has C/N channels (section 3.2), rounded down as in semseg: 4096 in all for 2048."""
    assert PyramidPooling(2048).out_channels == 4096
    assert PyramidPooling(2048, bins=(1,)).out_channels == 4096
    assert PyramidPooling(512, bins=(1, 2, 3)).out_channels == 512 + 3 * 170
    assert PyramidPooling(512, reduce=False).out_channels == 5 * 512
    assert PyramidPooling(512, bins=()).out_channels == 512


def test_a_level_can_be_of_any_width():
    """1×1 convolutions project, keep or raise the number of maps."""
    for width, channels in ((0.25, 2), (1, 8), (2.5, 20)):
        module = PyramidPooling(8, bins=(1, 3), level_width=width)
        assert module.levels[1][0].weight.shape == (channels, 8, 1, 1)
        assert module(torch.rand(2, 8, 5, 5)).shape[1] == module.out_channels == 8 + 2 * channels
    for width, reduce in ((0.01, True), (5, True), (float("nan"), True), (0.5, False)):
        with pytest.raises(UserError, match="level_width="):
            PyramidPooling(8, level_width=width, reduce=reduce)


def test_a_batch_of_one_trains_and_uses_the_running_statistics_at_1x1():
    module = PyramidPooling(8, bins=(1, 2)).train()
    norm = module.levels[0][1]
    norm.running_mean.fill_(-1.0)  # keeps the ReLU behind it open
    x = torch.rand(1, 8, 5, 5, requires_grad=True)
    out = module(x)
    out.sum().backward()
    assert torch.isfinite(x.grad).all()
    assert module.levels[0][0].weight.grad.abs().sum() > 0
    value = module.levels[0][0](x.mean((2, 3), keepdim=True)) + 1
    expected = torch.relu(value / (1 + norm.eps) ** 0.5)[0, :, 0, 0]
    torch.testing.assert_close(out[0, 8:12, 2, 2], expected)
    pair = torch.cat([x, x + 1]).detach()
    before = norm.running_mean.clone()
    module(pair)
    assert not torch.equal(norm.running_mean, before)  # two images do have statistics


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bins": (0,)}, r"bins=\[0\]"),
        ({"bins": (2, 2)}, r"bins=\[2, 2\]"),
        ({"bins": (1, 2, 3)}, "2 channels cannot be split into 3"),
    ],
)
def test_bins_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        PyramidPooling(2, **options)
