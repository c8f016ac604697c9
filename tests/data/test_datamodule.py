"""The data module: batches that repeat, splits, and refusals."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tiny import TinySource, build, two_epochs

from pspnet.data.datasets.base import Server
from pspnet.errors import UserError


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
def test_batches_are_the_same_with_any_number_of_workers(source: TinySource) -> None:
    expected = two_epochs(build(source))
    assert len(expected) == 4
    for workers in (1, 2, 3):
        torch.manual_seed(workers)
        batches = two_epochs(build(source, workers=workers))
        for one, two in zip(expected, batches, strict=True):
            assert one["name"] == two["name"]
            assert torch.equal(one["image"], two["image"])
            assert torch.equal(one["label"], two["label"])
            assert two["image"].is_contiguous(memory_format=torch.channels_last)


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_a_cache_changes_no_batch(source: TinySource, tmp_path: Path) -> None:
    expected = two_epochs(build(source))
    for workers in (2, 0):
        data = build(source, cache=tmp_path / "kept", workers=workers)
        for one, two in zip(expected, two_epochs(data), strict=True):
            assert one["name"] == two["name"]
            assert torch.equal(one["image"], two["image"])
            assert torch.equal(one["label"], two["label"])
    kept = {path.stem.split(".")[0] for path in (tmp_path / "kept").iterdir()}
    assert kept == {str(number) for number in range(7)}
    plain = build(source)
    for module in (plain, data):
        module.setup("validate")
    for one, two in zip(plain.val_dataloader(), data.val_dataloader(), strict=True):
        assert torch.equal(one["image"], two["image"])
        assert torch.equal(one["label"], two["label"])
    assert len(list((tmp_path / "kept").iterdir())) == 24  # 12 images and 12 labels


def test_training_batches(source: TinySource) -> None:
    batches = two_epochs(build(source, crop_size=(16, 24)))
    for batch in batches:
        assert batch["image"].shape == (3, 3, 16, 24)
        assert batch["image"].dtype == torch.uint8
        assert batch["label"].shape == (3, 16, 24)
        assert batch["label"].dtype == torch.uint8
        assert set(batch["label"].unique().tolist()) <= {0, 1, 255}
    names = [batch["name"] for batch in batches]
    assert len({*names[0], *names[1]}) == 6
    assert names[:2] != names[2:]


def test_seeds_differ_and_each_epoch_draws_other_crops(source: TinySource) -> None:
    one, two = two_epochs(build(source)), two_epochs(build(source, seed=1))
    assert [batch["name"] for batch in one] != [batch["name"] for batch in two]
    crops: dict[str, list[torch.Tensor]] = {}
    for batch in one:
        for name, image in zip(batch["name"], batch["image"], strict=True):
            crops.setdefault(name, []).append(image)
    again = [images for images in crops.values() if len(images) == 2]
    assert len(again) >= 5
    assert not any(torch.equal(*images) for images in again)


@pytest.mark.parametrize("workers", [0, 1])
def test_loading_leaves_the_global_generator_alone(source: TinySource, workers: int) -> None:
    before = torch.get_rng_state()
    two_epochs(build(source, workers=workers))
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_takes_images_whole_and_in_order(source: TinySource) -> None:
    data = build(source)
    data.setup("validate")
    batches = list(data.val_dataloader())
    assert [batch["name"] for batch in batches] == [[f"val{number}"] for number in range(5)]
    for number, batch in enumerate(batches):
        assert batch["image"].shape == (1, 3, 14 + 3 * number, 30 - number)
        assert batch["label"].shape == batch["image"].shape[:1] + batch["image"].shape[2:]


def test_evaluation_batches_need_one_size(source: TinySource, tmp_path: Path) -> None:
    data = build(source, eval_batch_size=2)
    data.setup("validate")
    with pytest.raises(UserError, match=r"set data\.eval_batch_size=1"):
        next(iter(data.val_dataloader()))
    equal = TinySource(str(tmp_path / "equal"), one_size=True)
    equal.prepare()
    data = build(equal, eval_batch_size=2)
    data.setup("validate")
    assert [len(batch["name"]) for batch in data.val_dataloader()] == [2, 2, 1]


def test_test_needs_labels(source: TinySource) -> None:
    with pytest.raises(UserError, match=r"0\.png has no label.* test split"):
        build(source).setup("test")
    source.test_labels = 3
    data = build(source)
    data.setup("test")
    assert not data.submits
    assert sum(len(batch["name"]) for batch in data.test_dataloader()) == 3


class Served(TinySource):
    server = Server()


def test_test_needs_no_labels_where_a_server_keeps_all_of_them(source: TinySource) -> None:
    served = Served(str(source.root))
    data = build(served)
    data.setup("test")
    assert data.submits
    batches = list(data.test_dataloader())
    assert [batch["name"] for batch in batches] == [["test0"], ["test1"], ["test2"]]
    assert [set(batch) for batch in batches] == [{"image", "name"}] * 3
    assert batches[1]["image"].shape == (1, 3, 17, 29)
    served.test_labels = 2
    with pytest.raises(UserError, match=r"2\.png has no label, .* run predict, which needs none"):
        build(served).setup("test")
    served.test_labels = 3
    data = build(served)
    data.setup("test")
    assert not data.submits
    assert all("label" in batch for batch in data.test_dataloader())


def test_prediction_runs_over_the_test_split(source: TinySource, tmp_path: Path) -> None:
    data = build(source)
    data.setup("predict")
    batches = list(data.predict_dataloader())
    assert [batch["name"] for batch in batches] == [["test0"], ["test1"], ["test2"]]
    assert batches[1]["size"] == [(17, 29)]
    assert "label" not in batches[0]
    with pytest.raises(UserError, match=r"data\.images: give an image.* no test split .*missing"):
        build(TinySource(str(tmp_path / "nowhere"))).setup("predict")


def test_too_few_images_are_refused(source: TinySource) -> None:
    with pytest.raises(UserError, match=r"batch_size=8: .* has 7 images; lower data\.batch_size"):
        build(source, batch_size=8).setup("fit")
    build(source, batch_size=7).setup("fit")


def test_processes_share_the_data(source: TinySource) -> None:
    class TwoProcesses:
        world_size, global_rank, predicting = 2, 1, False
        accumulate_grad_batches, callbacks = 1, ()
        strategy = SimpleNamespace(broadcast=lambda value: value)

    data = build(source, batch_size=6)
    data.trainer = TwoProcesses()
    data.setup("fit")
    assert len(data.train_dataloader()) == 1
    assert [batch["name"] for batch in data.val_dataloader()] == [["val1"], ["val3"]]
    data.trainer.world_size = 6
    with pytest.raises(UserError, match=r"5 images for 6 processes; set trainer\.devices to 5"):
        data.setup("validate")


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"crop_size": 0}, r"crop_size=\(0, 0\)"),
        ({"crop_size": (16, -1)}, r"crop_size=\(16, -1\)"),
        ({"batch_size": 0}, "batch_size=0"),
        ({"eval_batch_size": 0}, "eval_batch_size=0"),
        ({"workers": -1}, "workers=-1"),
        ({"seed": -1}, "seed=-1"),
        ({"mean": (0.5, 0.5, 127.0)}, "mean="),
        ({"std": (0.5, 0.5, 0.0)}, "std="),
    ],
)
def test_wrong_values_are_refused_by_name(values: dict[str, Any], named: str) -> None:
    with pytest.raises(UserError, match=named):
        build(TinySource("unread"), **values)


def test_batches_are_normalized_once_they_are_on_their_device(source: TinySource) -> None:
    data = build(source, mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    data.setup("fit")
    batch = next(iter(data.train_dataloader()))
    pixels = batch["image"].numpy().copy()
    taken = data.on_after_batch_transfer(batch, 0)
    mean, std = (np.reshape(values, (3, 1, 1)) for values in ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6)))
    np.testing.assert_allclose(taken["image"].numpy(), (pixels / 255 - mean) / std, atol=1e-6)
    assert taken["image"].is_contiguous(memory_format=torch.channels_last)
    assert taken["label"].dtype == torch.int64
    assert torch.equal(taken["label"], batch["label"].long())
    assert taken["name"] == batch["name"]
    np.testing.assert_array_equal(batch["image"].numpy(), pixels)
