"""The published sliding windows give the class map of this package's evaluation."""

import numpy as np
import pytest
import torch

from benchmarks.ours import protocol
from benchmarks.published.network import PublishedPSPNet
from benchmarks.published.sliding_window import SlidingWindow
from benchmarks.synthetic import MEAN, STD, normalized, random_image
from pspnet import PSPNet
from pspnet.inference.class_scores import evaluate
from pspnet.inference.protocols import SIX_SCALES

CLASSES, CROP, BASE = 5, 65, 90


@pytest.fixture(scope="module")
def network() -> PSPNet:
    """Draw random weights that spread the pixels over the classes."""
    torch.manual_seed(0)
    network = PSPNet(CLASSES, encoder="tu-regnetx_002", decoder_channels=16).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
    return network


@pytest.mark.parametrize("size", [(40, 50), (70, 100), (100, 60)], ids=str)
def test_the_class_map_is_that_of_the_papers_protocol(network, size):
    image = random_image(size, seed=1)
    chosen = protocol("paper-ms", crop=CROP, base_size=BASE)
    with torch.no_grad():
        scores = evaluate(network, normalized(image), chosen)[0].numpy()
    sliding_window = SlidingWindow(
        PublishedPSPNet(network).eval(),
        classes=CLASSES,
        crop=CROP,
        base_size=BASE,
        scales=SIX_SCALES,
        mean=MEAN,
        std=STD,
        device=torch.device("cpu"),
    )
    found = sliding_window(image.astype(np.float32))
    second, first = np.sort(scores, axis=0)[-2:]
    clear = first - second > 1e-5
    assert np.array_equal(found[clear], scores.argmax(0)[clear])
    assert clear.mean() > 0.99
    assert len(np.unique(found)) > 2
