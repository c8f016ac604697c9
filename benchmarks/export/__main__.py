"""Exported files beside the network that they are of.

python -m benchmarks.export errors
python -m benchmarks.export latency best.ckpt --size 473 473
"""

from __future__ import annotations

import torch

from benchmarks.export.errors import ENCODERS, SIZES, largest_errors
from benchmarks.export.latency import measure
from pspnet.errors import Parser, one_line_errors
from pspnet.files.paths import path_argument


def main(words: list[str] | None = None) -> None:
    """Run the command line; `words` default to `sys.argv[1:]`."""
    given = _parser().parse_args(words)
    with one_line_errors():
        if given.command == "errors":
            print_errors(given.encoder)
        else:
            torch.set_num_threads(given.threads)
            measure(given.path, size=tuple(given.size), rounds=given.rounds, threads=given.threads)


def print_errors(encoders: list[str]) -> None:
    """Print a row per encoder and way of upsampling, as Markdown."""
    print(f"largest error of a logit at {len(SIZES)} sizes, relative to the largest logit\n")
    header = False
    for encoder in encoders:
        for align_corners in (True, False):
            errors = largest_errors(encoder, align_corners=align_corners)
            if not header:
                print(f"| encoder | align_corners | {' | '.join(errors)} |")
                print(f"|---|---|{'--:|' * len(errors)}")
                header = True
            row = " | ".join(f"{error:.1e}" for error in errors.values())
            print(f"| {encoder} | {str(align_corners).lower()} | {row} |", flush=True)


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.export", description="Exported files, measured.")
    commands = parser.add_subparsers(dest="command", required=True)
    errors = commands.add_parser("errors", help="largest error of a logit per runtime")
    errors.add_argument("--encoder", nargs="+", default=[*ENCODERS])
    latency = commands.add_parser("latency", help="milliseconds and megabytes per form")
    latency.add_argument("path", type=path_argument, help="a checkpoint")
    latency.add_argument("--size", nargs=2, type=int, default=[473, 473], metavar=("H", "W"))
    latency.add_argument("--rounds", type=int, default=10)
    latency.add_argument("--threads", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
