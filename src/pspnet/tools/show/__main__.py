"""Draw the first training crops with their masks, as the network will get them.

python -m pspnet show -c base -c voc_pspnet --data.source.root=data/voc
python -m pspnet show data/my_folder
"""

from __future__ import annotations

import argparse
import os
import sys
import webbrowser
from pathlib import Path

from pspnet.command_line.parsing.words import data_words
from pspnet.errors import Parser, one_line_errors
from pspnet.files.paths import path_argument

MOST = 64  # crops in a picture


def main(words: list[str] | None = None) -> None:
    """Run the command line; `words` stand in for `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line if the data cannot be read, 2 for wrong options.
    """
    given = sys.argv[1:] if words is None else words
    options, root, others = data_words(_parser(), given)
    from pspnet.command_line.data_alone import load
    from pspnet.tools.show.crops import first_crops
    from pspnet.tools.show.sheet import draw_crops

    with one_line_errors():
        data, name = load(root, others)
        out = options.out or Path("logs", "show", f"{name}.png")
        crops, images = first_crops(data, options.crops)
        height, width = data.crop_size
        title = f"{name}: crops of {height}×{width} from {images} training images"
        draw_crops(crops, out, classes=data.classes, title=title)
    print(f"{len(crops)} training crops: {out}")
    if _has_display():
        webbrowser.open(out.absolute().as_uri())


def _has_display() -> bool:
    """Return whether somebody sits at a terminal of a machine with windows."""
    windows = sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & os.environ.keys()
    return sys.stdout.isatty() and bool(windows)


def _parser() -> Parser:
    parser = Parser(
        prog="pspnet show",
        usage="pspnet show ROOT | -c EXPERIMENT… [--data.…] [--crops N] [--out FILE]",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument("--crops", type=_count, default=12, help="number of crops; default 12")
    parser.add_argument(
        "--out", type=path_argument, help="a .png, .pdf or .svg; default logs/show/NAME.png"
    )
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text}: give a number of crops, 1 to {MOST}")
    return int(text)


if __name__ == "__main__":
    main()
