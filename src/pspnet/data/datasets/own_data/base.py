"""The base of a user's own data sets: images found on disk, and their division into splits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from pspnet.data.datasets.base import Sample, Source, Split
from pspnet.data.datasets.own_data.division import Division
from pspnet.data.datasets.own_data.split_lists import find_lists, read_members
from pspnet.data.files import check_samples, require_root
from pspnet.errors import Findings, UserError
from pspnet.files.paths import local_path


@dataclass(frozen=True)
class Entry:
    """An image that a layout holds.

    Args:
        name: a relative path without suffix, unique in the data set.
        image: the image file.
        label: the file with its label, or None if there is none.
        split: the split that the layout itself puts it in, or None.
    """

    name: str
    image: Path
    label: Path | None
    split: Split | None = None


class OwnData(Source, ABC):
    """A user's own data set; a subclass finds its images, and defines `classes` and `entries`.

    Splits are those of lists (`train.txt`, `val.txt` and `test.txt`), otherwise those of the
    layout's folders, otherwise a division: images that are not in the test split are divided by
    `val_fraction` or into `folds`, in the same way on every machine. The test split has no labels
    if none of its images has one.

    Args:
        root: the folder of the data set.
        val_fraction: share of images to validate on, between 0 and 1, both excluded.
        seed: seed of the division.
        group: a regular expression that finds, in an image's name, what must not be divided, such
            as a video or a patient: its first group in parentheses, or all of what it matches.
        folds: the number of folds for cross-validation; None divides by `val_fraction`.
        fold: the fold to validate on, 0 to `folds` - 1.

    Raises:
        UserError: if an option is out of range.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        val_fraction: float = 0.2,
        seed: int = 0,
        group: str | None = None,
        folds: int | None = None,
        fold: int = 0,
    ) -> None:
        self.root = local_path(root, option="root")
        self.notes: list[str] = []
        self.division = Division(val_fraction, seed=seed, group=group, folds=folds, fold=fold)

    @abstractmethod
    def entries(self) -> list[Entry]:
        """List all images of the layout, each with its label and the layout's own split.

        Raises:
            UserError: if a file or folder of the layout is missing or contradicts another.
        """

    def samples(self, split: Split) -> list[Sample]:
        self.notes = []
        require_root(self.root)
        entries = {entry.name: entry for entry in _unique(self.entries())}
        splits, origins = self._splits(entries, split)
        if split not in splits:
            raise UserError(
                f"{self.root / f'{split}.txt'} is missing: expected the list of {split} images, as"
                f" no folder holds them; a line is a name below the folder of images"
            )
        members = splits[split]
        if split != "test" or any(entry.label is not None for entry in members):
            missing = [self.missing_label(entry) for entry in members if entry.label is None]
            if missing:
                raise Findings(missing)
        samples = [Sample(entry.name, entry.image, entry.label) for entry in members]
        return check_samples(samples, self.root / origins[split])

    def missing_label(self, entry: Entry) -> str:
        """Return the error about an image that needs a label and has none."""
        return f"{entry.image} has no label; add it, or leave the image out of the lists"

    def _splits(
        self, entries: dict[str, Entry], wanted: Split
    ) -> tuple[dict[Split, list[Entry]], dict[Split, str]]:
        """Return the entries of each split, and what they come from; `wanted` is among them."""
        lists, notes = find_lists(self.root)
        self.notes += notes
        folders = {} if lists else self._by_folder(entries.values())
        origins = {name: path.relative_to(self.root).as_posix() for name, path in lists.items()}
        origins |= {name: _folder(name, its) for name, its in folders.items()}
        for one, other in (("train", "val"), ("val", "train")):
            if one in origins and other not in origins and (lists or one == "val"):
                raise UserError(
                    f"{self.root / f'{other}.txt'} is missing: expected a list, as {origins[one]}"
                    f" holds the {one} split; give both or neither"
                )
        splits = folders | {name: self._listed(path, entries) for name, path in lists.items()}
        if "val" not in splits and wanted != "test":
            origins |= self._divide(entries, splits)
        _refuse_twice(splits, origins)
        names = {split: [entry.name for entry in its] for split, its in splits.items()}
        if "train" in splits and "val" in splits:
            self.division.check_groups(names)
            self.origin = " and ".join(dict.fromkeys((origins["train"], origins["val"])))
        return splits, origins

    def _listed(self, listing: Path, entries: dict[str, Entry]) -> list[Entry]:
        images = {name: entry.image for name, entry in entries.items()}
        return [
            replace(entries[name], label=label or entries[name].label)
            for name, label in read_members(listing, images, self.root)
        ]

    def _by_folder(self, entries: Iterable[Entry]) -> dict[Split, list[Entry]]:
        splits: dict[Split | None, list[Entry]] = {}
        for entry in entries:
            splits.setdefault(entry.split, []).append(entry)
        others = splits.pop(None, [])
        if splits and others:
            names = " and ".join(_folder(split, its) for split, its in splits.items() if split)
            raise UserError(
                f"{self.root} has images in {names}, which name splits, and others, first"
                f" {others[0].image}; list the images in train.txt and val.txt"
            )
        return {split: its for split, its in splits.items() if split is not None}

    def _divide(
        self, entries: dict[str, Entry], splits: dict[Split, list[Entry]]
    ) -> dict[Split, str]:
        held_out = {entry.name for entry in splits.get("test", ())}
        pool = {entry.name for entry in splits.get("train", entries.values())} - held_out
        if len(pool) < 2:
            raise UserError(
                f"{self.root} has {len(pool)} images to train and validate on; at least 2 are"
                " needed"
            )
        train, val = self.division.divide(pool)
        missing = "list or folder of the val split" if "train" in splits else "train.txt"
        splits["train"] = [entries[name] for name in train]
        splits["val"] = [entries[name] for name in val]
        return dict.fromkeys(("train", "val"), f"{self.division}; no {missing}")


def _unique(entries: list[Entry]) -> list[Entry]:
    counts = Counter(entry.name for entry in entries)
    for name, count in counts.items():
        if count > 1:
            first, second, *_ = [entry.image for entry in entries if entry.name == name]
            raise UserError(f"{first} and {second} have one stem; rename one of them")
    return entries


def _folder(split: Split, entries: list[Entry]) -> str:
    """Return the name of a split's folder; in layouts without folders, of the split."""
    folders = {entry.name.partition("/")[0] for entry in entries if "/" in entry.name}
    return folders.pop() if len(folders) == 1 else split


def _refuse_twice(splits: dict[Split, list[Entry]], origins: dict[Split, str]) -> None:
    """Refuse an image of the train split that another split holds, too."""
    train = {entry.name for entry in splits.get("train", ())}
    for name in ("val", "test"):
        twice = [entry.name for entry in splits.get(name, ()) if entry.name in train]
        if twice:
            raise Findings(
                [
                    f"{origins['train']} names {it!r}, as does {origins[name]}; keep every image in"
                    " one split"
                    for it in twice
                ]
            )
