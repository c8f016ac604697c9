"""Scores predictions on disk, of any tool, by the definitions of the benchmark's own scorer.

    python -m pspnet.tools.score PREDICTIONS TRUTH --dataset voc | cityscapes | ade20k | camvid

Both are folders of PNGs of one channel, found with their subfolders. A prediction belongs to the
ground truth of the same name, in Cityscapes of the same `CITY_SEQUENCE_FRAME`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Collection, Iterable
from pathlib import Path

import torch
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.files import IMAGE_SUFFIXES, find_files, read_stems
from pspnet.data.image_io import read_label
from pspnet.errors import Parser, UserError, check_new, one_line_errors, write_atomic
from pspnet.evaluation.metrics import confusion
from pspnet.evaluation.official import BENCHMARKS, Benchmark, Values
from pspnet.evaluation.summary import format_table, summary


def pair(
    predictions: Path, truth: Path, *, benchmark: Benchmark, listing: Path | None = None
) -> list[tuple[Path, Path]]:
    """The files of each prediction and its ground truth, sorted by name.

    Args:
        predictions: the folder of predictions.
        truth: the folder of ground truth.
        benchmark: how names are compared.
        listing: a list of names, with a picture's suffix or without, of which alone the files are
            taken; otherwise all are.

    Raises:
        FileNotFoundError: if a folder or the list is missing.
        ValueError: if a folder has no file, a file has no partner, two share a name, or the list
            is a folder.
    """
    names = None if listing is None else _listed(listing, benchmark)
    truths = _find(truth, benchmark, ending=benchmark.truth, names=names)
    guesses = _find(predictions, benchmark, ending=".png", names=names)
    unknown = sorted(set(names or ()) - truths.keys())
    if unknown:
        raise UserError(
            f"{listing} names {unknown[0]!r}, which has no ground truth in {truth}; write names"
            " of its files, one a line"
        )
    missing, extra = sorted(truths.keys() - guesses), sorted(guesses.keys() - truths)
    if missing:
        raise UserError(
            f"{len(missing)} of {len(truths)} images have no prediction in {predictions}, first"
            f" {missing[0]!r}; add them, or name a subset by --list"
        )
    if extra:
        raise UserError(
            f"{len(extra)} predictions have no ground truth in {truth}, first {guesses[extra[0]]};"
            " remove them, or name a subset by --list"
        )
    return [(guesses[name], truths[name]) for name in sorted(truths)]


def count(
    pairs: Iterable[tuple[Path, Path]], *, benchmark: Benchmark, values: Values = "stored"
) -> Tensor:
    """Confusion matrix of files, (C, C+1) int64, pixels predicted as no class in the last column.

    Args:
        pairs: prediction and ground truth.
        benchmark: what the values mean.
        values: what the predictions hold: "stored", the data set's own values as its server takes
            them, or "train", ids of 0 to C-1 as `predict` writes them.

    Raises:
        ValueError: naming a file that is no PNG of one channel, holds a value that is refused, or
            is of another size than its partner.
    """
    classes = len(benchmark.source.classes)
    known, predicted = benchmark.truth_ids(), benchmark.predicted_ids(values)
    matrix = torch.zeros(classes, classes + 1, dtype=torch.int64)
    for prediction, truth in pairs:
        guess, label = read_label(prediction, predicted), read_label(truth, known)
        if guess.shape != label.shape:
            (rows, columns), (height, width) = guess.shape, label.shape
            raise UserError(
                f"{prediction} is {columns}×{rows} pixels, its ground truth {truth}"
                f" {width}×{height}; predict at the image's own size"
            )
        ids = torch.from_numpy(guess), torch.from_numpy(label)
        matrix += confusion(*ids, num_classes=classes, ignore_index=IGNORE, no_class=IGNORE)
    return matrix


def _listed(listing: Path, benchmark: Benchmark) -> list[str]:
    if listing.is_dir():
        raise UserError(f"{listing} is a folder; give a text file with one name a line")
    stems = [s.rpartition(".")[0] if s.endswith(IMAGE_SUFFIXES) else s for s in read_stems(listing)]
    names = [benchmark.name(stem) or stem for stem in stems]
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise UserError(f"{listing} names {name!r} {times} times; keep one of them")
    return names


def _find(
    folder: Path, benchmark: Benchmark, *, ending: str, names: Collection[str] | None
) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; name one of PNGs")
    found: dict[str, Path] = {}
    for path in find_files(folder, ".png"):
        if not path.name.endswith(ending):
            continue
        name = benchmark.name(path.stem)
        if names is not None and name not in names:
            continue
        if name is None:
            raise UserError(f"{path}: no CITY_SEQUENCE_FRAME begins this name; rename it")
        if name in found:
            raise UserError(f"{found[name]} and {path} are both of {name!r}; keep one")
        found[name] = path
    if not found and names is None:  # of a list, the first name that is missing says more
        raise UserError(f"{folder} holds no file *{ending}; name another folder")
    return found


def _arguments(words: list[str] | None) -> argparse.Namespace:
    about = "Scores predictions on disk by the definitions of the benchmark's own scorer."
    parser = Parser(
        prog="python -m pspnet.tools.score",
        description=about,
    )
    add = parser.add_argument
    add("predictions", type=Path, help="folder of predictions, PNGs of one channel")
    add("truth", type=Path, help="folder of ground truth as the data set has it")
    add("--dataset", choices=[*BENCHMARKS], required=True)
    add(
        "--values",
        choices=["stored", "train"],
        default="stored",
        help="predictions hold the data set's own values (default), or train ids, as `predict`"
        " writes them in index/",
    )
    add("--list", type=Path, help="file with a name a line: only these are scored")
    add("--absent", choices=["skip", "zero"], help="rule for absent classes; the benchmark's own")
    add("--json", type=Path, help="file to write all scores to")
    return parser.parse_args(words)


def _run(options: argparse.Namespace) -> str:
    """Scores, writes the file if one is wanted, and returns what there is to print."""
    out: Path | None = options.json
    if out is not None:
        check_new(out)
    benchmark = BENCHMARKS[options.dataset]
    pairs = pair(options.predictions, options.truth, benchmark=benchmark, listing=options.list)
    matrix = count(pairs, benchmark=benchmark, values=options.values)
    classes = benchmark.source.classes
    if options.values == "stored" and benchmark.seem_train_ids(matrix):
        span = f"0 to {len(classes) - 1}"
        line = f"predictions hold {span} only; are they train ids? use --values train"
        sys.stderr.write(f"note: {line}\n")
    scores = summary(
        matrix,
        names=classes.names,
        groups=classes.groups,
        categories=classes.categories,
        absent=options.absent or benchmark.absent,
    )
    figures = benchmark.figures(scores)
    if out is not None:
        origin = {"dataset": options.dataset, "values": options.values, "images": len(pairs)}
        results = json.dumps({**origin, "figures": figures, **scores}, indent=2)
        write_atomic(out, f"{results}\n".encode())
    said = [f"{key} {'–' if x is None else f'{100 * x:.2f} %'}" for key, x in figures.items()]
    of = f"{options.dataset}, {len(pairs)} images, {options.values} values"
    return f"{format_table(scores)}\n\n{', '.join(said)} ({of})"


def main(words: list[str] | None = None) -> None:
    """Runs the command line; `words` stands in for `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for files that cannot be scored, 2 for wrong options.
    """
    options = _arguments(words)
    with one_line_errors():
        print(_run(options))


if __name__ == "__main__":
    main()
