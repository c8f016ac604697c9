"""Lines that say which part of an explanation is being measured."""

from types import SimpleNamespace

import pytest
import torch

from pspnet import PSPNet
from pspnet.tools.explain import progress
from pspnet.tools.explain.analysis import explain
from pspnet.tools.explain.progress import estimated


def test_a_long_part_is_estimated_once(monkeypatch) -> None:
    clock, said = SimpleNamespace(now=0.0), []
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock.now)
    for item in estimated([4] * 5, said.append):
        clock.now += item
    assert said == ["  image 3 of 5, about 8 s left"]  # 12 s for 3 of them
    for item in estimated([1] * 5, said.append):
        clock.now += item
    assert len(said) == 1


@pytest.mark.slow
def test_each_part_says_what_it_measures_before_it_does() -> None:
    network = PSPNet(
        num_classes=3, encoder="tu-test_resnet", bins=[1, 2], decoder_channels=8
    ).eval()
    images, label = torch.randn(2, 3, 41, 41), torch.zeros(41, 41, dtype=torch.long)
    said: list[str] = []
    explain(network, images, labeled=[(image, label) for image in images], say=said.append)
    assert [line.partition(":")[0] for line in said] == [
        *("layers", "receptive fields", *["pyramid"] * 3)
    ]
    assert "41×41 pixels" in said[0]
    assert said[1].startswith("receptive fields: gradients of 2 images in ")
