"""Items of samples and images, and batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pspnet.data.dataset import ImageDataset, SegmentationDataset, collate
from pspnet.data.datasets.base import Sample
from pspnet.data.label_io import LabelCode, read_label
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.errors import UserError

TRAIN_IDS = np.full(256, -1, np.int16)
TRAIN_IDS[[7, 8, 9, 255]] = [0, 1, 2, 255]


def write_sample(folder: Path, name: str, *, labeled: bool = True) -> Sample:
    """Write an image of 12×9 pixels and a label of 7, 8, 9 and 255."""
    random = np.random.default_rng(len(name))
    image, label = folder / f"{name}.png", folder / f"{name}_label.png"
    Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(image)
    if labeled:
        Image.fromarray(random.choice(np.array([7, 8, 9, 255], np.uint8), (9, 12))).save(label)
    return Sample(name, image, label if labeled else None)


def read(sample: Sample) -> np.ndarray:
    assert sample.label is not None
    return read_label(sample.label, LabelCode(TRAIN_IDS))


def training_set(samples: list[Sample]) -> SegmentationDataset:
    transform = Augmentation().build(crop_size=(8, 8), mean=(0.5, 0.4, 0.3))
    return SegmentationDataset(samples, read_label=read, transform=transform)


def test_items_hold_pixels_and_train_ids(tmp_path: Path) -> None:
    sample = write_sample(tmp_path, "a")
    dataset = SegmentationDataset([sample], read_label=read)
    item = dataset[0]
    assert len(dataset) == 1
    assert set(item) == {"image", "label", "name"}
    assert item["name"] == "a"
    assert item["image"].dtype == torch.uint8
    pixels = np.array(Image.open(sample.image)).transpose(2, 0, 1)
    np.testing.assert_array_equal(item["image"].numpy(), pixels)
    stored = np.array(Image.open(tmp_path / "a_label.png")).astype(int)
    assert item["label"].dtype == torch.uint8
    np.testing.assert_array_equal(item["label"].numpy(), np.where(stored == 255, 255, stored - 7))


def test_samples_without_labels_give_no_label(tmp_path: Path) -> None:
    item = training_set([write_sample(tmp_path, "a", labeled=False)])[0, 1]
    assert set(item) == {"image", "name", "seed"}
    assert item["image"].shape == (3, 8, 8)


def test_the_seed_decides_the_item(tmp_path: Path) -> None:
    dataset = training_set([write_sample(tmp_path, "a")])
    images = [dataset[0, seed]["image"] for seed in (1, 2, 1)]
    assert torch.equal(images[0], images[2])
    assert not torch.equal(images[0], images[1])
    assert torch.equal(dataset[0]["image"], dataset[0]["image"])


def test_training_labels_stay_train_ids(tmp_path: Path) -> None:
    dataset = training_set([write_sample(tmp_path, "a")])
    values = {value for seed in range(20) for value in dataset[0, seed]["label"].unique().tolist()}
    assert values == {0, 1, 2, 255}


def test_images_keep_the_size_of_their_file(tmp_path: Path) -> None:
    dataset = ImageDataset([write_sample(tmp_path, "a")])
    item = dataset[0]
    assert len(dataset) == 1
    assert set(item) == {"image", "name", "raster", "size", "unreadable"}
    assert item["name"] == "a"
    assert item["size"] == (9, 12)
    assert item["image"].dtype == torch.uint8
    assert item["image"].shape == (3, 9, 12)


def test_labels_of_another_size_are_refused(tmp_path: Path) -> None:
    one, other = write_sample(tmp_path, "a"), tmp_path / "b.png"
    Image.fromarray(np.full((12, 9), 7, np.uint8)).save(other)
    mixed = Sample("a", one.image, other)
    with pytest.raises(UserError, match=r"b\.png is 9×12 pixels, its image .*a\.png 12×9") as error:
        SegmentationDataset([mixed], read_label=read)[0]
    assert "\n" not in str(error.value)


def test_an_image_that_its_orientation_turns_is_told(tmp_path: Path) -> None:
    sample, exif = write_sample(tmp_path, "a"), Image.Exif()
    exif[0x0112] = 6
    Image.open(sample.image).save(sample.image, exif=exif)
    with pytest.raises(UserError, match=r"9×12, turned by its EXIF orientation; save the image as"):
        SegmentationDataset([sample], read_label=read)[0]


def test_batches_stack_tensors_and_list_the_rest(tmp_path: Path) -> None:
    dataset = training_set([write_sample(tmp_path, "a"), write_sample(tmp_path, "bc")])
    batch = collate([dataset[0, 1], dataset[1, 2]])
    assert batch["image"].shape == (2, 3, 8, 8)
    assert batch["label"].shape == (2, 8, 8)
    assert batch["name"] == ["a", "bc"]
    assert torch.equal(batch["image"][1], dataset[1, 2]["image"])
    assert batch["image"].is_contiguous(memory_format=torch.channels_last)


def test_batches_of_several_sizes_are_refused() -> None:
    items = [{"image": torch.zeros(3, 4, width), "name": f"n{width}"} for width in (5, 6)]
    with pytest.raises(UserError, match=r"n5.*n6.*set data\.eval_batch_size=1") as error:
        collate(items)
    assert "\n" not in str(error.value)
