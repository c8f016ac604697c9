"""The default precision by what the hardware says of itself."""

import pytest
import torch

from pspnet.precision import default_precision

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"amx_bf16": True, "amx_tile": True}, "bf16-mixed"),
        ({"amx_bf16": False, "avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": False, "avx512_bf16": False, "avx512_f": True}, "32-true"),
        ({}, "32-true"),  # of an architecture without the word
    ],
)
def test_cpus(monkeypatch, capabilities, expected):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert default_precision(CPU) == expected


@pytest.mark.parametrize(
    ("capability", "expected"),
    [((7, 5), "32-true"), ((8, 0), "bf16-mixed"), ((9, 0), "bf16-mixed")],
)
def test_gpus(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert default_precision(GPU) == expected


def test_other_devices_keep_float32():
    assert default_precision(torch.device("mps")) == "32-true"
