"""The mean of a loss over a step, against the loss of the entire step."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from pspnet.losses import CrossEntropy, CrossEntropyDice, OhemCrossEntropy
from pspnet.ops.loss_forms import why_not_composed
from pspnet.step_mean import StepMean

CLASSES = 4


class Strategy:
    """Stands for the collectives of `world` processes, of which each reduces in turn."""

    def __init__(self, totals: dict[str, Tensor]) -> None:
        self.totals = totals

    def reduce(self, tensor: Tensor, *, reduce_op: str) -> Tensor:
        return self.totals.get(reduce_op, tensor)


class Trainer:
    def __init__(self, world: int, accumulated: int, **totals: Tensor) -> None:
        self.world_size, self.accumulate_grad_batches = world, accumulated
        self.strategy, self.is_last_batch = Strategy(totals), False


def step(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Logits (8, C, 5, 6) and target with unevenly many ignored pixels per image."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(8, CLASSES, 5, 6, generator=generator, dtype=torch.float64)
    target = torch.randint(0, CLASSES, (8, 5, 6), generator=generator)
    for number in range(8):
        target[number].view(-1)[: 3 * number] = 255
    return logits.requires_grad_(), target


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 0.0, 7.0]])
@pytest.mark.parametrize(("world", "accumulated"), [(1, 2), (2, 1), (2, 4), (8, 1)])
def test_parts_make_the_loss_of_the_step(world: int, accumulated: int, weights: Any) -> None:
    logits, target = step()
    loss = CrossEntropy(class_weights=weights)
    entire = loss(logits, target)
    (expected,) = torch.autograd.grad(entire, logits)
    trainer = Trainer(world, accumulated, sum=loss.total_weight(target, CLASSES))
    mean = StepMean("step")
    assert mean.start(trainer, loss, CLASSES) is None
    values, share = [], 8 // world
    for rank in range(world):
        own = slice(rank * share, (rank + 1) * share)
        for part in range(accumulated):
            size = share // accumulated
            place = slice(own.start + part * size, own.start + (part + 1) * size)
            batch = {"label": target[place], "step_label": target[own]}
            values += mean.scaled(trainer, [loss(logits[place], target[place])], batch)
    total = torch.stack(values).mean()  # as DistributedDataParallel and Lightning average
    torch.testing.assert_close(total, entire)
    torch.testing.assert_close(torch.autograd.grad(total, logits)[0], expected)


def test_batches_of_an_own_loader_are_averaged_one_by_one() -> None:
    logits, target = step()
    loss = CrossEntropy()
    trainer, mean = Trainer(1, 2, sum=loss.total_weight(target, CLASSES)), StepMean("step")
    mean.start(trainer, loss, CLASSES)
    value = loss(logits, target)
    torch.testing.assert_close(mean.scaled(trainer, [value], {"label": target}), [value])


def test_a_step_without_labels_has_loss_zero() -> None:
    logits, target = step()
    target[:] = 255
    loss = CrossEntropy()
    trainer, mean = Trainer(2, 1, sum=loss.total_weight(target, CLASSES)), StepMean("step")
    mean.start(trainer, loss, CLASSES)
    (value,) = mean.scaled(trainer, [loss(logits, target)], {"label": target})
    assert value.item() == 0


def test_the_published_mean_is_of_each_process() -> None:
    logits, target = step()
    loss, mean = CrossEntropy(), StepMean("process")
    trainer = Trainer(2, 1)
    assert mean.start(trainer, loss, CLASSES) == "model.loss_mean=process"
    value = loss(logits[:4], target[:4])
    assert mean.scaled(trainer, [value], {"label": target[:4]}) == [value]


def test_the_losses_of_a_step_are_its_batches_mean() -> None:
    mean, trainer = StepMean("step"), Trainer(1, 3)
    given = [torch.tensor([1.0, 4.0]), torch.tensor([2.0, 0.0]), torch.tensor([6.0, 2.0])]
    found = [mean.add(trainer, list(pair), number) for number, pair in enumerate(given)]
    assert found[:2] == [None, None]
    assert found[2] is not None
    assert found[2].tolist() == [3.0, 2.0]
    assert mean.add(trainer, [torch.tensor(1.0)], 3) is None  # the next step begins empty


class Halved(CrossEntropy):
    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().forward(logits, target) / 2


class Wrong(CrossEntropy):
    """A weight that its mean is not taken by."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        return super().forward(logits, target)

    def total_weight(self, target: Tensor, num_classes: int) -> Tensor:
        return torch.tensor(float(target.numel()))


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (CrossEntropy(), None),
        (CrossEntropy(class_weights=[1.0, 2.0, 3.0, 0.0]), None),
        (CrossEntropy(class_weights=[1.0, 2.0, 3.0, 0.0], average="labeled"), None),
        (CrossEntropy(average="all"), None),
        (OhemCrossEntropy(min_kept=5), "OhemCrossEntropy has no total_weight"),
        (CrossEntropyDice(), "CrossEntropyDice has no total_weight"),
        (nn.CrossEntropyLoss(ignore_index=255), "CrossEntropyLoss has no total_weight"),
        (Halved(), "Halved has no total_weight"),
        (Wrong(), "Wrong is no mean by its total_weight"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_only_a_mean_by_its_weights_is_composed(loss: nn.Module, reason: str | None) -> None:
    before = copy.deepcopy(loss.state_dict())
    assert why_not_composed(loss, CLASSES) == reason
    assert loss.state_dict().keys() == before.keys()
