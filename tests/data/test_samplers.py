"""Shares of processes, order and seeds, against brute force."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DistributedSampler

from pspnet.data.dataset import SegmentationDataset
from pspnet.data.datasets.base import Sample
from pspnet.data.samplers import EvaluationSampler, TrainingSampler, rare_class_chances
from pspnet.data.training_loader import StepSize


def never(sample: Sample) -> np.ndarray:
    raise AssertionError(sample)


def dataset(length: int) -> SegmentationDataset:
    samples = [Sample(str(number), Path(), None) for number in range(length)]
    return SegmentationDataset(samples, read_label=never, transform=None)


def epoch_of(sampler: TrainingSampler, epoch: int) -> list[tuple[int, int]]:
    sampler.set_epoch(epoch)
    return list(sampler)


@pytest.mark.parametrize("world", [1, 2, 3, 4])
@pytest.mark.parametrize("length", range(8))
def test_evaluation_shares_are_exact(length: int, world: int) -> None:
    shares = [EvaluationSampler(dataset(length), rank=rank, world=world) for rank in range(world)]
    for rank, share in enumerate(shares):
        expected = [number for number in range(length) if number % world == rank]
        assert list(share) == expected
        assert len(share) == len(expected)


@pytest.mark.parametrize(("world", "batch"), [(1, 1), (1, 3), (2, 4), (3, 3), (4, 8)])
@pytest.mark.parametrize("length", [0, 2, 8, 21])
def test_processes_share_the_steps_of_one(length: int, world: int, batch: int) -> None:
    alone = list(TrainingSampler(dataset(length), seed=3, batch_size=batch))
    assert len({number for number, _ in alone}) == len(alone) == length // batch * batch
    shares = [
        TrainingSampler(dataset(length), seed=3, batch_size=batch, rank=rank, world=world)
        for rank in range(world)
    ]
    dealt = [list(share) for share in shares]
    assert [len(share) for share in shares] == [len(alone) // world] * world
    for step in range(length // batch):
        size = batch // world
        samples = [pair for share in dealt for pair in share[step * size : (step + 1) * size]]
        assert samples == alone[step * batch : (step + 1) * batch]


def test_an_epoch_continues_at_a_step() -> None:
    sampler = TrainingSampler(dataset(21), seed=3, batch_size=4, rank=1, world=2)
    entire = list(sampler)
    sampler.first_step = 3
    assert list(sampler) == entire[6:]
    assert len(sampler) == 10


def test_every_epoch_is_another_and_comes_again() -> None:
    first, second = (TrainingSampler(dataset(50), seed=1, batch_size=1) for _ in range(2))
    epochs = [epoch_of(first, number) for number in range(4)]
    assert epochs == [epoch_of(second, number) for number in range(4)]
    assert epoch_of(second, 1) == epochs[1]
    orders = {tuple(number for number, _ in pairs) for pairs in epochs}
    assert len(orders) == 4
    assert len({seed for pairs in epochs for _, seed in pairs}) == 200


def test_neighboring_seeds_share_no_epoch() -> None:
    one, two = (TrainingSampler(dataset(20), seed=seed, batch_size=5) for seed in (1, 2))
    seeds = [{seed for number in range(5) for _, seed in epoch_of(one, number)}]
    seeds.append({seed for number in range(5) for _, seed in epoch_of(two, number)})
    assert not seeds[0] & seeds[1]


def test_order_has_no_bias() -> None:
    sampler = TrainingSampler(dataset(4), seed=0, batch_size=2)
    counts = np.zeros((4, 4))
    for epoch in range(400):
        for place, (number, _) in enumerate(epoch_of(sampler, epoch)):
            counts[place, number] += 1
    assert np.abs(counts - 100).max() < 5 * np.sqrt(400 * 0.25 * 0.75)


def test_global_generators_neither_matter_nor_move() -> None:
    sampler = TrainingSampler(dataset(9), seed=0, batch_size=1)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    pairs = list(sampler)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert list(sampler) == pairs


def test_lightning_finds_its_kind_of_sampler() -> None:
    training = TrainingSampler(dataset(3), seed=0, batch_size=1)
    for sampler in (training, EvaluationSampler(dataset(3))):
        assert isinstance(sampler, DistributedSampler)


def test_drawn_samples_are_shared_and_continued_like_others() -> None:
    chances = np.array([0.7, 0.1, 0.1, 0.1, 0, 0, 0, 0])
    options = {"seed": 3, "batch_size": 4, "chances": chances}
    alone = epoch_of(TrainingSampler(dataset(8), **options), 5)
    shares = [epoch_of(TrainingSampler(dataset(8), rank=r, world=2, **options), 5) for r in (0, 1)]
    assert [*shares[0][:2], *shares[1][:2], *shares[0][2:], *shares[1][2:]] == alone
    assert len(alone) == len({seed for _, seed in alone}) == 8  # no two of one augmentation
    assert {number for number, _ in alone} <= {0, 1, 2, 3}
    resumed = TrainingSampler(dataset(8), **options)
    resumed.first_step = 1
    assert epoch_of(resumed, 5) == alone[4:]


def test_chances_are_those_of_the_paper() -> None:
    """Each class by softmax((1 - f) / T), then one of its images, as in DAFormer."""
    counts = np.array([[90, 10, 0], [100, 0, 0], [50, 49, 1], [0, 0, 0]])
    shares = np.array([240, 59, 1]) / 300
    classes = np.exp((1 - shares) / 0.5)
    classes /= classes.sum()
    images = [classes[0] / 3 + classes[1] / 2, classes[0] / 3]
    expected = [*images, classes[0] / 3 + classes[1] / 2 + classes[2], 0]
    np.testing.assert_allclose(rare_class_chances(counts, 0.5), expected)
    assert rare_class_chances(counts, 1e-3).round(6).tolist() == [0, 0, 1, 0]  # the rarest class
    np.testing.assert_allclose(rare_class_chances(counts[:, :2] * 0, 0.5), [0.25] * 4)


@pytest.mark.parametrize(
    ("sizes", "text"),
    [
        ((1, 1, 1), "1 image per step = 1 process × 1 accumulated × 1 image"),
        ((16, 2, 4), "16 images per step = 2 processes × 4 accumulated × 2 images"),
    ],
)
def test_a_step_in_words(sizes, text):
    assert str(StepSize(*sizes)) == text
