"""The division of images into those to train and those to validate on."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping

from pspnet.data.datasets.base import Split
from pspnet.errors import UserError


class Division:
    """Divides names by a share or into folds, groups of them undivided.

    Names, or groups, are ranked by a digest of `seed` and name. That needs no state, is the same on
    every machine, and moves few of them when others are added.

    Args:
        val_fraction: share of names to validate on, between 0 and 1, both excluded.
        seed: seed of the ranking.
        group: a regular expression that finds a name's group: its first group in parentheses, or
            all of what it matches; None makes each name a group.
        folds: number of folds, at least 2; None divides by `val_fraction`.
        fold: the fold to validate on, 0 to `folds` - 1.

    Raises:
        UserError: if an option is out of range, or `group` is no regular expression.
    """

    def __init__(
        self,
        val_fraction: float,
        *,
        seed: int = 0,
        group: str | None = None,
        folds: int | None = None,
        fold: int = 0,
    ) -> None:
        if not 0 < val_fraction < 1:
            raise UserError(f"val_fraction={val_fraction}: give a share between 0 and 1, as 0.2")
        if folds is not None and folds < 2:
            raise UserError(f"folds={folds}: give at least 2, or none to divide by val_fraction")
        if fold != 0 and not 0 <= fold < (folds or 1):
            raise UserError(f"fold={fold}: give 0 to folds - 1, with folds={folds}")
        self.val_fraction, self.seed, self.folds, self.fold = val_fraction, seed, folds, fold
        try:
            self.group = None if group is None else re.compile(group)
        except re.error as error:
            raise UserError(
                f"group={group!r} is no regular expression ({error}); give one, such as ^([^_]+)"
            ) from None

    def __str__(self) -> str:
        groups = "" if self.group is None else f" by groups of {self.group.pattern}"
        if self.folds is None:
            return f"held out by val_fraction={self.val_fraction:g}{groups}"
        return f"fold {self.fold} of {self.folds}{groups}"

    def divide(self, names: Collection[str]) -> tuple[list[str], list[str]]:
        """Return the names to train on and those to validate on, both sorted, none of them empty.

        Raises:
            UserError: if there are fewer groups than folds or than 2, or a name has no group.
        """
        groups: dict[str, list[str]] = {}
        for name in sorted(names):
            groups.setdefault(self._group(name), []).append(name)
        least = self.folds or 2
        if len(groups) < least:
            what = "images" if self.group is None else f"groups by group={self.group.pattern}"
            raise UserError(f"{len(groups)} {what} to divide; at least {least} are needed")
        ranked = sorted(groups, key=self._rank)
        held_out = {name for group in self._held_out(ranked, groups) for name in groups[group]}
        return sorted(set(names) - held_out), sorted(held_out)

    def check_groups(self, splits: Mapping[Split, Collection[str]]) -> None:
        """Refuse a division, of lists or folders, that trains on a part of another split's group.

        Raises:
            UserError: naming the group, or a name that has none.
        """
        if self.group is None:
            return
        groups = {self._group(name): name for name in splits["train"]}
        for split, names in splits.items():
            for name in names if split != "train" else ():
                if self._group(name) in groups:
                    raise UserError(
                        f"group={self.group.pattern}: {groups[self._group(name)]} is trained on,"
                        f" {name} is of the {split} split, and both are of one group; move one"
                    )

    def _held_out(self, ranked: list[str], groups: dict[str, list[str]]) -> list[str]:
        if self.folds is not None:
            sizes = [0] * self.folds
            folds: list[list[str]] = [[] for _ in sizes]
            for group in ranked:  # each to the smallest fold so far
                place = sizes.index(min(sizes))
                folds[place].append(group)
                sizes[place] += len(groups[group])
            return folds[self.fold]
        total = sum(map(len, groups.values()))
        wanted = min(max(round(total * self.val_fraction), 1), total - 1)
        chosen, count = [ranked[0]], len(groups[ranked[0]])
        for group in ranked[1:-1]:
            if count + len(groups[group]) <= wanted:
                chosen.append(group)
                count += len(groups[group])
        return chosen

    def _rank(self, group: str) -> bytes:
        # names may hold bytes that are no UTF-8
        return hashlib.sha256(f"{self.seed} {group}".encode("utf-8", "surrogateescape")).digest()

    def _group(self, name: str) -> str:
        if self.group is None:
            return name
        found = self.group.search(name)
        if found is None:
            raise UserError(
                f"group={self.group.pattern} finds nothing in the name {name!r}; correct it"
            )
        return found.group(1 if self.group.groups else 0) or ""
