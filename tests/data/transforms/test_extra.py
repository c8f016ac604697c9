"""Extra transforms: read from a file, tried on a crop, refused in one line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import albumentations as A
import numpy as np
import pytest

from pspnet.data.transforms.augmentation import Augmentation
from pspnet.data.transforms.extra import check_transforms, load_transform
from pspnet.data.transforms.seeding import seed_transform
from pspnet.errors import UserError

MEAN = (0.485, 0.456, 0.406)
GOOD = [
    A.HueSaturationValue(p=0.5),
    A.OneOf([A.GaussNoise(p=1), A.ISONoise(p=1)], p=0.3),
    A.Sequential([A.CoarseDropout(p=0.7), A.RandomGamma()]),
    A.Affine(shear=5, fill_mask=255, p=1),
    A.CoarseDropout(fill=9, fill_mask=255, p=1),
]


def saved(folder: Path, transform: Any) -> Path:
    A.save(transform, folder / "extra.yaml", data_format="yaml")
    return folder / "extra.yaml"


def build(path: Path) -> A.Compose:
    augmentation = Augmentation(extra=path)
    return augmentation.build(crop_size=(40, 50), mean=MEAN)


@pytest.mark.parametrize("transform", [*GOOD, A.Compose(GOOD)])
def test_loaded_transforms_equal_the_saved_ones(tmp_path: Path, transform: Any) -> None:
    loaded = load_transform(saved(tmp_path, transform))
    check_transforms([loaded], size=(40, 50))
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for seed in range(10):
        outs = []
        for each in (transform, loaded):
            seed_transform(each, seed=seed)
            outs.append(each(image=image, mask=image[..., 0] // 100))
        np.testing.assert_array_equal(outs[0]["image"], outs[1]["image"])
        np.testing.assert_array_equal(outs[0]["mask"], outs[1]["mask"])


def test_the_seed_decides_extra_transforms_too(tmp_path: Path) -> None:
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
    with pytest.raises(UserError, match="extra") as error:
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
    (tmp_path / "extra.yaml").write_text(text)
    line = refused(tmp_path / "extra.yaml")
    assert "extra.yaml holds no transform of albumentations 2" in line
    assert re.search(named, line), line


def test_a_transform_that_the_library_would_rather_see_as_another_is_taken(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="special case of Affine"):
        transform = A.ShiftScaleRotate(border_mode=0, fill_mask=255, p=1)
    assert saved(tmp_path, transform).is_file()
    build(tmp_path / "extra.yaml")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"extra\.yaml is missing: expected a file written"):
        build(tmp_path / "extra.yaml")
    with pytest.raises(UserError, match=r"no transform .*IsADirectoryError"):
        build(tmp_path)


@pytest.mark.parametrize(
    ("transform", "named"),
    [
        (
            A.RandomCrop(30, 30, p=0.1),
            "RandomCrop returns 30×30 pixels for a crop of 50×40; leave",
        ),
        (A.RandomScale(p=0.1), "RandomScale returns"),
        (A.OneOf([A.Blur(), A.Resize(80, 80)], p=0.1), "Resize returns 80×80 pixels"),
        (A.RandomRotate90(p=0.1), "RandomRotate90 returns 40×50 pixels"),
        (A.Sequential([A.Normalize()]), "Normalize returns float32"),
        (A.ToTensorV2(), r"ToTensorV2 returns torch\.uint8 of shape \(3, 40, 50\) and labels of"),
        (
            A.ToGray(num_output_channels=1, p=0.1),
            r"ToGray returns uint8 of shape \(40, 50\) and labels of",
        ),
        (A.Rotate(30), "Rotate returns labels of 0 that it did not get; set its fill_mask to 255"),
    ],
)
def test_transforms_that_cannot_follow_the_crop_are_refused(
    tmp_path: Path, transform: Any, named: str
) -> None:
    line = refused(saved(tmp_path, transform))
    assert re.match(f"data.augmentation.extra: {named}", line), line


def test_turns_keep_a_square() -> None:
    turns = [A.RandomRotate90(), A.Transpose()]
    check_transforms(turns, size=(40, 40))
    with pytest.raises(UserError, match="RandomRotate90 returns 40×50 pixels"):
        check_transforms(turns, size=(40, 50))


def broken(image: np.ndarray, **_: object) -> np.ndarray:
    raise ValueError("a bug")


def test_an_error_inside_a_transform_keeps_its_traceback() -> None:
    with pytest.raises(ValueError, match="a bug") as error:
        check_transforms([A.Lambda(image=broken, p=1)], size=(9, 9))
    assert not isinstance(error.value, UserError)
    assert error.traceback[-1].name == "broken"
