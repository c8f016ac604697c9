"""The published loop over windows gives the class map of the package's own evaluation."""

import numpy as np
import pytest
import torch

from benchmarks.pictures import MEAN, STD, picture
from benchmarks.published import Published
from benchmarks.sliding import class_map
from pspnet import PSPNet
from pspnet.evaluation.inference import evaluate
from pspnet.evaluation.protocols import SIX_SCALES, ProtocolOverrides, resolve

CLASSES, CROP, BASE = 5, 65, 90


@pytest.fixture(scope="module")
def network() -> PSPNet:
    """Random weights that spread the pixels over the classes."""
    torch.manual_seed(0)
    network = PSPNet(CLASSES, encoder="tu-regnetx_002", decoder_channels=16).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.normal_(module.weight, std=(2 / module.weight[0].numel()) ** 0.5)
    return network


@pytest.mark.parametrize("size", [(40, 50), (70, 100), (100, 60)], ids=str)
def test_the_class_map_is_that_of_the_papers_protocol(network, size):
    pixels = picture(size, seed=1)
    image = torch.from_numpy(pixels).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    protocol = resolve("paper-ms", ProtocolOverrides(), crop_size=(CROP, CROP), base_size=BASE)
    with torch.no_grad():
        scores = evaluate(network, ((image - mean) / std)[None], protocol)[0].numpy()
    found = class_map(
        Published(network).eval(),
        pixels.astype(np.float32),
        classes=CLASSES,
        crop=CROP,
        base_size=BASE,
        scales=SIX_SCALES,
        mean=MEAN,
        std=STD,
        device=torch.device("cpu"),
    )
    second, first = np.sort(scores, axis=0)[-2:]
    clear = first - second > 1e-5
    assert np.array_equal(found[clear], scores.argmax(0)[clear])
    assert clear.mean() > 0.99
    assert len(np.unique(found)) > 2
