"""The learning rate range test against a training by torch alone, and its suggestion by hand."""

import math
from copy import deepcopy

import lightning
import numpy as np
import pytest
import torch
from torch import nn

from pspnet import PSPNet
from pspnet.callbacks.range_test import RangeTest, smoothed, suggestion
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.folder import Folder
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.task import Segmentation

CLASSES = Classes(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))
LOSSES = np.random.default_rng(0).normal(2, 0.2, 40) - np.linspace(0, 1, 40) ** 3
RATES = [10 ** (-6 + k / 8) for k in range(40)]


def reference_curve(losses):
    """Weighted means, in which a loss weighs 0.98 times its successor."""
    return [
        np.average(losses[: k + 1], weights=[0.98**age for age in range(k, -1, -1)])
        for k in range(len(losses))
    ]


def test_the_smoothed_loss_against_weighted_means():
    np.testing.assert_allclose(smoothed(list(LOSSES)), reference_curve(LOSSES), rtol=1e-12)


def test_the_suggestion_is_where_the_smoothed_loss_falls_fastest():
    curve, step = reference_curve(LOSSES), math.log(RATES[1] / RATES[0])
    slopes = {k: (curve[k + 1] - curve[k - 1]) / (2 * step) for k in range(10, 39)}
    steepest = min(slopes, key=lambda k: slopes[k])
    assert 10 < steepest < 38
    assert suggestion(RATES, list(LOSSES)) == steepest


@pytest.mark.parametrize(
    ("losses", "found"),
    [([1.0] * 12, None), ([1.0] * 12 + [0.5], 11), (list(np.arange(1.0, 41)), None)],
)
def test_too_few_losses_and_those_that_never_fall_suggest_nothing(losses, found):
    assert suggestion(RATES[: len(losses)], losses) == found


class Recorder(lightning.Callback):
    """Keeps the network before the first step, the batches, and the groups of each step."""

    def __init__(self) -> None:
        self.network: nn.Module | None = None
        self.batches: list = []
        self.groups: list = []

    def on_train_start(self, trainer, pl_module) -> None:
        self.network = deepcopy(pl_module.network)

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.batches.append(batch)
        kept = ("name", "lr", "momentum", "weight_decay")
        groups = trainer.optimizers[0].param_groups
        self.groups.append([{key: group[key] for key in kept} for group in groups])


def run(shapes, test, *, loss=None, accumulated=1, watch=()):
    """Test a small network on two steps per epoch."""
    torch.manual_seed(0)
    network = PSPNet(3, encoder="tu-test_resnet", decoder_channels=16, dropout=0.0)
    task = Segmentation(
        network,
        CLASSES,
        loss=loss,
        optimizer=lambda params: torch.optim.SGD(params, lr=3.0, momentum=0.8, weight_decay=0.01),
    )
    plain = Augmentation(scale=(1.0, 1.0), rotation=0.0, blur=0.0, mirror=0.5)
    data = SegmentationData(
        Folder(shapes), crop_size=33, batch_size=4, workers=0, augmentation=plain
    )
    off = ("logger", "enable_progress_bar", "enable_model_summary", "enable_checkpointing")
    trainer = lightning.Trainer(
        accelerator="cpu",
        max_steps=test.steps,
        max_epochs=-1,
        limit_val_batches=0,
        accumulate_grad_batches=accumulated,
        callbacks=[test, *watch],
        **dict.fromkeys(off, False),
    )
    trainer.fit(task, data)
    return task


def test_the_losses_are_those_of_a_training_whose_rates_grow(shapes):
    seen, test = Recorder(), RangeTest(start=1e-3, end=1e-1, steps=5)
    run(shapes, test, watch=[seen])
    wanted = [1e-3 * 10 ** (k / 2) for k in range(5)]
    assert test.rates == pytest.approx(wanted, rel=1e-9)
    for rate, groups in zip(wanted, seen.groups, strict=True):
        assert [group["name"] for group in groups] == ["encoder", "new"]
        for group, factor in zip(groups, (1, 10), strict=True):
            assert group["lr"] == pytest.approx(rate * factor, rel=1e-9)
            assert (group["momentum"], group["weight_decay"]) == (0.8, 0.01)
    network, losses = seen.network.train(), []
    encoder = [*network.encoder.parameters()]
    new = [p for p in network.parameters() if all(p is not one for one in encoder)]
    velocity = {p: torch.zeros_like(p) for p in (*encoder, *new)}
    for rate, batch in zip(wanted, seen.batches, strict=True):
        logits, auxiliary = network(batch["image"])
        parts = [
            nn.functional.cross_entropy(each, batch["label"], ignore_index=255)
            for each in (logits, auxiliary)
        ]
        loss = parts[0] + 0.4 * parts[1]
        network.zero_grad()
        loss.backward()
        losses.append(loss.item())
        with torch.no_grad():
            for parameters, factor in ((encoder, 1), (new, 10)):
                for p in parameters:
                    velocity[p] = 0.8 * velocity[p] + p.grad + 0.01 * p
                    p -= rate * factor * velocity[p]
    assert test.losses == pytest.approx(losses, rel=2e-3)
    assert test.losses[-1] != pytest.approx(test.losses[0], rel=0.02)


class Diverging(nn.Module):
    """Cross-entropy of the first calls, and then another value, plus it to have a gradient."""

    def __init__(self, value: float, *, after: int) -> None:
        super().__init__()
        self.value, self.after, self.calls = value, after, 0

    def forward(self, logits, target):
        self.calls += 1
        loss = nn.functional.cross_entropy(logits, target, ignore_index=255)
        return loss + (self.value if self.calls > self.after else 0)


@pytest.mark.parametrize(
    ("value", "kept", "said"),
    [
        (math.nan, 3, "the loss is nan"),
        (math.inf, 3, "the loss is inf"),
        (500.0, 4, "the smoothed loss is "),
    ],
)
def test_a_test_ends_where_the_loss_is_not_finite_or_grows_fourfold(shapes, value, kept, said):
    test = RangeTest(start=1e-6, end=1e-4, steps=9)
    run(shapes, test, loss=Diverging(value, after=6))  # two losses per step
    assert len(test.losses) == len(test.rates) == kept
    assert np.isfinite(test.losses).all()
    assert test.diverged.startswith(said)
    assert test.diverged.endswith(" at a learning rate of 5.6e-06")


def test_losses_below_0_do_not_end_it(shapes):
    test = RangeTest(start=1e-6, end=1e-4, steps=4)
    run(shapes, test, loss=Diverging(-50.0, after=0))
    assert len(test.losses) == 4
    assert max(test.losses) < 0
    assert not test.diverged


def test_a_point_is_a_step_of_accumulated_batches(shapes):
    test = RangeTest(start=1e-6, end=1e-4, steps=3)
    run(shapes, test, accumulated=2)
    assert test.rates == pytest.approx([1e-6, 1e-5, 1e-4])
    assert not test.diverged
