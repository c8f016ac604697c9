"""Score predictions on disk, of any tool, by the rules of the benchmark's own scorer.

    python -m pspnet score PREDICTIONS TARGET --dataset voc | cityscapes | ade20k | camvid
    python -m pspnet score PREDICTIONS TARGET --dataset cityscapes --instances
    python -m pspnet score PREDICTIONS TARGET --classes classes.yaml [--weights WEIGHTS]
    python -m pspnet score --merge RESULTS [RESULTS ...]

Both are folders, read with their subfolders. A benchmark's files are PNGs with one channel, and a
prediction belongs to the ground truth of the same name, in Cityscapes of the same
`CITY_SEQUENCE_FRAME`. With classes of one's own both are read as the masks of the source `Folder`,
and a prediction belongs to the ground truth at the same path below its folder.

`--merge` reads no predictions: it adds the results.json of the shards of an evaluation
of a split with labels (`validate` or `test` with `--data.shard`) to that of all images.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.files import find_files, note_unread
from pspnet.data.label_io import read_label
from pspnet.data.weights import read_weights, weight_file
from pspnet.errors import Parser, UserError, note, one_line_errors
from pspnet.evaluation.official import (
    OFFICIAL_SCORERS,
    OfficialScorer,
    OwnClasses,
    OwnScorer,
    Values,
)
from pspnet.files.paths import path_argument
from pspnet.files.writing import check_new, write_atomic

if TYPE_CHECKING:
    from torch import Tensor

    from pspnet.evaluation.summary import Summary


def pair_files(
    predictions: Path, target: Path, *, scorer: OfficialScorer, listing: Path | None = None
) -> list[tuple[Path, Path]]:
    """Return each prediction with its ground truth, sorted by name.

    Args:
        predictions: the folder of predictions.
        target: the folder of ground truth.
        scorer: its rules for file names.
        listing: a list of names, with or without an image's suffix; only their files are taken.

    Raises:
        UserError: if a folder or the list is missing or empty, a file has no partner, or two share
            a name.
    """
    names = None if listing is None else _listed(listing, scorer)
    targets = _find(target, scorer, endings=scorer.target_suffixes, names=names)
    found = _find(predictions, scorer, endings=scorer.prediction_suffixes, names=names)
    unknown = sorted(set(names or ()) - targets.keys())
    if unknown:
        raise UserError(
            f"{listing} names {unknown[0]!r}, which has no ground truth in {target}; write names"
            " of its files, one per line"
        )
    missing, extra = sorted(targets.keys() - found), sorted(found.keys() - targets)
    if missing:
        raise UserError(
            f"{len(missing)} of {len(targets)} images have no prediction in {predictions}, first"
            f" {missing[0]!r}; add them, or name a subset with --list"
        )
    if extra:
        raise UserError(
            f"{len(extra)} predictions have no ground truth in {target}, first {found[extra[0]]};"
            " remove them, or name a subset with --list"
        )
    return [(found[name], targets[name]) for name in sorted(targets)]


def count_pixels(
    pairs: Iterable[tuple[Path, Path]],
    *,
    scorer: OfficialScorer,
    values: Values = "stored",
    weight_file: Callable[[Path], Path] | None = None,
) -> Tensor:
    """Return the confusion matrix of files, (C, C+1), int64 or with weights float64.

    Args:
        pairs: predictions and their ground truth.
        scorer: its rules for label values.
        values: the values in predictions: "stored" for the data set's own, as its server accepts
            them, or "train" for ids of 0 to C-1, as `predict` writes them.
        weight_file: returns the file of what each pixel of a ground truth counts; None counts each
            as 1.

    Raises:
        UserError: if a file is of no accepted format, holds a value that is refused, or differs in
            size from its partner.
    """
    import torch

    from pspnet.evaluation.confusion_matrix import confusion_matrix

    classes = len(scorer.source.classes)
    target_code, predicted_code = scorer.target_code(), scorer.predicted_code(values)
    matrix = torch.zeros(classes, classes + 1, dtype=torch.int64)
    for prediction, target in pairs:
        preds, labels = read_label(prediction, predicted_code), read_label(target, target_code)
        if preds.shape != labels.shape:
            (rows, columns), (height, width) = preds.shape, labels.shape
            raise UserError(
                f"{prediction} is {columns}×{rows} pixels, its ground truth {target}"
                f" {width}×{height}; predict at the image's own size"
            )
        ids = torch.from_numpy(preds), torch.from_numpy(labels)
        weight = None
        if weight_file is not None:
            weight = torch.from_numpy(read_weights(weight_file(target), labels.shape))
        matrix = matrix + confusion_matrix(
            *ids, num_classes=classes, ignore_index=IGNORE, no_class=IGNORE, weight=weight
        )
    return matrix


def _listed(listing: Path, scorer: OfficialScorer) -> list[str]:
    if listing.is_dir():
        raise UserError(f"{listing} is a folder; give a text file with one name per line")
    names = scorer.read_names(listing)
    name, times = Counter(names).most_common(1)[0]
    if times > 1:
        raise UserError(f"{listing} names {name!r} {times} times; keep one of them")
    return names


def _find(
    folder: Path,
    scorer: OfficialScorer,
    *,
    endings: tuple[str, ...],
    names: Collection[str] | None,
) -> dict[str, Path]:
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; give a folder of label files")
    found: dict[str, Path] = {}
    if isinstance(scorer, OwnScorer):  # benchmarks have files of other kinds beside these
        note_unread(str(folder), find_files(folder, ""), endings)
    for path in find_files(folder, tuple(ending.lower() for ending in endings)):
        name = scorer.name(path.relative_to(folder))
        if names is not None and name not in names:
            continue
        if name is None:
            raise UserError(f"{path}: no CITY_SEQUENCE_FRAME begins this name; rename it")
        if name in found:
            raise UserError(f"{found[name]} and {path} are both named {name!r}; keep one")
        found[name] = path
    if not found and names is None:  # with a list, the first name that is missing says more
        raise UserError(f"{folder} holds no file *{', *'.join(endings)}; give another folder")
    return found


def _parser() -> Parser:
    parser = Parser(prog="pspnet score", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("predictions", type=path_argument, nargs="?", help="folder of predictions")
    add("target", type=path_argument, nargs="?", help="folder of the data set's ground truth")
    kind = parser.add_mutually_exclusive_group(required=True)
    kind.add_argument("--dataset", choices=[*OFFICIAL_SCORERS])
    kind.add_argument("--classes", type=path_argument, help="classes.yaml of one's own data set")
    kind.add_argument(
        "--merge",
        type=path_argument,
        nargs="+",
        metavar="RESULTS",
        help="results.json of all shards of an evaluation, or their folders",
    )
    add(
        "--values",
        choices=["stored", "train"],
        default="stored",
        help="values in predictions: the data set's own (stored, the default), or train ids, as"
        " `predict` writes them to index/; 255 is no class where the rules accept it",
    )
    add("--list", type=path_argument, help="file with one name per line: only these are scored")
    add(
        "--weights",
        type=path_argument,
        help="folder of gray images: what each pixel counts; they are named as the ground truth, in"
        " Cityscapes CITY_SEQUENCE_FRAME.png",
    )
    add(
        "--instances",
        action="store_true",
        help="also Cityscapes' instance-level IoU (iIoU), from the *_gtFine_instanceIds.png beside"
        " the ground truth",
    )
    add("--absent", choices=["skip", "zero"], help="rule for absent classes; the benchmark's own")
    add("--json", type=path_argument, help="file to write all scores to")
    return parser


def _score(
    pairs: Sequence[tuple[Path, Path]], scorer: OfficialScorer, options: argparse.Namespace
) -> str:
    """Score pairs of files, write the JSON if it is asked for, and return the text to print."""
    from pspnet.evaluation.instance_iou import instance_iou, instance_table
    from pspnet.evaluation.summary import format_table, summary

    rules = options.dataset or str(options.classes)
    weights = None if options.weights is None else partial(_weight_file, options, scorer)
    matrix = count_pixels(pairs, scorer=scorer, values=options.values, weight_file=weights)
    classes = scorer.source.classes
    if options.values == "stored" and scorer.look_like_train_ids(matrix):
        span = f"0 to {len(classes) - 1}"
        note(f"predictions hold {span} only; are they train ids? use --values train")
    scores = summary(
        matrix,
        names=classes.names,
        groups=classes.groups,
        categories=classes.categories,
        absent=options.absent or scorer.absent,
    )
    ranking = scorer.ranking_scores(scores)
    tables, more = [format_table(scores)], {}
    if options.instances:
        more["instances"] = by_instance = instance_iou(pairs, values=options.values)
        ranking["class iIoU"] = by_instance["mean_of_classes"]
        ranking["category iIoU"] = by_instance["mean_of_categories"]
        tables.append(instance_table(by_instance))
    if options.json is not None:
        origin = {"dataset": rules, "values": options.values, "images": len(pairs)}
        if options.weights is not None:
            origin["weights"] = str(options.weights)
        results = json.dumps({**origin, "figures": ranking, **scores, **more}, indent=2)
        write_atomic(options.json, f"{results}\n".encode())
    said = [f"{key} {'–' if x is None else f'{100 * x:.2f} %'}" for key, x in ranking.items()]
    of = f"{rules}, {len(pairs)} images, {options.values} values"
    tables.append(f"{', '.join(said)} ({of})")
    return "\n\n".join(tables)


def _weight_file(options: argparse.Namespace, scorer: OfficialScorer, target: Path) -> Path:
    return weight_file(options.weights, str(scorer.name(target.relative_to(options.target))))


def _merged(options: argparse.Namespace) -> str:
    """Merge results of shards, write the JSON if it is asked for, and return the text to print."""
    from pspnet.callbacks.results_file import as_text
    from pspnet.evaluation.summary import format_table
    from pspnet.tools.merge_results import merge_results

    results = merge_results(options.merge)
    if options.json is not None:
        write_atomic(options.json, as_text(results).encode())
    miou = "–" if results["miou"] is None else f"{100 * results['miou']:.2f} %"
    of = f"{results['split']}, {len(options.merge)} shards, protocol {results['protocol']}"
    return f"{format_table(cast('Summary', results))}\n\nmIoU {miou} ({of})"


def main(words: list[str] | None = None) -> None:
    """Run the command line; `words` default to `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for files that cannot be scored, 2 for wrong options.
    """
    parser = _parser()
    options = parser.parse_args(words)
    if options.instances and (options.dataset != "cityscapes" or options.weights is not None):
        parser.error("--instances goes with --dataset cityscapes, and with no --weights")
    if (options.merge is None) == (options.target is None):
        parser.error("give PREDICTIONS and TARGET, or the results of shards to --merge")
    if options.merge is not None and (options.list or options.weights or options.absent):
        parser.error("--merge goes with --json alone; the shards hold all other options")
    with one_line_errors():
        if options.json is not None:
            check_new(options.json)
        if options.merge is not None:
            print(_merged(options))
            return
        if options.classes is None:
            scorer = OFFICIAL_SCORERS[options.dataset]
        else:
            scorer = OwnScorer(OwnClasses(options.classes))
        pairs = pair_files(options.predictions, options.target, scorer=scorer, listing=options.list)
        print(_score(pairs, scorer, options))


if __name__ == "__main__":
    main()
