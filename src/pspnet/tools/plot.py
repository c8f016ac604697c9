"""Draw the figures of a run again from its files, at the size and in the format of a paper.

python -m pspnet plot logs/scenes_pspnet/version_0 --format=pdf --width=3.5 --latex
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pspnet.errors import Parser, UserError, note, one_line_errors
from pspnet.files.latex import booktabs, escaped
from pspnet.files.paths import path_argument, run_name

NAMES = ("curves", "confusion", "iou_per_class")
LEAST, MOST = 2.0, 40.0  # inches
LONGEST = 38  # classes below each other in the table

Write = Callable[[Path], None]


def main(words: list[str] | None = None) -> None:
    """Run the command line; `words` stand in for `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for a UserError, 2 for wrong options.
    """
    options = _parser().parse_args(words)
    with one_line_errors():
        only = tuple(options.only) or NAMES
        drawings, missing = _drawings(options.run, only=only, width=options.width)
        files = {f"{name}.{options.format}": draw for name, draw in drawings.items()}
        if options.latex:
            files["iou_per_class.tex"] = _latex(options.run)
        for reason in missing.values():
            if options.only or not files:
                raise UserError(reason)
            note(reason)
        write(files, options.output or options.run / "plots", overwrite=options.overwrite)


def write(files: dict[str, Write], folder: Path, *, overwrite: bool) -> None:
    """Write the files and print their paths.

    Raises:
        UserError: if one of them exists, unless `overwrite` is set; then none is written.
    """
    there = [folder / name for name in files if (folder / name).exists()]
    if there and not overwrite:
        raise UserError(f"{there[0]} exists; give another --output, or --overwrite")
    for name, draw in files.items():
        draw(folder / name)
        print(folder / name)


def _drawings(
    run: Path, *, only: Sequence[str], width: float | None
) -> tuple[dict[str, Write], dict[str, str]]:
    """Return what draws each figure, and the reason of those that have no data."""
    from pspnet.callbacks.figures.confusion_matrix import TITLE, draw_confusion_matrix
    from pspnet.callbacks.figures.curves import draw_curves
    from pspnet.callbacks.figures.iou_bars import draw_iou_bars
    from pspnet.callbacks.results_file import read_colors, read_matrix, read_members

    def confusion() -> Write:
        results = _results(run)
        matrix = read_matrix(results, path=run / "results.json")
        title = "" if width else f"{run_name(run)} on {results.get('split', '?')}: {TITLE}"
        return lambda out: draw_confusion_matrix(
            matrix, [*results["iou"]], out, title=title, width=width
        )

    def bars() -> Write:
        results = _results(run)
        title = "" if width else f"{run_name(run)}: IoU on {results.get('split', '?')}"
        look: dict[str, Any] = {"colors": read_colors(results), "groups": read_members(results)}
        return lambda out: draw_iou_bars(results["iou"], out, title=title, width=width, **look)

    def curves() -> Write:
        log = _log(run)
        title = "" if width else run_name(run)
        return lambda out: draw_curves(log, out, title=title, width=width)

    if not run.is_dir():
        raise UserError(f"{run}: no such folder; give that of a training or an evaluation")
    if not any((run / name).is_file() for name in ("metrics.csv", "results.json")):
        raise UserError(
            f"{run} has neither metrics.csv nor results.json; give the folder of a training or an"
            " evaluation"
        )
    drawings, missing = {}, {}
    for name, prepare in (("curves", curves), ("confusion", confusion), ("iou_per_class", bars)):
        if name in only:
            try:
                drawings[name] = prepare()
            except UserError as error:
                missing[name] = f"no {name}: {error}"
    return drawings, missing


def _results(run: Path) -> dict[str, Any]:
    from pspnet.callbacks.results_file import read_results

    return read_results(_present(run / "results.json", "it is written by an evaluation"))


def _log(run: Path) -> Path:
    from pspnet.callbacks.figures.curves import read

    log = _present(run / "metrics.csv", "it is written by a training")
    if not any(name.startswith(("train/", "lr-")) for name in read(log)):
        raise UserError(f"{log} holds no step of a training")
    return log


def _present(path: Path, remedy: str) -> Path:
    if not path.is_file():
        raise UserError(f"{path.parent} has no {path.name}; {remedy}")
    return path


def _latex(run: Path) -> Write:
    from pspnet.files.writing import make_folder, write_atomic

    text = latex_table(_results(run), title=run_name(run))

    def written(out: Path) -> None:
        make_folder(out.parent)
        write_atomic(out, text.encode())

    return written


def latex_table(results: dict[str, Any], *, title: str) -> str:
    """Return IoU per class and mIoU in per cent as LaTeX, side by side where there are many."""
    cells = [(escaped(name), _percent(iou)) for name, iou in results["iou"].items()]
    blocks = -(-len(cells) // LONGEST)
    rows = -(-len(cells) // blocks)
    padded = [*cells, *[("", "")] * (blocks * rows - len(cells))]
    body = [
        [cell for block in range(blocks) for cell in padded[block * rows + row]]
        for row in range(rows)
    ]
    mean = ["mIoU", _percent(results.get("miou")), *[""] * (2 * blocks - 2)]
    said = f"{title} on {results.get('split', '?')}, protocol {results.get('protocol', '?')}"
    return booktabs("lr" * blocks, ["Class", r"IoU, \%"] * blocks, body, [mean], comment=said)


def _percent(share: float | None) -> str:
    return "--" if share is None else f"{100 * share:.2f}"


def _parser() -> Parser:
    parser = Parser(prog="pspnet plot", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("run", type=path_argument, metavar="RUN", help="the folder of a training or an evaluation")
    add("--format", choices=("png", "pdf", "svg"), default="png", help="default: %(default)s")
    add(
        "--width",
        type=_inches,
        metavar="INCHES",
        help="3.5 for a column of a paper: texts of 7 and 8 points, no title",
    )
    add("--only", nargs="+", default=(), choices=NAMES, help="these figures; default: all")
    add("--latex", action="store_true", help="also write the IoU of all classes as a LaTeX table")
    add("--output", type=path_argument, metavar="FOLDER", help="default: plots in RUN")
    add("--overwrite", action="store_true", help="replace files that exist")
    return parser


def _inches(word: str) -> float:
    if not LEAST <= float(word) <= MOST:
        raise argparse.ArgumentTypeError(f"{word}: give {LEAST:g} to {MOST:g} inches")
    return float(word)


if __name__ == "__main__":
    main()
