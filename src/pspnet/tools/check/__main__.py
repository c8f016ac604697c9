"""Check all files of a data set before a training: faults, duplicates, suspicions, proposals.

python -m pspnet check data/my_folder
python -m pspnet check -c base -c voc_pspnet --data.source.root=data/voc
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pspnet.command_line.parsing.words import data_words
from pspnet.errors import Parser, one_line_errors
from pspnet.files.paths import path_argument


def main(words: list[str] | None = None) -> None:
    """Run the command line; `words` stand in for `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 if anything is an error, 2 for wrong options.
    """
    given = sys.argv[1:] if words is None else words
    options, root, others = data_words(_parser(), given)
    from pspnet.command_line.data_alone import load
    from pspnet.tools.check.report import check
    from pspnet.tools.check.table import print_report
    from pspnet.tools.check.write import write_report

    with one_line_errors():
        data, name = load(root, others)
        folder = options.out or Path("logs", "check", name)
        workers = data.workers if options.workers is None else options.workers
        report = check(data, workers=workers, bar=sys.stderr.isatty())
        print_report(report)
        print(f"report: {write_report(report, folder)}")
    if report.failed:
        raise SystemExit(1)


def _parser() -> Parser:
    parser = Parser(
        prog="pspnet check",
        usage="pspnet check ROOT | -c EXPERIMENT… [--data.…] [--out FOLDER] [--workers N]",
        description=(__doc__ or "").partition("\n")[0],
    )
    parser.add_argument("--out", type=path_argument, help="folder of the report, logs/check/NAME")
    parser.add_argument("--workers", type=_count, help="loading processes; default data.workers")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or len(text) > 3:
        raise argparse.ArgumentTypeError(f"{text}: give a number of processes, 0 or more")
    return int(text)


if __name__ == "__main__":
    main()
