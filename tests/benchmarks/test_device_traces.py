"""A training step, on tensors without values, keeps the host waiting nowhere."""

import pytest
import torch
from torch import nn

from benchmarks.device_traces import task_of, training_step, validation_step
from pspnet.losses import CrossEntropy, OhemCrossEntropy
from pspnet.ops import chunked_logits

SIZE = {"size": 65, "batch": 2}


@pytest.mark.parametrize(
    "loss",
    [CrossEntropy(), CrossEntropy([1.0, 2.0, 0.5]), OhemCrossEntropy(min_kept=100)],
    ids=["plain", "weighted", "hard"],
)
def test_a_step_waits_nowhere_once_what_it_keeps_is_built(loss):
    task = task_of("tu-resnet10t", classes=3)
    task.loss = loss
    chunked_logits._resize.cache_clear()
    first, second = (training_step(task, **SIZE) for _ in range(2))
    place = "a copy from the host: ops/chunked_logits.py:"  # with the line
    assert any(wait.startswith(place) for wait in first.waits)
    assert not second.waits
    assert second.operators["aten.convolution.default"] > 10


def test_a_validation_step_waits_nowhere_once_what_it_keeps_is_built():
    task = task_of("tu-resnet10t", classes=3)
    for size in (65, 97):
        first, second = (validation_step(task, size=size, batch=1) for _ in range(2))
        assert not second.waits
        assert second.operators["aten.conv2d.default"] > 10
        assert first.operators.total() >= second.operators.total()


def test_more_images_take_no_more_operators():
    task = task_of("tu-resnet10t", classes=3)
    few, many = (training_step(task, size=65, batch=count) for count in (2, 8))
    assert many.operators == few.operators


def test_every_kind_of_wait_is_seen():
    class Waiting(nn.Module):
        def forward(self, logits, target):
            loss = logits.mean() * torch.ones(()).to(logits.device)  # a copy from the host
            assert loss.item() == 1.0  # a number
            torch.bincount(target.flatten())  # a shape
            logits.argmax(1).cpu()  # a copy to the host
            return loss

    task = task_of("tu-resnet10t", classes=3)
    training_step(task, **SIZE)
    task.loss = Waiting()
    waits = training_step(task, **SIZE).waits
    kinds = {place.partition(":")[0] for place in waits}
    assert kinds == {"a number", "a shape", "a copy to the host", "a copy from the host"}
