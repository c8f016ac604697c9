"""The results of an evaluation from those of its shards, exactly."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pspnet.callbacks.results_file import plain_matrix, read_matrix, read_members, read_results
from pspnet.errors import UserError

SAME = ("split", "protocol", "precision", "absent", "inference", "members")  # in all shards


def merge_results(paths: Sequence[Path]) -> dict[str, Any]:
    """Return results.json of an evaluation of all images from those of its shards.

    It holds what follows from the confusion matrix. That is a sum of integers, so all scores are
    equal to the last bit; sums of pixel weights agree to the nine digits of the files.

    Args:
        paths: results.json of `data.shard` 1/N to N/N in any order, or the folders that hold them.

    Raises:
        UserError: if a file is of no shard, is of another evaluation than the first, or stands
            twice, or if shards are missing.
    """
    import torch

    from pspnet.evaluation.summary import summary

    files = [path / "results.json" if path.is_dir() else path for path in paths]
    results = [read_results(file) for file in files]
    parts = [_part(each, file) for each, file in zip(results, files, strict=True)]
    _check_parts(parts, files)
    first = results[0]
    for other, file in zip(results[1:], files[1:], strict=True):
        _check_same(first, other, files[0], file)
    matrix = sum(
        (read_matrix(each, path=file) for each, file in zip(results, files, strict=True)),
        start=np.zeros(()),
    )
    if not (matrix.min() >= 0 and matrix.max() < 2**53):
        raise UserError(f"{files[0]} and the others hold counts that are none; evaluate again")
    if not first.get("weighted"):
        matrix = matrix.astype(np.int64)
    shard = first["shard"]
    scores = summary(
        torch.from_numpy(matrix),
        names=[*first["iou"]],
        groups=read_members(first),
        categories=shard["categories"],
        absent=first["absent"],
    )
    return {
        **{key: first[key] for key in ("split", "protocol", "precision", "checkpoint")},
        **scores,
        **({"weighted": True} if first.get("weighted") else {}),
        **{key: first[key] for key in ("inference", "colors", "members")},
        "confusion": plain_matrix(matrix),
    }


def _part(results: dict[str, Any], file: Path) -> tuple[int, int]:
    """Return number and count of the shard that results are of."""
    try:
        number, count = map(int, results["shard"]["part"].split("/"))
        whole = {*SAME, "checkpoint", "colors", "confusion"} <= {*results}
        groups = results["shard"]["categories"].values()
        if whole and all({*names} <= {*results["iou"]} for names in groups):
            return number, count
    except (KeyError, ValueError, TypeError, AttributeError):
        pass
    raise UserError(f"{file} is of no shard; evaluate with --data.shard=1/2 and the like")


def _check_parts(parts: list[tuple[int, int]], files: list[Path]) -> None:
    count, seen = parts[0][1], dict[int, Path]()
    for (number, parts_of_it), file in zip(parts, files, strict=True):
        if parts_of_it != count:
            raise UserError(f"{file} is one of {parts_of_it} shards, {files[0]} of {count}")
        if number in seen:
            raise UserError(f"{seen[number]} and {file} are both shard {number}/{count}; keep one")
        seen[number] = file
    missing = [f"{number}/{count}" for number in range(1, count + 1) if number not in seen]
    if missing:
        raise UserError(
            f"{len(missing)} of {count} shards are missing, first {missing[0]}; evaluate with"
            f" --data.shard={missing[0]}, and give all results.json"
        )


def _check_same(first: dict[str, Any], other: dict[str, Any], path: Path, file: Path) -> None:
    for key in SAME:
        if first[key] != other[key]:
            raise UserError(
                f"{file} has {key} {other[key]}, {path} {first[key]}; evaluate all shards alike"
            )
    if [*first["iou"]] != [*other["iou"]] or first.get("weighted") != other.get("weighted"):
        raise UserError(f"{file} is of other classes or weights than {path}; evaluate them alike")
