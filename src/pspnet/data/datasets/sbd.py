"""VOC's augmented training list, from the Semantic Boundaries Dataset (Hariharan et al., 2011)."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from pspnet.data.datasets.classes import load_table
from pspnet.data.files import read_stems, require, require_file
from pspnet.data.label_io import write_label
from pspnet.errors import UserError
from pspnet.files.paths import is_file
from pspnet.files.writing import write_atomic

TRAIN_AUG_IMAGES = 10_582  # section 5.3 of the paper

# raised by scipy on files that are broken or hold other data
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    LookupError,
    NotImplementedError,
    zlib.error,
)


def build_train_aug(voc: Path, sbd_root: Path, *, expected: int = TRAIN_AUG_IMAGES) -> None:
    """Write `train_aug.txt`, and to `SegmentationClassAug` the labels that VOC itself lacks.

    The list is VOC train with SBD train and val, without VOC val. Each file is written whole, the
    list last, so that an interrupted run leaves no list behind and can be resumed.

    Args:
        voc: the folder VOC2012.
        sbd_root: the unpacked SBD release: the folder with `benchmark_RELEASE`, with `dataset`, or
            `dataset` itself, which holds `train.txt`, `val.txt` and `cls/2008_000002.mat`.
        expected: the number of images that the list must have.

    Raises:
        UserError: if VOC or SBD lacks a path, the list has another number of images, or a label
            file is broken.
    """
    lists, sbd = voc / "ImageSets/Segmentation", sbd_dataset(sbd_root)
    train, val = set(read_stems(lists / "train.txt")), set(read_stems(lists / "val.txt"))
    extra = {stem for name in ("train.txt", "val.txt") for stem in read_stems(sbd / name)}
    stems = sorted((train | extra) - val)
    if len(stems) != expected:
        raise UserError(
            f"{lists} and {sbd} give {len(stems)} images for train_aug, not {expected}:"
            f" VOC train names {len(train)}, VOC val {len(val)}, SBD {len(extra)},"
            " in the real data 1464, 1449 and 11355; unpack the one that differs again"
        )
    _convert(sorted(set(stems) - train), sbd / "cls", voc / "SegmentationClassAug")
    write_atomic(lists / "train_aug.txt", "".join(f"{stem}\n" for stem in stems).encode())


def sbd_dataset(root: Path) -> Path:
    """Return the folder of SBD that holds its lists and `cls`, from the folder of the release."""
    candidates = (root / "benchmark_RELEASE/dataset", root / "dataset", root)
    for folder in candidates:
        if (folder / "cls").is_dir():
            return folder
    require(root, "the unpacked SBD release")
    return require(candidates[0] / "cls", "SBD's labels, one .mat file per image").parent


def read_sbd_label(path: Path) -> np.ndarray:
    """Read the class indices of an SBD label, (H, W) uint8, 0 to 20; SBD marks no borders.

    Raises:
        UserError: if the file is missing or is none of SBD's class labels.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    require_file(path, "SBD's label of an image that its lists name")
    try:
        label = np.asarray(loadmat(path)["GTcls"]["Segmentation"][0, 0])
    except (*_UNREADABLE, MatReadError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is no SBD label ({reason}); unpack SBD again") from None
    if label.ndim != 2 or label.dtype.kind not in "ui" or label.min() < 0 or label.max() > 20:
        raise UserError(f"{path} does not hold one class of 0 to 20 per pixel; unpack SBD again")
    return label.astype(np.uint8)


def _convert(stems: list[str], source: Path, target: Path) -> None:
    target.mkdir(exist_ok=True)
    missing = [stem for stem in stems if not is_file(target / f"{stem}.png")]
    print(f"converting {len(missing)} labels of SBD into {target}, once", flush=True)
    palette = load_table("voc2012").palette()
    for stem in missing:
        write_label(target / f"{stem}.png", read_sbd_label(source / f"{stem}.mat"), palette)
