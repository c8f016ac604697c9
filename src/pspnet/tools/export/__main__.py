"""Export a checkpoint as one file that takes images of any size.

python -m pspnet export best.ckpt network.onnx
python -m pspnet export best.ckpt network.pt2 --precision float16
python -m pspnet export best.ckpt --page site
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from pspnet.errors import Parser, UserError, note, one_line_errors
from pspnet.files.paths import path_argument
from pspnet.files.writing import check_new

if TYPE_CHECKING:
    from pspnet.tools.export.int8 import Calibration

SUFFIXES = (".onnx", ".pt2")
PRECISIONS = ("float32", "float16", "int8")
OPSETS = (18, 19, 20, 21)  # torch writes none below; OpenVINO and TensorRT know all of 18
PACKAGES = ("onnx", "onnxruntime", "onnxscript")
SMALLEST, LARGEST = 32, 16_384  # pixels of a side


def main(words: list[str] | None = None) -> None:
    """Run the command line; `words` default to `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for what is refused, 2 for wrong options.
    """
    given = _parser().parse_args(words)
    with one_line_errors():
        if given.page is not None:
            _write_page(given)
            return
        if given.out is None:
            raise UserError("name the file to write, *.onnx or *.pt2, or --page FOLDER")
        check_new(given.out)
        _check_form(given.out, given.precision, given.opset)
        size = _size(given.size)

        from pspnet.prediction.loading import load
        from pspnet.tools.export.write import SINGLE_PASS, export

        trained = load(given.path, trust=given.trust)
        trained.require_rgb("an exported file")
        said = export(
            trained,
            given.out,
            precision=given.precision,
            size=size,
            opset=given.opset,
            license=given.license,
            calibration=_calibration(given) if given.precision == "int8" else None,
        )
    takes = "any height and width" if size is None else "×".join(map(str, size))
    print(f"{given.out} written, {given.out.stat().st_size / 1e6:.1f} MB: uint8 RGB of {takes}")
    print(f"beside the network on {said}")
    if (own := trained.task.protocol.name) != SINGLE_PASS:
        note(f"the file computes one pass, {SINGLE_PASS}; the checkpoint's protocol is {own}")


def _write_page(given: argparse.Namespace) -> None:
    from pspnet.tools.export.page.runtime import check_folder, check_runtime

    if given.out is not None or given.size or given.precision != "float32" or given.opset:
        raise UserError("--page FOLDER writes a page of its own form; leave file and options out")
    check_folder(given.page)
    _check_packages("--page")
    check_runtime(given.onnxruntime_web)

    from pspnet.prediction.loading import load
    from pspnet.tools.demo.bins import read_bins
    from pspnet.tools.export.page.write import write_page

    trained = load(given.path, trust=given.trust)
    trained.require_rgb("a page")
    bins = read_bins(trained, root=given.root, trust=given.trust)
    said = write_page(
        trained, given.page, bins, runtime=given.onnxruntime_web, license=given.license
    )
    print(f"{given.page} written; beside the network on {said}")
    print(f"to see it: python -m http.server --bind 127.0.0.1 --directory {given.page}")


def _check_packages(what: str) -> None:
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(f"{what} needs {', '.join(missing)}: pip install {' '.join(missing)}")


def _check_form(out: Path, precision: str, opset: int | None) -> None:
    """Refuse what no file of this suffix can be, before torch is imported."""
    if out.suffix not in SUFFIXES:
        raise UserError(f"{out}: unknown suffix {out.suffix!r}; give {' or '.join(SUFFIXES)}")
    if out.suffix == ".pt2" and (precision == "int8" or opset is not None):
        wrong = "--precision int8" if precision == "int8" else f"--opset {opset}"
        raise UserError(f"{wrong} is for ONNX only, not {out}; give a file *.onnx")
    if opset is not None and opset not in OPSETS:
        raise UserError(f"--opset {opset}: give one of {', '.join(map(str, OPSETS))}")
    if out.suffix == ".onnx":
        _check_packages(str(out))


def _calibration(given: argparse.Namespace) -> Calibration:
    from pspnet.tools.export.int8 import calibration_of_folder, calibration_of_run

    if given.images is not None:
        return calibration_of_folder(given.images)
    return calibration_of_run(given.path, root=given.root, trust=given.trust)


def _size(given: list[int] | None) -> tuple[int, int] | None:
    if given is None:
        return None
    height, width = given
    if not all(SMALLEST <= side <= LARGEST for side in given):
        raise UserError(f"--size {height} {width}: give {SMALLEST} to {LARGEST} pixels a side")
    return height, width


def _parser() -> Parser:
    parser = Parser(prog="pspnet export", description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("path", type=path_argument, help="a checkpoint, ours or a published one")
    add("out", type=path_argument, nargs="?", help="the file to write, *.onnx or *.pt2")
    add("--page", type=path_argument, metavar="FOLDER", help="write a page for the browser instead")
    add("--onnxruntime_web", type=path_argument, metavar="FOLDER", help="page: its npm package")
    add("--precision", choices=PRECISIONS, default="float32", help="of the network; float32")
    add("--size", nargs=2, type=int, metavar=("H", "W"), help="take images of this size alone")
    add("--opset", type=int, metavar="N", help="version of ONNX's operators; default 18")
    add("--license", help="of the weights, stored in the file")
    add("--images", type=path_argument, help="int8: a folder of images to calibrate on")
    add("--root", type=path_argument, help="int8, page: folder of the data set, if it moved")
    add("--trust", action="store_true", help="import the classes that the checkpoint names")
    return parser


if __name__ == "__main__":
    main()
