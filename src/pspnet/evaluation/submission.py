"""Predictions on a test split whose labels a benchmark keeps back, as its server takes them."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from pspnet.data.datasets.base import Sample, Source
from pspnet.data.image_io import image_size, read_label, write_label
from pspnet.errors import UserError, write_atomic


class Submission:
    """Writes a split's predictions in the server's form and packs them once all are there.

    `submission/` below a folder holds the files, `submission.zip` or `submission.tar.gz` the same
    packed. Neither may exist before: nothing is written over.

    Args:
        out_dir: the folder.
        source: the data set; it must have a server.
        samples: the images of the split.
    """

    def __init__(self, out_dir: Path, *, source: Source, samples: Sequence[Sample]) -> None:
        server = source.server
        assert server is not None
        self.server = server
        self.folder = out_dir / "submission"
        self.archive = out_dir / f"submission.{server.archive}"
        self.images = {sample.name: sample.image for sample in samples}
        self.values = source.stored_values()
        colors = np.zeros((256, 3), np.uint8)
        colors[self.values] = source.classes.colors
        self.palette = colors if server.palette else None

    def path(self, name: str) -> Path:
        """The file of a sample's prediction."""
        return self.folder / self.server.folder / f"{self.images[name].stem}.png"

    def check(self) -> None:
        """Refuses what could not be submitted, before anything is computed.

        Raises:
            FileExistsError: if there is a submission in the folder.
            ValueError: naming the first image whose name is another's too, or whose size the
                server does not take.
        """
        for path in (self.folder, self.archive):
            if os.path.lexists(path):
                raise UserError(f"{path} exists; move it away, or give the run another name")
        stem, count = Counter(image.stem for image in self.images.values()).most_common(1)[0]
        if count > 1:
            raise UserError(f"{count} images are named {stem!r}; the server knows them by name")
        if self.server.size is not None:
            for image in self.images.values():
                if image_size(image) != self.server.size:
                    raise UserError(
                        f"{image} is {_pixels(image_size(image))} pixels, but the server takes"
                        f" {_pixels(self.server.size)}; give the images as the data set has them"
                    )

    def write(self, name: str, label: np.ndarray) -> None:
        """Writes the prediction of one sample.

        Args:
            name: the sample's.
            label: train ids, (H, W) uint8.

        Raises:
            FileExistsError: if the file is there.
        """
        path = self.path(name)
        if os.path.lexists(path):
            raise UserError(f"{path} exists; move it away, or give the run another name")
        path.parent.mkdir(parents=True, exist_ok=True)
        write_label(path, self.values[label], self.palette)

    def pack(self) -> Path:
        """Reads all files back, packs them, and returns the archive.

        Raises:
            ValueError: if images have no prediction, naming their number and the first, or a
                prediction is of another size than its image or holds a value that the server does
                not take.
            FileExistsError: if the archive is there.
        """
        missing = [name for name in self.images if not self.path(name).is_file()]
        if missing:
            raise UserError(
                f"{len(missing)} of {len(self.images)} images have no prediction in {self.folder},"
                f" first {missing[0]!r}; test the whole split, without trainer.limit_test_batches"
                " and trainer.fast_dev_run"
            )
        accepted = np.full(256, -1, np.int16)
        accepted[self.values] = self.values
        for name, image in self.images.items():
            size = read_label(self.path(name), accepted).shape
            if size != image_size(image):
                raise UserError(
                    f"{self.path(name)} is {_pixels(size)} pixels, its image {image}"
                    f" {_pixels(image_size(image))}; test again"
                )
        if os.path.lexists(self.archive):
            raise UserError(f"{self.archive} exists; move it away")
        paths = [self.path(name) for name in self.images]
        files = {path.relative_to(self.folder).as_posix(): path for path in paths}
        write_atomic(self.archive, _zipped(files) if self.server.archive == "zip" else _tar(files))
        return self.archive


def _pixels(size: tuple[int, ...]) -> str:
    return f"{size[1]}×{size[0]}"


def _zipped(files: Mapping[str, Path]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:  # PNGs are compressed already
        for name, path in files.items():
            archive.write(path, name)
    return packed.getvalue()


def _tar(files: Mapping[str, Path]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=1) as archive:
        for name, path in files.items():
            member = tarfile.TarInfo(name)  # without the owner that `add` would tell
            content = path.read_bytes()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
