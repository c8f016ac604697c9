"""Copies of decoded files: equal, up to date and complete."""

from __future__ import annotations

import errno
import os
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import albumentations as A
import numpy as np
import pytest
from cached import TRAIN_IDS, check, files, read, write_sample
from PIL import Image

from pspnet.data import cache as module
from pspnet.data.cache import Cache
from pspnet.data.dataset import SegmentationDataset
from pspnet.data.datasets.base import Sample
from pspnet.data.label_io import LabelCode, read_label
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.errors import UserError


def never(*_: Any) -> NoReturn:
    raise AssertionError("a file was decoded again")


def test_each_file_is_decoded_once_and_then_mapped(
    cache: Cache, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(cache, sample)
    assert len(files(cache)) == 2
    monkeypatch.setattr(module, "read_image", never)
    for copy in (cache.image(sample.image), Cache(cache.folder).label(sample, never)):
        assert isinstance(copy, np.memmap)
        assert copy.dtype == np.uint8
        with pytest.raises(ValueError, match="read-only"):
            copy[0] = 0
    for path, shape in zip(files(cache), [(33, 50, 3), (33, 50)], strict=True):
        assert np.load(path).shape == shape  # a .npy file for others, too


def test_files_of_one_name_have_copies_of_their_own(cache: Cache, tmp_path: Path) -> None:
    names = ("a", "x/a", "x/y/a", "n" * 200)
    samples = [write_sample(tmp_path, name, seed=len(name)) for name in ("a", "b")]
    samples += [
        write_sample(tmp_path / str(number), name.split("/")[-1], seed=number, size=(9, 9 + number))
        for number, name in enumerate(names)
    ]
    for sample in samples:
        check(cache, sample)
    for sample in samples:
        check(cache, sample)
    assert len(files(cache)) == 12


def test_a_changed_file_replaces_its_copy(cache: Cache, sample: Sample, tmp_path: Path) -> None:
    check(cache, sample)
    before = {path: path.read_bytes() for path in files(cache)}
    write_sample(tmp_path / "data", "a", seed=1, size=(40, 20))
    check(cache, sample)
    assert files(cache) == list(before)
    assert all(path.read_bytes() != before[path] for path in before)


@pytest.mark.parametrize("later", [1, -1_000_000_000])
def test_a_change_of_time_alone_is_a_change(cache: Cache, sample: Sample, later: int) -> None:
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(sample.image, "BMP")
    status = sample.image.stat()
    assert cache.image(sample.image).max() == 0
    Image.fromarray(np.ones((8, 8, 3), np.uint8)).save(sample.image, "BMP")
    assert sample.image.stat().st_size == status.st_size
    os.utime(sample.image, ns=(status.st_atime_ns, status.st_mtime_ns + later))
    assert cache.image(sample.image).min() == 1
    assert cache.image(sample.image).min() == 1


def test_a_change_of_size_alone_is_a_change(cache: Cache, sample: Sample) -> None:
    status = sample.image.stat()
    cache.image(sample.image)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(sample.image)
    os.utime(sample.image, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert cache.image(sample.image).shape == (8, 8, 3)


def test_another_table_gives_other_labels(cache: Cache, sample: Sample) -> None:
    check(cache, sample)
    other = TRAIN_IDS.copy()
    other[[7, 8]] = [1, 0]
    strict = TRAIN_IDS.copy()
    strict[9] = -1
    for table in (other, TRAIN_IDS, other, strict):
        code = LabelCode(table)
        its = Cache(cache.folder, label_key=code.key)
        reader = partial(by_code, code=code)
        if table is strict:
            with pytest.raises(UserError, match="label values 9"):
                its.label(sample, reader)
        else:
            np.testing.assert_array_equal(its.label(sample, reader), reader(sample))


def by_code(sample: Sample, *, code: LabelCode) -> np.ndarray:
    return read_label(sample.label, code)


def test_samples_of_one_label_file_have_copies_of_their_own(cache: Cache, sample: Sample) -> None:
    for name in ("a", "b", "a"):  # as of one file with the labels of all images
        label = cache.label(Sample(name, sample.image, sample.label), lambda one: value(one.name))
        assert label == ord(name)


def value(name: str) -> np.ndarray:
    return np.full((1, 1), ord(name), np.uint8)


def test_a_file_of_the_same_size_and_time_is_another(cache: Cache, sample: Sample) -> None:
    status = sample.image.stat()
    for shade in (1, 2):  # unpacked from an archive with one date for every file
        sample.image.unlink()
        Image.fromarray(np.full((8, 8, 3), shade, np.uint8)).save(sample.image, "BMP")
        os.utime(sample.image, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert (cache.image(sample.image) == shade).all()


@pytest.mark.parametrize("length", [0, 1, 31, 32, 60, 128, 129, 5000, -33, -32, -1])
def test_a_copy_that_is_cut_off_is_replaced(cache: Cache, sample: Sample, length: int) -> None:
    check(cache, sample)
    whole = [path.read_bytes() for path in files(cache)]
    for path, content in zip(files(cache), whole, strict=True):
        path.write_bytes(content[:length])
    check(cache, sample)
    assert [path.read_bytes() for path in files(cache)] == whole


def test_a_foreign_file_is_replaced(cache: Cache, sample: Sample, tmp_path: Path) -> None:
    check(cache, sample)
    other = Cache(tmp_path / "other")
    check(other, write_sample(tmp_path / "other_data", "a", seed=5))
    whole = [path.read_bytes() for path in files(cache)]
    for path, copy in zip(files(cache), files(other), strict=True):
        foreign = [b"", b"x" * 9999, copy.read_bytes(), path.read_bytes() + b"\0", Image.new]
        for content in foreign[:-1]:
            path.write_bytes(content)
            check(cache, sample)
        np.save(path, np.zeros((33, 50, 3), np.uint8))
        check(cache, sample)
    assert [path.read_bytes() for path in files(cache)] == whole


def test_what_cannot_be_decoded_leaves_no_copy(cache: Cache, sample: Sample) -> None:
    sample.image.write_bytes(b"no image")
    with pytest.raises(UserError, match=r"a\.png cannot be read as an image"):
        cache.image(sample.image)
    assert files(cache) == []
    with pytest.raises(UserError, match="absent"):
        cache.image(sample.image.with_name("absent.png"))


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "kept"):
        with pytest.raises(UserError, match=r"data\.cache=.*file.* cannot be written \(.*\); make"):
            Cache(folder)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_full_disk_is_told_in_one_line(
    cache: Cache, sample: Sample, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def full(path: Path, content: bytes) -> NoReturn:
        path.open("wb").write(content[:10])
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match=r"cannot be written") as error:
            cache.image(sample.image)
    assert str(error.value) == (
        f"data.cache={cache.folder} cannot be written ({os.strerror(number)}); make room there,"
        " name another folder, or set data.cache=null"
    )
    assert files(cache) == []
    check(cache, sample)


def spoil(image: np.ndarray, **_: object) -> np.ndarray:
    image[:] = 255 - image
    return image


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(),
        Augmentation(scale=(1, 1), rotation=0, blur=0, mirror=0),
        Augmentation(scale=(1, 1), rotation=0, mirror=1, blur=1),
        Augmentation(fit=(60, 40), photometric=1, max_class_share=0.75),
    ],
)
def test_items_of_a_cache_are_those_without(
    cache: Cache, sample: Sample, augmentation: Augmentation
) -> None:
    transform = augmentation.build(crop_size=(33, 50), mean=(0.5, 0.4, 0.3))
    transform = A.Compose([*transform, A.Lambda(image=spoil, p=1)])
    unlabeled = Sample("b", sample.image, None)
    for samples, each in (([sample], transform), ([sample], None), ([unlabeled], None)):
        plain = SegmentationDataset(samples, read_label=read, transform=each)
        kept = SegmentationDataset(samples, read_label=read, transform=each, cache=cache)
        for seed in range(6):
            one, two = plain[0, seed], kept[0, seed]
            assert list(one) == list(two)
            for key in set(one) - {"name", "seed"}:
                np.testing.assert_array_equal(one[key].numpy(), two[key].numpy())
                two[key].zero_()  # its own memory
    check(cache, sample)


def test_labels_of_another_size_are_refused_from_a_cache_as_well(
    cache: Cache, sample: Sample, tmp_path: Path
) -> None:
    other = write_sample(tmp_path / "other", "a", size=(20, 50))
    mixed = Sample("a", sample.image, other.label)
    dataset = SegmentationDataset([mixed], read_label=read, cache=cache)
    for _ in range(2):
        with pytest.raises(UserError, match=r"is 50×20 pixels, its image .* 50×33"):
            dataset[0]
