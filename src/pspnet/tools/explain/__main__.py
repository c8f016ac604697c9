"""Explain a network by measuring its parts: a report with figures.

python -m pspnet explain logs/scenes_pspnet/version_0/checkpoints/best.ckpt [IMAGE]
python -m pspnet explain logs/scenes_pspnet/version_0/checkpoints/best.ckpt [IMAGE] --walk
python -m pspnet explain configs/experiment/voc_pspnet50.yaml
"""

from __future__ import annotations

import argparse
import re
from dataclasses import replace
from pathlib import Path

from pspnet.errors import Parser, UserError, one_line_errors
from pspnet.files.paths import is_file, path_argument
from pspnet.tools.explain.folder import PAGE, check_free, report_folder
from pspnet.tools.explain.progress import say


def main(words: list[str] | None = None) -> None:
    """Run the command line; `words` stand in for `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for a file that is refused, 2 for wrong options.
    """
    given = _parser().parse_intermixed_args(words)
    with one_line_errors():  # before torch, so that refusals come at once
        folder = report_folder(given.path)
        check_free(folder / PAGE if given.walk else folder, overwrite=given.overwrite)
    say(f"reading {given.path} …")
    import torch

    from pspnet.tools.explain.load import load
    from pspnet.tools.explain.report.write import write_report
    from pspnet.tools.explain.walk.write import write_walk

    device = given.device or ("cuda" if torch.cuda.is_available() else "cpu")
    with one_line_errors():
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise UserError(f"--device={device}: torch finds no GPU; give cpu")
        run = load(given.path, root=given.root, trust=given.trust)
        run = replace(run, network=run.network.to(device).eval())
        if given.walk:
            page = write_walk(run, image=given.image, overwrite=given.overwrite, say=say)
            print(f"{page} written")
            return
        report = write_report(
            run, image=given.image, limit=given.limit, overwrite=given.overwrite, say=say
        )
    print(f"{report} and its figures written")


def _parser() -> Parser:
    parser = Parser(prog="pspnet explain", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "path", type=_file, help="a run's checkpoint, or the YAML of a run or an experiment"
    )
    parser.add_argument("image", type=_file, nargs="?", help="an image to show")
    parser.add_argument(
        "--walk", action="store_true", help="write only walk.html: one image through the network"
    )
    parser.add_argument("--root", type=path_argument, help="folder of the data set, if it moved")
    parser.add_argument(
        "--trust", action="store_true", help="import the classes that the checkpoint names"
    )
    parser.add_argument("--limit", type=_count, help="validation images to evaluate; default all")
    parser.add_argument("--device", type=_device, help="default cuda where there is a GPU")
    parser.add_argument("--overwrite", action="store_true", help="replace an older report")
    return parser


def _file(text: str) -> Path:
    path = path_argument(text)
    if not is_file(path):
        raise argparse.ArgumentTypeError(f"{text}: no such file")
    return path


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 9 or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a number of images, 1 or more")
    return int(text)


def _device(text: str) -> str:
    if not re.fullmatch(r"cpu|mps|cuda(:\d+)?", text):
        raise argparse.ArgumentTypeError(f"{text}: no device; give cpu or cuda")
    return text


if __name__ == "__main__":
    main()
