"""What images fill of a crop, and what an epoch leaves out, said before a training."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapes import paint

from pspnet.data import Augmentation, AugmentationBase, Folder
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.base import Sample
from pspnet.data.facts.crop_fill import low_fill, read_sizes


@pytest.mark.parametrize("size", [(240, 320), (200, 900), (90, 90)])
def test_the_share_is_that_of_an_image_laid_on_the_crop(size: tuple[int, int]) -> None:
    crop = np.zeros((473, 401), bool)
    crop[: size[0], : size[1]] = True
    found = low_fill(Augmentation(), [size], crop.shape)
    assert found == pytest.approx(crop.mean())


def test_the_median_of_several_and_nothing_from_half_on() -> None:
    plain = Augmentation()
    assert low_fill(plain, [(10, 10), (20, 20), (90, 90)], (40, 40)) == 0.25
    assert low_fill(plain, [(20, 40)], (40, 40)) is None  # a half
    assert low_fill(plain, [], (40, 40)) is None


def test_images_are_fitted_into_the_frame_first_and_other_augmentations_are_unknown() -> None:
    fitted = Augmentation(fit=(2048, 512))
    assert low_fill(fitted, [(64, 128)], (512, 512)) is None  # 512 × 1024
    assert low_fill(fitted, [(128, 64)], (1024, 2048)) == pytest.approx(0.25)  # 1024 × 512

    class Own(AugmentationBase):
        def build(self, crop_size, mean):  # type: ignore[no-untyped-def]
            raise NotImplementedError

    assert low_fill(Own(), [(1, 1)], (512, 512)) is None


def test_a_training_says_both_in_its_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = paint(tmp_path / "data", count=12)  # 64 × 48, 8 to train on
    said = []
    for options in ({"crop_size": 96, "batch_size": 3}, {"crop_size": 41, "batch_size": 4}):
        caplog.clear()
        SegmentationData(Folder(root), workers=0, check=False, **options).setup("fit")
        said += [line for line in caplog.messages if line.startswith("data: ")]
    small, plain = said
    assert small.endswith(
        "; each epoch leaves out 2, as data.batch_size=3 does not divide 8"
        "; the median image fills 33% of a crop of 96×96; lower data.crop_size"
    )
    assert ";" not in plain


def test_files_that_cannot_be_read_have_no_size(tmp_path: Path) -> None:
    samples = [Sample(str(index), tmp_path / f"{index}.png", None) for index in range(130)]
    for sample in samples:
        Image.new("RGB", (16, 8)).save(sample.image)
    assert read_sizes(samples) == [(8, 16)] * 64
    samples[0].image.write_bytes(b"")
    Image.new("RGB", (5, 4)).save(samples[-1].image)  # the last one is among them
    assert read_sizes(samples) == [(8, 16)] * 62 + [(4, 5)]
    assert read_sizes(samples[:1]) == []
