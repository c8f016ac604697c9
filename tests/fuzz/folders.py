"""Small data sets of every kind, and the ways in which their files are broken."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.ade20k import ADE20K
from pspnet.data.datasets.base import Source
from pspnet.data.datasets.camvid import CamVid
from pspnet.data.datasets.cityscapes import Cityscapes
from pspnet.data.datasets.folder import Folder
from pspnet.data.datasets.sbd import build_train_aug
from pspnet.data.datasets.voc import VOC

STEMS = ("2007_1", "2007_2", "2008_3", "2008_4")
NOISE = bytes(range(256)) * 4


def picture(path: Path, *, label: bool) -> None:
    """Write an image, or a label of the values 0 to 3, of 40×48 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    pixels = (
        random.integers(1, 4, (40, 48), np.uint8)
        if label
        else random.integers(0, 256, (40, 48, 3), np.uint8)
    )
    Image.fromarray(pixels).save(path)


def voc(root: Path) -> None:
    """Write VOC with its lists."""
    lists = root / "VOC2012/ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for stem in STEMS:
        picture(root / f"VOC2012/JPEGImages/{stem}.jpg", label=False)
        picture(root / f"VOC2012/SegmentationClass/{stem}.png", label=True)
    for name, stems in (("train", STEMS[:2]), ("val", STEMS[2:]), ("test", STEMS[2:])):
        (lists / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in stems))


def sbd(root: Path) -> None:
    """Write VOC, and SBD beside it."""
    voc(root)
    (root / "SBD/dataset/cls").mkdir(parents=True)
    for name, stem in (("train", STEMS[1]), ("val", "2009_5")):
        other = STEMS[0] if name == "train" else STEMS[2]
        (root / f"SBD/dataset/{name}.txt").write_text(f"{stem}\n{other}\n")
        segmentation = {"Segmentation": np.ones((40, 48), np.uint8)}
        savemat(root / f"SBD/dataset/cls/{stem}.mat", {"GTcls": segmentation})


def cityscapes(root: Path) -> None:
    """Write Cityscapes of one city."""
    for split in ("train", "val"):
        for number in (0, 1):
            frame = f"aachen_{number:06}_000019"
            picture(root / f"leftImg8bit/{split}/aachen/{frame}_leftImg8bit.png", label=False)
            picture(root / f"gtFine/{split}/aachen/{frame}_gtFine_labelIds.png", label=True)


def ade20k(root: Path) -> None:
    """Write ADE20K."""
    for split in ("training", "validation"):
        for stem in STEMS[:2]:
            picture(root / f"images/{split}/{stem}.jpg", label=False)
            picture(root / f"annotations/{split}/{stem}.png", label=True)


def camvid(root: Path) -> None:
    """Write CamVid, with SegNet's form of lines for validation."""
    for split in ("train", "val", "test"):
        for stem in STEMS[:2]:
            picture(root / f"{split}/{stem}.png", label=False)
            picture(root / f"{split}annot/{stem}.png", label=True)
    (root / "train.txt").write_text("".join(f"{stem}\n" for stem in STEMS[:2]))
    lines = [f"/SegNet/val/{stem}.png /SegNet/valannot/{stem}.png\n" for stem in STEMS[:2]]
    (root / "val.txt").write_text("".join(lines))


def folder(root: Path) -> None:
    """Write a user's own folder."""
    for stem in STEMS:
        picture(root / f"images/a/{stem}.png", label=False)
        picture(root / f"masks/a/{stem}.png", label=True)
    (root / "classes.yaml").write_text("names: [a, b, c, d]\nignore: [9]\ngroups: {x: [a, b]}\n")
    (root / "train.txt").write_text("".join(f"a/{stem}\n" for stem in STEMS[:2]))
    (root / "val.txt").write_text("".join(f"a/{stem}\n" for stem in STEMS[2:]))


def _load(source: Source, *, stages: tuple[str, ...] = ("fit",)) -> None:
    data = SegmentationData(source, crop_size=33, batch_size=2, workers=0)
    source.prepare()
    for stage in stages:
        data.setup(stage)
    for loader in (data.train_dataloader(), data.val_dataloader()):
        list(loader)


def _build_sbd(root: Path) -> None:
    build_train_aug(root / "VOC2012", root / "SBD", expected=3)


# how each kind is written, and how it is read
KINDS: dict[str, tuple[Callable[[Path], None], Callable[[Path], None]]] = {
    "VOC": (voc, lambda root: _load(VOC(root, train_split="train"))),
    "SBD": (sbd, _build_sbd),
    "Cityscapes": (cityscapes, lambda root: _load(Cityscapes(root))),
    "ADE20K": (ade20k, lambda root: _load(ADE20K(root))),
    "CamVid": (camvid, lambda root: _load(CamVid(root))),
    "Folder": (folder, lambda root: _load(Folder(root))),
}


def _fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(target: str) -> Callable[[Path], None]:
    def link(path: Path) -> None:
        path.unlink()
        path.symlink_to(target)

    return link


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _halved(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


# ways to break a file
WAYS: dict[str, Callable[[Path], object]] = {
    "missing": lambda path: path.unlink(),
    "empty": _write(b""),
    "a byte": _write(b"\0"),
    "noise": _write(NOISE),
    "cut off": _halved,
    "text": _write(b"a b c\n"),
    "a number": _write(b"7\n"),
    "spaces": _write(b" \n\t\n"),
    "latin-1": _write(b"names: [caf\xe9]\n"),
    "NUL": _write(b"a\0b\n"),
    "escapes": _write(b"\x1b[31mred\x1b[0m\n"),
    "a long name": _write(b"z" * 5000 + b"\n"),
    "a long path": _write(b"z/" * 3000 + b"\n"),
    "up": _write(b"../../../etc/passwd\n../x ../y\n/a/../b /c/../d\n"),
    "absolute": _write(b"/etc/passwd\n/etc/passwd /etc/group\n"),
    "once more": lambda path: path.write_bytes(path.read_bytes() * 2),
    "CRLF": lambda path: path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n")),
    "a BOM": lambda path: path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes()),
    "YAML list": _write(b"- a\n- b\n"),
    "YAML nulls": _write(b"names:\ncolors:\ngroups:\nignore:\n"),
    "YAML of wrong types": _write(b"names: [a, 1, null, [x]]\ncolors: 3\ngroups: [1]\nignore: x\n"),
    "YAML names of escapes": _write(b'names: ["a\\nb", "\\e[31m", ""]\n'),
    "YAML of huge numbers": _write(b"names: [a]\ncolors: [[1e400, 0, 0]]\nignore: [99999999999]\n"),
    "YAML, doubled": _write(b"names: [a]\nnames: [b]\n"),
    "a folder": _folder,
    "a pipe": _fifo,
    "a loop": _link("loop.of.itself"),
    "a dead link": _link("nowhere"),
    "/dev/zero": _link("/dev/zero"),
    "another suffix": lambda path: path.rename(path.with_suffix(".tif2")),
    "upper case": lambda path: path.rename(path.with_name(path.name.upper())),
    "gray": lambda path: _image(path, "L"),
    "RGB": lambda path: _image(path, "RGB"),
    "RGBA": lambda path: _image(path, "RGBA"),
    "16 bits": lambda path: _image(path, "I;16"),
    "another size": lambda path: _image(path, "L", size=(7, 5)),
    "a pixel": lambda path: _image(path, "L", size=(1, 1)),
}


def _image(path: Path, mode: str, *, size: tuple[int, int] = (48, 40)) -> None:
    jpeg = path.suffix == ".jpg"
    Image.new("RGB" if jpeg else mode, size).save(path, "JPEG" if jpeg else "PNG")


# files that the training and its validation, or the list to build, do not need
UNUSED = {
    "VOC": "*/test.txt",
    "SBD": "*/JPEGImages/*|*/SegmentationClass/*|*/test.txt|*/2007_1.mat",
    "CamVid": "test*",
}
# what remains whole, or what a list or a picture may be
SENSIBLE = {
    ".txt": ("CRLF", "a BOM", "cut off"),  # and SBD's lists are sets
    ".yaml": ("CRLF", "a BOM"),
    ".png": ("once more", "gray", "RGB", "RGBA", "16 bits", "upper case"),
    ".jpg": ("CRLF", "once more", "gray", "RGB", "RGBA", "16 bits", "upper case"),
    ".mat": ("CRLF",),
}


def files(root: Path, *, kind: str) -> list[Path]:
    """List a file of each folder and suffix that a kind of data set reads, relative to its root."""
    unused = UNUSED[kind].split("|") if kind in UNUSED else []
    every = sorted(path.relative_to(root) for path in root.rglob("*") if path.is_file())
    used = [path for path in every if not any(fnmatch(str(path), p) for p in unused)]
    kinds = {(p.parent, p.suffix, p.stem if p.suffix == ".txt" else ""): p for p in used}
    return list(kinds.values())


def replace(root: Path, write: Callable[[Path], None]) -> None:
    """Write a data set again."""
    shutil.rmtree(root, ignore_errors=True)
    write(root)
