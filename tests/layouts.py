"""Tiny valid layouts of the data sets on disk, for their tests."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
from PIL import Image

from pspnet.data.datasets.base import Source, Split


def put_image(path: Path, *, size: tuple[int, int] = (4, 6)) -> Path:
    """Write a gray-blue image of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), (90, 100, 120), np.uint8)).save(path)
    return path


def put_label(path: Path, values: object = 0, *, size: tuple[int, int] = (4, 6)) -> Path:
    """Write a gray PNG of `values`, repeated over (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.resize(np.asarray(values, np.uint8), size)).save(path)
    return path


def put_text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def make_voc(base: Path, **lists: list[str]) -> Path:
    """Write VOC2012 with the images and labels of the given lists."""
    for name, stems in lists.items():
        put_text(base / f"ImageSets/Segmentation/{name}.txt", *stems)
        for stem in stems:
            put_image(base / f"JPEGImages/{stem}.jpg")
            if name != "test":
                put_label(base / f"SegmentationClass/{stem}.png", [0, 20, 255])
    return base


def labels(source: Source, split: Split) -> list[list[int]]:
    """Return the train ids in each label of the split."""
    samples = [sample for sample in source.samples(split) if sample.label is not None]
    return [np.unique(source.read_label(sample)).tolist() for sample in samples]


def write_tiff(path: Path, pixels: np.ndarray) -> Path:
    """Write (H, W, bands) as a TIFF by hand: interleaved, uncompressed, more than 3 bands extra."""
    height, width, bands = pixels.shape
    bits, extra = 8 * pixels.dtype.itemsize, max(bands - 3, 0)
    entries = [
        (256, 4, [width]),
        (257, 4, [height]),
        (258, 3, [bits] * bands),
        (259, 3, [1]),
        (262, 3, [2]),
        (273, 4, [0]),  # the offset of the pixels, entered below
        (277, 3, [bands]),
        (278, 4, [height]),
        (279, 4, [pixels.nbytes]),
        *([(338, 3, [0] * extra)] if extra else []),
    ]
    end, table, values = 8 + 2 + 12 * len(entries) + 4, b"", b""
    place = end + sum(2 * len(its) for _, kind, its in entries if kind == 3 and len(its) > 2)
    for tag, kind, its in entries:
        packed = struct.pack(f"<{len(its)}{'H' if kind == 3 else 'I'}", *its)
        if tag == 273:
            packed = struct.pack("<I", place)
        if len(packed) > 4:
            packed, values = struct.pack("<I", end + len(values)), values + packed
        table += struct.pack("<HHI", tag, kind, len(its)) + packed.ljust(4, b"\0")
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + table + b"\0" * 4
    path.write_bytes(head + values + pixels.astype(pixels.dtype.newbyteorder("<")).tobytes())
    return path
