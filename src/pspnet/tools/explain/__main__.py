"""Explains a network by measuring its parts: a report with pictures.

python -m pspnet.tools.explain logs/scenes_pspnet/version_0/checkpoints/best.ckpt [IMAGE]
python -m pspnet.tools.explain configs/experiment/voc_pspnet.yaml
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from pspnet.errors import Parser, one_line_errors
from pspnet.tools.explain.report import write_report
from pspnet.tools.explain.subject import load_subject


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give a number of images, 1 or more")
    return int(text)


def _device(text: str) -> torch.device:
    try:
        torch.zeros(1, device=text)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0]
        raise argparse.ArgumentTypeError(f"{text}: {reason}; give cpu or cuda") from error
    return torch.device(text)


def _parser() -> Parser:
    about = (__doc__ or "").partition("\n")[0]
    parser = Parser(
        prog="python -m pspnet.tools.explain",
        description=about,
    )
    parser.add_argument(
        "path", type=Path, help="a run's checkpoint, or its or an experiment's YAML"
    )
    parser.add_argument("image", type=Path, nargs="?", help="a picture to show the maps of")
    parser.add_argument("--root", type=Path, help="where the data set is, if not where it was")
    parser.add_argument("--limit", type=_count, help="validation images to evaluate; all")
    parser.add_argument("--device", type=_device, help="a GPU where there is one")
    parser.add_argument("--overwrite", action="store_true", help="replace a report that exists")
    return parser


def main(args: list[str] | None = None) -> None:
    """Runs the command line; `args` stands in for `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for a file that is refused, 2 for wrong options.
    """
    given = _parser().parse_args(args)
    device = given.device or torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with one_line_errors():
        subject = load_subject(given.path, root=given.root)
        subject = replace(subject, network=subject.network.to(device).eval())
        report = write_report(
            subject, image=given.image, limit=given.limit, overwrite=given.overwrite
        )
    print(f"{report} and its pictures written")


if __name__ == "__main__":
    main()
