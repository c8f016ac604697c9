"""Memory of large images: measured on small ones, and refused before the system kills us."""

import pytest
import torch

from pspnet import PSPNet
from pspnet.errors import UserError
from pspnet.inference import memory
from pspnet.inference.memory import PeakMemory, check_memory
from pspnet.inference.protocols import ProtocolOverrides, resolve


def test_peak_memory_counts_what_is_alive_at_once():
    with PeakMemory() as peak:
        first = torch.zeros(1000)  # 4000 bytes
        second = first + 1
        del first
        third = (second * 2).view(10, 100)  # a view takes nothing
        assert third.sum() == 2000
        del second, third
        torch.zeros(500)
    assert 8000 <= peak.bytes <= 8100


@pytest.mark.parametrize("name", ["whole", "paper-ss"])
def test_an_image_beyond_the_memory_is_refused(monkeypatch, name):
    monkeypatch.setattr(memory, "LARGE", 100 * 100)
    network = PSPNet(3, encoder="tu-resnet10n", decoder_channels=8).eval()
    crop = {"crop_size": (65, 65), "base_size": 200}
    protocol = resolve(name, ProtocolOverrides(), **crop)
    image = torch.zeros(1, 3, 120, 150)
    check_memory(network, image, protocol)
    monkeypatch.setattr(memory, "available_memory", lambda: 64 * 120 * 150 - 1)  # a byte less
    with pytest.raises(UserError, match=r"an image of 150×120 pixels needs .*; cut it into tiles"):
        check_memory(network, image, protocol)
    check_memory(network, torch.zeros(1, 3, 90, 90), protocol)  # not large
