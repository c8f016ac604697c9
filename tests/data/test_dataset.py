"""Items of samples and pictures, the search for pictures, and batches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pspnet.data.dataset import PictureDataset, SegmentationDataset, collate, find_pictures
from pspnet.data.datasets.base import Sample
from pspnet.data.transforms.pipeline import Augmentation, train_transform
from pspnet.errors import UserError

TRAIN_IDS = np.full(256, -1, np.int16)
TRAIN_IDS[[7, 8, 9, 255]] = [0, 1, 2, 255]


def write_sample(folder: Path, name: str, *, labeled: bool = True) -> Sample:
    """A picture of 12×9 pixels and stored labels 7, 8, 9 and 255."""
    random = np.random.default_rng(len(name))
    image, label = folder / f"{name}.png", folder / f"{name}_label.png"
    Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8)).save(image)
    if labeled:
        Image.fromarray(random.choice(np.array([7, 8, 9, 255], np.uint8), (9, 12))).save(label)
    return Sample(name, image, label if labeled else None)


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def training_set(samples: list[Sample]) -> SegmentationDataset:
    transform = train_transform(Augmentation(), crop_size=(8, 8), mean=(0.5, 0.4, 0.3))
    return SegmentationDataset(samples, train_ids=TRAIN_IDS, transform=transform)


def test_items_hold_pixels_and_train_ids(tmp_path: Path) -> None:
    sample = write_sample(tmp_path, "a")
    dataset = SegmentationDataset([sample], train_ids=TRAIN_IDS)
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
    assert set(item) == {"image", "name"}
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


def test_pictures_keep_the_size_of_their_file(tmp_path: Path) -> None:
    dataset = PictureDataset([write_sample(tmp_path, "a")])
    item = dataset[0]
    assert len(dataset) == 1
    assert set(item) == {"image", "name", "size"}
    assert item["name"] == "a"
    assert item["size"] == (9, 12)
    assert item["image"].dtype == torch.uint8
    assert item["image"].shape == (3, 9, 12)


def test_pictures_are_found_in_subfolders_by_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "sub/c.webp", "sub/deep/d.Tiff", "e.jpeg", "f.bmp", "g.tif")
    touch(tmp_path, "notes.txt", "a.xml", "sub/png")
    (tmp_path / "folder.png").mkdir()
    found = find_pictures(tmp_path)
    assert [sample.name for sample in found] == ["a", "b", "e", "f", "g", "sub/c", "sub/deep/d"]
    assert found[1].image == tmp_path / "b.JPG"
    assert {sample.label for sample in found} == {None}


def test_a_picture_alone_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "x/b.jpg")
    assert find_pictures(tmp_path / "x" / "a.jpg") == [Sample("a", tmp_path / "x" / "a.jpg", None)]


def test_pictures_of_one_stem_keep_their_suffixes(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "b.png", "sub/a.png", "v1.0.png", "v1.1.png")
    names = [sample.name for sample in find_pictures(tmp_path)]
    assert names == ["a_jpg", "a_png", "b", "sub/a", "v1.0", "v1.1"]


def test_pictures_that_still_share_a_name_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "a_jpg.png")
    with pytest.raises(UserError, match=r"a\.jpg, a_jpg\.png .*'a_jpg'"):
        find_pictures(tmp_path)


def test_missing_pictures_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "empty/notes.txt")
    with pytest.raises(UserError, match=r"nowhere: .*data\.pictures"):
        find_pictures(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"empty: no picture"):
        find_pictures(tmp_path / "empty")
    with pytest.raises(UserError, match=r"notes\.txt: not a picture"):
        find_pictures(tmp_path / "empty" / "notes.txt")


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
