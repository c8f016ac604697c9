"""Convert a published checkpoint to one of this package, for validate, test and predict.

python -m pspnet convert pspnet_r50-d8_512x512_40k_voc12aug.pth voc.ckpt
python -m pspnet validate --ckpt_path=voc.ckpt --data.source.root=path/to/VOCdevkit
"""

from __future__ import annotations

import argparse
import io
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pspnet.data.datasets.base import Source
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.known import KNOWN
from pspnet.errors import Parser, UserError, one_line_errors
from pspnet.files.paths import path_argument
from pspnet.files.text import pspnet_command
from pspnet.files.writing import check_new, write_atomic
from pspnet.inference.protocols import LARGEST
from pspnet.tools.convert_classes import file_classes, infer_dataset, origin, own_classes

if TYPE_CHECKING:
    from pspnet.models.published.load import PublishedNetwork


def convert(
    path: Path,
    out: Path,
    *,
    num_classes: int | None = None,
    dataset: str | None = None,
    classes: str | None = None,
    bins: tuple[int, ...] | None = None,
    align_corners: bool | None = None,
) -> str:
    """Write a published checkpoint as one of this package, and return a description of it.

    Args:
        path: a file that `load_published` takes.
        out: the checkpoint to write; must not exist.
        num_classes, bins, align_corners: as in `load_published`.
        dataset: one of `KNOWN`; None is the one that fits the file's classes. If none does, names
            and colors are the file's.
        classes: of a data set of one's own: a `classes.yaml`, or their number, with the names and
            colors that the file has, or "class 0" and so on.

    Raises:
        UserError: if `path` is missing, `out` exists, or the file does not fit the data set.
    """
    check_new(out)

    import torch

    from pspnet.models.published.load import from_weights
    from pspnet.models.published.weights_file import read_weights

    weights = read_weights(path)
    published = from_weights(weights, num_classes, bins=bins, align_corners=align_corners)
    if published.format == "pspnet" and dataset is not None:
        raise UserError(f"dataset={dataset}: {path} says its data set; leave dataset out")
    if classes is not None and (published.format == "pspnet" or dataset is not None):
        raise UserError(f"classes={classes}: the classes are known already; leave classes out")
    if published.format == "pspnet":
        checkpoint, names = _from_run(published, path), "as in its run"
    elif classes is not None:
        if classes.isdecimal() and int(classes) != published.network.num_classes:
            count = published.network.num_classes
            raise UserError(f"classes={classes}: {path} has {count}; give --classes={count}")
        table = own_classes(published, classes)
        checkpoint, names = _from_published(published, path, table, run=out.stem), "of one's own"
    elif dataset is None and (dataset := infer_dataset(published, path)) is None:
        table = file_classes(published, path)
        checkpoint, names = (
            _from_published(published, path, table, run=out.stem),
            origin(published),
        )
    else:
        source: Source = KNOWN[dataset]()
        checkpoint = _from_published(published, path, source.classes, run=out.stem, source=source)
        names = f"as {dataset}'s"
    content = io.BytesIO()
    torch.save(checkpoint, content)
    write_atomic(out, content.getvalue())
    said = describe(published, classes=names)
    if published.format in ("semseg", "mmsegmentation") and "optimizer" in weights.metadata:
        said += f"\ntraining: not converted; fit --continue_from={path} continues it at its step"
    return said


def describe(published: PublishedNetwork, *, classes: str) -> str:
    """Describe a published network in a few lines."""
    options: dict[str, Any] = published.network.options
    auxiliary = f"{options['auxiliary_channels']} channels" if options["auxiliary"] else "none"
    dilation = ", ".join(
        f"{key}={list(value) if isinstance(value, tuple) else value}"
        for key, value in options["dilation"].items()
    )
    lines = {
        "format": published.format,
        "encoder": options["encoder"],
        "dilation": dilation,
        "bins": [*options["bins"]],
        "align_corners": options["align_corners"],
        "auxiliary head": auxiliary,
        "classes": f"{options['num_classes']}, {classes}",
        "input": f"RGB, mean {_digits(published.mean)}, std {_digits(published.std)}",
        "crop": "×".join(str(side) for side in published.crop_size),
    }
    if published.tested_by is not None:
        lines["tested by"] = str(published.tested_by)
        if published.tested_by.crop_size is not None and not _inference(published):
            lines["tested by"] += " (not in the checkpoint: no protocol has such windows)"
    return "\n".join(f"{name}: {value}" for name, value in lines.items())


def _from_run(published: PublishedNetwork, path: Path) -> dict[str, Any]:
    from pspnet.checkpoints.reading import PARTS, checked
    from pspnet.models.options import structure
    from pspnet.models.published.weights_file import read_weights

    weights = read_weights(path)  # of a folder as the Hub holds it, too
    content = {**weights.metadata, "state_dict": dict(weights.state)}
    saved = checked(content, path=weights.path, parts=tuple(PARTS))
    return {
        **_weights(published),
        "hyper_parameters": {**saved["hyper_parameters"], "network": published.network.options},
        "structure": structure(published.network, without="encoder"),
        "config": saved["config"],
    }


def _from_published(
    published: PublishedNetwork,
    path: Path,
    classes: Classes,
    *,
    run: str,
    source: Source | None = None,
) -> dict[str, Any]:
    from pspnet.inference.protocols import ProtocolOverrides
    from pspnet.task import Segmentation

    options = published.network.options
    inference = _inference(published)
    names, count = published.class_names, options["num_classes"]
    for part, found in (("classifier", count), ("CLASSES", len(names) if names else count)):
        if found != len(classes):
            theirs = "--classes" if source is None else type(source).__name__.lower()
            raise UserError(
                f"{path}: its {part} has {found} classes, and {theirs} has {len(classes)};"
                f" give the --dataset of its classes, or --classes={found}"
            )
    checkpoint = _weights(published)
    Segmentation(
        published.network,
        classes,
        crop_size=published.crop_size,
        base_size=None if source is None else source.base_size,
        inference=ProtocolOverrides(**inference),
    ).on_save_checkpoint(checkpoint)
    named = {} if source is None else {"source": {"class_path": type(source).__name__}}
    checkpoint["config"] = {
        "name": run,
        "data": {
            **named,
            "crop_size": list(published.crop_size),
            "mean": list(published.mean),
            "std": list(published.std),
        },
        "model": {"network": {key: options[key] for key in options if key != "num_classes"}},
    }
    if inference:
        crop = list(inference["crop_size"])
        checkpoint["config"]["model"]["inference"] = {**inference, "crop_size": crop}
    return checkpoint


def _inference(published: PublishedNetwork) -> dict[str, Any]:
    """Return the overrides of a protocol that slide the windows of the file's own test.

    They are none if it takes images whole, or if no protocol has such windows: of different strides
    down and across, with gaps, or too large.
    """
    windows = published.tested_by
    if windows is None or windows.crop_size is None or windows.stride is None:
        return {}
    if max(windows.crop_size) > LARGEST:
        return {}
    pairs = list(zip(windows.crop_size, windows.stride, strict=True))
    own = {"crop_size": windows.crop_size}
    if all(ceil(2 / 3 * side) == step for side, step in pairs):  # the protocols' own stride
        return own
    down, across = windows.stride
    fits = down == across <= min(windows.crop_size)
    return {**own, "stride": down} if fits else {}


def _weights(published: PublishedNetwork) -> dict[str, Any]:
    """Return the entries that Lightning needs to evaluate a checkpoint."""
    import lightning

    state = published.network.state_dict()
    return {
        "pytorch-lightning_version": lightning.__version__,
        "epoch": 0,
        "global_step": 0,
        "state_dict": {f"network.{key}": value.contiguous() for key, value in state.items()},
    }


def _digits(values: tuple[float, ...]) -> str:
    return " ".join(f"{value:.6g}" for value in values)


def _bins(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(side) for side in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: give bins as 1,2,3,6") from None


def _parser() -> Parser:
    parser = Parser(prog="pspnet convert", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("path", type=path_argument, help="the published checkpoint")
    parser.add_argument("out", type=path_argument, help="the checkpoint to write")
    parser.add_argument("--num_classes", type=int, help="refuse a file with another number")
    parser.add_argument(
        "--dataset", choices=sorted(KNOWN), help="the data set of its classes, if names differ"
    )
    parser.add_argument("--classes", help="of one's own: a classes.yaml, or their number")
    parser.add_argument("--bins", type=_bins, help="1,2,3,6 unless the file says")
    parser.add_argument("--align_corners", choices=("true", "false"), help="as published")
    return parser


def main(words: list[str] | None = None) -> None:
    """Run the command line; `words` default to `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for a file that is refused, 2 for wrong options.
    """
    options = _parser().parse_args(words)
    corners = None if options.align_corners is None else options.align_corners == "true"
    with one_line_errors():
        said = convert(
            options.path,
            options.out,
            num_classes=options.num_classes,
            dataset=options.dataset,
            classes=options.classes,
            bins=options.bins,
            align_corners=corners,
        )
    print(f"{said}\n{options.out} written; for example, or on your own data:")
    print(f"  {pspnet_command('validate', f'--ckpt_path={options.out}')}")
    print(f"  {pspnet_command('fit', f'--init_from={options.out}')}")


if __name__ == "__main__":
    main()
