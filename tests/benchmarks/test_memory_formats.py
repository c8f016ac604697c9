"""Every form is timed, and the one that runs take by default is marked."""

import torch

from benchmarks.memory_formats import cpu_seconds
from pspnet.inference.numeric_precision import default_precision


def test_all_forms_are_timed_and_the_default_is_marked():
    found = cpu_seconds("tu-resnet10t", size=(33, 33), batch=1, rounds=1)
    assert len(found) == 4
    assert min(found.values()) > 0
    precision = default_precision(torch.device("cpu"))
    assert [form for form in found if "*" in form] == [f"{precision}, channels last *"]
