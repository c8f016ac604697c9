"""One pass over whole images: scores, predictions and losses of their own size."""

import pytest
import torch
import torch.nn.functional as F

from pspnet import PSPNet
from pspnet.evaluation.whole import coarse, whole
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
def test_the_scores_are_those_of_the_padded_image_cut_out(network, size):
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    found = coarse(network, image)
    rows, columns = found.window
    height, width = found.padded
    around = (columns.start, width - columns.stop, rows.start, height - rows.stop)
    expected = network(F.pad(image, around))[:, :, rows, columns]
    torch.testing.assert_close(found.scores(), expected)
    assert torch.equal(whole(network, image), found.scores())
    assert torch.equal(found.prediction(), expected.argmax(1).byte())


@pytest.mark.parametrize("loss", [CrossEntropy(), OhemCrossEntropy(0.5, 100)])
@pytest.mark.parametrize("size", [(65, 97), (50, 41)])
def test_the_loss_is_that_of_the_scores(network, size, loss):
    image = torch.randn(2, 3, *size, dtype=torch.float64)
    label = torch.randint(4, (2, *size))
    label[:, 5:9] = 255
    found = coarse(network, image)
    expected = loss(found.scores(), label)
    assert found.loss(loss, label, ignore=255).item() == pytest.approx(expected.item(), rel=1e-9)
