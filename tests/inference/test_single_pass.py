"""One pass over whole images: scores, predictions and losses of their own size."""

import pytest
import torch
import torch.nn.functional as F

from pspnet import PSPNet
from pspnet.inference.single_pass import full_logits, single_pass, why_not_chunked
from pspnet.losses import CrossEntropy, OhemCrossEntropy


@pytest.fixture(scope="module", params=[True, False])
def network(request):
    torch.manual_seed(0)
    network = PSPNet(
        4, encoder="tu-resnet10t", decoder_channels=8, align_corners=request.param
    ).double()
    torch.nn.init.normal_(network.decoder[4].weight)
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("size", [(65, 97), (50, 41), (20, 70)])
def test_the_logits_are_those_of_the_padded_image_cut_out(network, size):
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    found = single_pass(network, image)
    rows, columns = found.window
    height, width = found.padded
    around = (columns.start, width - columns.stop, rows.start, height - rows.stop)
    expected = network(F.pad(image, around))[:, :, rows, columns]
    torch.testing.assert_close(found.upsample(), expected)
    assert torch.equal(full_logits(network, image), found.upsample())
    assert torch.equal(found.argmax(), expected.argmax(1).byte())


@pytest.mark.parametrize("loss", [CrossEntropy(), OhemCrossEntropy(0.5, 100)])
@pytest.mark.parametrize("size", [(65, 97), (50, 41)])
def test_the_loss_is_that_of_the_scores(network, size, loss):
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    target = torch.randint(4, (2, *size))
    target[:, 5:9] = 255
    found = single_pass(network, image)
    expected = loss(found.upsample(), target)
    assert found.loss(loss.chunked, target, ignore_index=255).item() == pytest.approx(
        expected.item(), rel=1e-9
    )


class Sharper(PSPNet):
    def upsample(self, logits, size):
        return F.interpolate(logits, size=size, mode="nearest")


class Inverted(PSPNet):
    def forward(self, image, upsample=True):
        return -super().forward(image)


class Scaled(PSPNet):
    temperature = 2.0

    def upsample(self, logits, size):
        return super().upsample(logits, size) / self.temperature


def with_hook():
    network = PSPNet(3, encoder="tu-resnet10t", decoder_channels=8)
    network.register_forward_hook(lambda module, inputs, output: 2 * output)
    return network


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: Sharper(3, encoder="tu-resnet10t", decoder_channels=8), "Sharper has an upsample"),
        (lambda: Inverted(3, encoder="tu-resnet10t", decoder_channels=8), "Inverted has a forward"),
        (lambda: Scaled(3, encoder="tu-resnet10t", decoder_channels=8), "Scaled has an upsample"),
        (with_hook, "PSPNet has hooks"),
    ],
)
def test_another_upsampling_or_forward_is_what_runs(build, reason):
    torch.manual_seed(0)
    network = build().eval()
    image = torch.randn(1, 3, 65, 73)
    assert reason in why_not_chunked(network)
    with torch.no_grad():
        expected = network(image)
        torch.testing.assert_close(single_pass(network, image), expected)


def test_an_edit_of_the_lines_of_upsample_is_seen(network, monkeypatch):
    image = torch.randn(1, 3, 65, 73, dtype=torch.float64)
    plain = PSPNet.upsample
    monkeypatch.setattr(PSPNet, "upsample", lambda self, logits, size: -plain(self, logits, size))
    torch.testing.assert_close(full_logits(network, image), network(image))
