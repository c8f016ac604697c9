"""Archives of predictions on a test split, in the form that the benchmark's server accepts."""

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
from pspnet.data.image_io import image_size
from pspnet.data.label_io import LabelCode, read_label, write_label
from pspnet.errors import UserError
from pspnet.files.writing import make_folder, write_atomic


class Submission:
    """Writer of a split's predictions in the server's form, and of their archive.

    The files go to `submission/` below a folder, and the archive beside it is `submission.zip` or
    `submission.tar.gz`. Neither may exist before: nothing is overwritten.

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
        """Return the file for a sample's prediction."""
        return self.folder / self.server.folder / f"{self.images[name].stem}.png"

    def check(self) -> None:
        """Refuse a test that could not be submitted, before anything is computed.

        Raises:
            UserError: if there is a submission in the folder, two images share a name, or the
                server does not accept an image's size.
        """
        for path in (self.folder, self.archive):
            if os.path.lexists(path):
                raise UserError(f"{path} exists; move it away, or give the run another name")
        stem, count = Counter(image.stem for image in self.images.values()).most_common(1)[0]
        if count > 1:
            raise UserError(
                f"{count} images are named {stem!r}, and the server knows them by name alone; "
                "give the original images of the data set"
            )
        if self.server.size is not None:
            for image in self.images.values():
                if image_size(image) != self.server.size:
                    raise UserError(
                        f"{image} is {_pixels(image_size(image))} pixels, but the server accepts"
                        f" {_pixels(self.server.size)}; give the original images of the data set"
                    )

    def write(self, name: str, label: np.ndarray) -> None:
        """Write the prediction of one sample.

        Args:
            name: the sample's name.
            label: train ids, (H, W) uint8.

        Raises:
            UserError: if the file exists.
        """
        path = self.path(name)
        if os.path.lexists(path):
            raise UserError(f"{path} exists; move it away, or give the run another name")
        make_folder(path.parent)
        write_label(path, self.values[label], self.palette)

    def pack(self) -> Path:
        """Read all files back, pack them, and return the archive's path.

        Raises:
            UserError: if the archive exists, images have no prediction, or a prediction differs in
                size from its image or holds a value that the server does not accept.
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
            size = read_label(self.path(name), LabelCode(accepted, one_channel=True)).shape
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
            member = tarfile.TarInfo(name)  # `add` would store the owner's name too
            content = path.read_bytes()
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return packed.getvalue()
