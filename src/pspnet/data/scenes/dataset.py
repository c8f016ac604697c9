"""The built-in data set: synthetic panoramas whose classes depend on the context."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import yaml

from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.classes import Classes
from pspnet.data.files import check_samples, read_list, require
from pspnet.data.image_io import encode
from pspnet.data.label_io import write_label
from pspnet.data.scenes.layout import SMALLEST, PortableRandom, Scene, draw_scene
from pspnet.data.scenes.render import CLASSES, render
from pspnet.errors import NotWritten, UserError
from pspnet.files.draft_folder import draft_folder
from pspnet.files.paths import local_path
from pspnet.files.writing import writing
from pspnet.files.yaml_files import read_yaml

VERSION = 1  # counts up whenever the same options would give other pixels
MARKER = "scenes.yaml"
MOST, LARGEST = 100_000, 4096  # images of a split, pixels of a side
LISTS = "ImageSets/Segmentation"
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class Scenes(Source):
    """Synthetic panoramas in VOC's layout, rendered on first use, see `pspnet.data.scenes.layout`.

        root/
            scenes.yaml               the options of the files
            ImageSets/Segmentation/   train.txt val.txt test.txt
            JPEGImages/               train_0000.png    PNG, in the folder that VOC names so
            SegmentationClass/        train_0000.png

    The three groups of classes are the three failures of section 3.1 of the paper: the members of
    a group look alike in every window of 41 pixels, and only the rest of the image tells them
    apart. The same options give the same pixels on every machine. All splits have labels.

    Args:
        root: folder of the images, created if absent; None is one of these options, data/scenes
            for the defaults.
        seed: seed of the scenes.
        train: number of images to train on.
        val: number of images to validate on.
        test: number of images to test on.
        size: height and width in pixels, at least 65 and 193.

    Raises:
        UserError: if the seed is negative, a split is empty or the images are too small.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        seed: int = 0,
        train: int = 700,
        val: int = 200,
        test: int = 50,
        size: tuple[int, int] = SMALLEST,
    ) -> None:
        if not 0 <= seed < 2**63:
            raise UserError(f"seed={seed}: give 0 to 2**63 - 1")
        for split, count in zip(SPLITS, (train, val, test), strict=True):
            if not 1 <= count <= MOST:
                raise UserError(f"{split}={count}: give 1 to {MOST} images")
        if size[0] < SMALLEST[0] or size[1] < SMALLEST[1] or max(size) > LARGEST:
            raise UserError(f"size={size}: give height and width from {SMALLEST} to {LARGEST}")
        self.seed = seed
        self.counts: dict[Split, int] = {"train": train, "val": val, "test": test}
        self.size = (size[0], size[1])
        self.root = local_path(root or self._own_root(), option="root")

    @classmethod
    def rendered(cls, root: Path) -> Scenes | None:
        """Return the scenes that a folder holds, with the options of their rendering, or None."""
        if not (root / MARKER).exists():
            return None
        options = _read_options(root / MARKER)
        names = ("seed", *SPLITS, "size")
        if not {*names} <= options.keys():
            return cls(root)  # which refuses them by name
        return cls(root, **{name: options[name] for name in names})

    @property
    def classes(self) -> Classes:
        return CLASSES

    def scene(self, split: Split, index: int) -> Scene:
        """Return the scene of the image of that number."""
        return draw_scene(PortableRandom(self.seed, SPLITS.index(split), index), size=self.size)

    def prepare(self) -> None:
        """Render the images if `root` is absent or empty; they appear all at once or not at all.

        Raises:
            UserError: if `root` holds scenes of other options, or other files, or cannot be
                written; nothing is deleted but drafts of killed processes.
        """
        if (self.root / MARKER).exists():
            self._check_options()
            return
        if self.root.exists() and (not self.root.is_dir() or any(self.root.iterdir())):
            raise UserError(f"{self.root} exists and holds no {MARKER}; set root to another folder")
        try:
            with draft_folder(self.root) as draft, writing(self.root):
                self._write(draft)
                draft.replace(self.root)
        except NotWritten:  # another run may have rendered them meanwhile
            if not (self.root / MARKER).exists():
                raise
            self._check_options()

    def samples(self, split: Split) -> list[Sample]:
        listing = self.root / LISTS / f"{split}.txt"
        images, labels = self.root / "JPEGImages", self.root / "SegmentationClass"
        stems = read_list(listing)
        samples = [Sample(stem, images / f"{stem}.png", labels / f"{stem}.png") for stem in stems]
        return check_samples(samples, listing)

    def _own_root(self) -> Path:
        """Return the folder of these options: data/scenes, or one that is named by what differs."""
        defaults = inspect.signature(Scenes).parameters
        counts = [(str(split), count) for split, count in self.counts.items()]
        given: list[tuple[str, Any]] = [("seed", self.seed), *counts, ("size", self.size)]
        changed = [
            f"{name}{'x'.join(map(str, value)) if isinstance(value, tuple) else value}"
            for name, value in given
            if value != defaults[name].default
        ]
        return Path("data", "_".join(["scenes", *changed]))

    def _options(self) -> dict[str, Any]:
        counts = {str(split): count for split, count in self.counts.items()}
        return {"version": VERSION, "seed": self.seed, **counts, "size": list(self.size)}

    def _check_options(self) -> None:
        marker = self.root / MARKER
        found = _read_options(marker)
        if found != self._options():
            raise UserError(
                f"{marker} says {_in_words(found)}, the options {_in_words(self._options())};"
                " set root to another folder, or delete this one to render it again"
            )

    def _write(self, root: Path) -> None:
        for folder in ("JPEGImages", "SegmentationClass", LISTS):
            (root / folder).mkdir(parents=True)
        for split in SPLITS:
            stems = [f"{split}_{index:04}" for index in range(self.counts[split])]
            for index, stem in enumerate(stems):
                image, label = render(self.scene(split, index))
                (root / "JPEGImages" / f"{stem}.png").write_bytes(encode(image))
                write_label(root / "SegmentationClass" / f"{stem}.png", label, CLASSES.palette())
            (root / LISTS / f"{split}.txt").write_text("".join(f"{stem}\n" for stem in stems))
        (root / MARKER).write_text(yaml.safe_dump(self._options(), sort_keys=False))


def load_scenes(root: Path) -> Scenes:
    """Return the data set of the scenes in a folder, with the options that it was rendered with.

    Raises:
        UserError: if the folder holds no built-in scenes, if they have another version, or if the
            file of their options is broken.
    """
    marker = require(root / MARKER, "the options of built-in scenes")
    found = _read_options(marker)
    source = Scenes(root)
    if set(found) != set(source._options()) or found["version"] != VERSION:
        raise UserError(
            f"{marker} says {_in_words(found)}, which is not of version {VERSION};"
            " delete the folder to render it again"
        )
    del found["version"]
    return Scenes(root, **{**found, "size": tuple(found["size"])})


def _read_options(marker: Path) -> dict[str, Any]:
    try:
        found = read_yaml(marker)
    except UserError:  # the caller says what is expected, and what is there
        found = None
    return found if isinstance(found, dict) else {}


def _in_words(options: dict[str, Any]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items()) or "nothing readable"
