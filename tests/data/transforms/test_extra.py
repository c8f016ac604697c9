"""Further steps: read from a file, tried out, refused in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

from pspnet.data.transforms.extra import check_steps, load_steps
from pspnet.data.transforms.pipeline import Augmentation, seed_transform, train_transform
from pspnet.errors import UserError

MEAN = (0.485, 0.456, 0.406)
GOOD = [
    A.HueSaturationValue(p=0.5),
    A.OneOf([A.GaussNoise(p=1), A.ISONoise(p=1)], p=0.3),
    A.Sequential([A.CoarseDropout(p=0.7), A.RandomGamma()]),
    A.Affine(shear=5, fill_mask=255, p=1),
    A.CoarseDropout(fill=9, fill_mask=255, p=1),
]


def saved(folder: Path, step: Any) -> Path:
    A.save(step, folder / "more.yaml", data_format="yaml")
    return folder / "more.yaml"


def build(path: Path) -> A.Compose:
    augmentation = Augmentation(more=path)
    return train_transform(augmentation, crop_size=(40, 50), mean=MEAN)


@pytest.mark.parametrize("step", [*GOOD, A.Compose(GOOD)])
def test_saved_steps_do_what_they_did(tmp_path: Path, step: Any) -> None:
    loaded = load_steps(saved(tmp_path, step))
    check_steps([loaded], size=(40, 50))
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for seed in range(10):
        outs = []
        for each in (step, loaded):
            seed_transform(each, seed=seed)
            outs.append(each(image=image, mask=image[..., 0] // 100))
        np.testing.assert_array_equal(outs[0]["image"], outs[1]["image"])
        np.testing.assert_array_equal(outs[0]["mask"], outs[1]["mask"])


def test_the_seed_decides_further_steps_too(tmp_path: Path) -> None:
    path = saved(tmp_path, A.Compose([A.OneOf([A.GaussNoise(p=1), A.RandomGamma(p=1)], p=0.9)]))
    image = np.random.default_rng(0).integers(0, 256, (60, 70, 3), dtype=np.uint8)
    runs = []
    for transform in (build(path), build(path)):
        outs = []
        for seed in range(10):
            seed_transform(transform, seed=seed)
            outs.append(transform(image=image, mask=image[..., 0])["image"])
        runs.append(np.stack(outs))
    np.testing.assert_array_equal(runs[0], runs[1])


def refused(path: Path) -> str:
    with pytest.raises(UserError, match="more") as error:
        build(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "no transform of albumentations"),
        ("names: [a, b]", "KeyError: 'transform'"),
        ("a: [b", "ParserError"),
        ("\0", "ReaderError"),
        ("transform: {__class_fullname__: Blurr, p: 1.0}", "KeyError: 'Blurr'"),
        ("transform: {__class_fullname__: Blur, p: 2.0}", "less than or equal to 1"),
        ("transform: {__class_fullname__: Blur, p: 1.0, limit: 3}", "Argument.*limit.*not valid"),
    ],
)
def test_files_without_a_transform_are_refused(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "more.yaml").write_text(text)
    line = refused(tmp_path / "more.yaml")
    assert "more.yaml holds no transform of albumentations 2" in line
    assert re.search(named, line), line


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"more\.yaml is missing: expected what albument"):
        build(tmp_path / "more.yaml")
    with pytest.raises(UserError, match=r"no transform .*IsADirectoryError"):
        build(tmp_path)


@pytest.mark.parametrize(
    ("step", "named"),
    [
        (A.RandomCrop(30, 30, p=0.1), "RandomCrop makes 30×30 pixels of a crop of 50×40; leave it"),
        (A.RandomScale(p=0.1), "RandomScale makes"),
        (A.OneOf([A.Blur(), A.Resize(80, 80)], p=0.1), "Resize makes 80×80 pixels"),
        (A.RandomRotate90(p=0.1), "RandomRotate90 makes 40×50 pixels"),
        (A.Sequential([A.Normalize()]), "Normalize makes float32"),
        (A.ToTensorV2(), r"ToTensorV2 makes torch\.uint8 of shape \(3, 40, 50\) and labels of"),
        (
            A.ToGray(num_output_channels=1, p=0.1),
            r"ToGray makes uint8 of shape \(40, 50\) and labels of",
        ),
        (A.Rotate(30), "Rotate makes labels of 0 that were not there; set its fill_mask to 255"),
        (A.RandomCrop(99, 99), "RandomCrop cannot be applied to a crop and its label .*; leave it"),
        (A.Mosaic(), "Mosaic cannot be applied"),
    ],
)
def test_steps_that_cannot_follow_the_crop_are_refused(
    tmp_path: Path, step: Any, named: str
) -> None:
    line = refused(saved(tmp_path, step))
    assert re.match(f"data.augmentation.more: {named}", line), line


def test_turns_keep_a_square(tmp_path: Path) -> None:
    transform = train_transform(
        Augmentation(), crop_size=(40, 40), mean=MEAN, more=[A.RandomRotate90(), A.Transpose()]
    )
    image = np.zeros((30, 70, 3), np.uint8)
    for seed in range(20):
        seed_transform(transform, seed=seed)
        out = transform(image=image, mask=image[..., 0])
        assert out["image"].shape == (40, 40, 3)
        assert out["mask"].shape == (40, 40)


def test_what_is_no_step_is_refused() -> None:
    with pytest.raises(UserError, match="more: function cannot be applied"):
        train_transform(Augmentation(), crop_size=(9, 9), mean=MEAN, more=[lambda image: image])
