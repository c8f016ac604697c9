"""The tools' commands with arguments to fuzz, each up to where it would begin to compute."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

from fuzz.folders import picture
from fuzz.outcomes import Started
from fuzz.parsers import Option, tool_options

import benchmarks.__main__ as bench
from pspnet.data.image_io import read_image
from pspnet.tools import convert, plot, score
from pspnet.tools.ablation import __main__ as ablation
from pspnet.tools.ablation.run_trials import _check_address
from pspnet.tools.explain import __main__ as explain
from pspnet.tools.export import __main__ as export
from pspnet.tools.show import __main__ as show

SWEEP = """
method: grid
parameters: {seed_everything: {values: [0]}, model.absent: {value: zero}}
command: ["${env}", python, -m, pspnet, fit, --config=tiny.yaml, "${args}",
  "--logs=logs/ablation/sweep/${envvar:DATA}"]
"""


@dataclass(frozen=True)
class Tool:
    """A tool with the words of a command that it accepts.

    Args:
        name: for the table.
        start: its `main`.
        words: by the names of its arguments, those without hyphens first.
        action: a subcommand, before all words.
        flags: after all words, such as --overwrite.
    """

    name: str
    start: Callable[[list[str]], None]
    words: dict[str, str]
    action: str = ""
    flags: tuple[str, ...] = ()

    def options(self) -> list[Option]:
        """Return its arguments, those among its words that its parser does not see included."""
        own = [_option(action) for action in tool_options(self.start, self.action)]
        unseen = set(self.words) - {option.name for option in own}
        return [*own, *(Option(name, None) for name in sorted(unseen))]

    def run(self, option: Option, value: str) -> None:
        """Run it with another value of an argument."""
        words = [*([self.action] if self.action else [])]
        for name, word in {**self.words, option.name: value}.items():
            hyphens = name.startswith("--")
            words += [f"{name}={word}"] if hyphens else [word]
        self.start([*words, *self.flags])


def _option(action: argparse.Action) -> Option:
    name = action.option_strings[-1] if action.option_strings else action.dest
    return Option(name, action.type, choices=tuple(str(c) for c in action.choices or ()))


TOOLS = (
    Tool("convert", convert.main, {"path": "junk.bin", "out": "new.ckpt"}),
    Tool("score", score.main, {"predictions": "p", "target": "t", "--dataset": "voc"}),
    *(
        Tool(f"ablation {action}", ablation.main, {"sweep": "sweep.yaml", "--data": "d"}, action)
        for action in ("list", "run", "report")
    ),
    Tool("export", export.main, {"path": "junk.bin", "out": "new.onnx"}),
    Tool("explain", explain.main, {"path": "tiny.yaml"}),
    Tool("plot", plot.main, {"run": "run", "--only": "curves"}, flags=("--overwrite",)),
    Tool("show", show.main, {"root": "data", "--crops": "1"}),
    Tool("benchmarks", bench.main, {"--rounds": "1"}),
)


def write_inputs(top: Path) -> None:
    """Write predictions, their ground truth, a sweep and a run's log."""
    for folder in ("p", "t"):
        picture(top / folder / "a.png", label=True)
    (top / "sweep.yaml").write_text(SWEEP)
    (top / "run").mkdir()
    (top / "run" / "metrics.csv").write_text("step,train/loss\n0,2\n9,1\n")


@contextmanager
def stopped_before_computing() -> Iterator[None]:
    """Let a tool check all it needs, and compute nothing."""
    with ExitStack() as patches:
        for place in (
            "pspnet.tools.ablation.__main__.report",
            "benchmarks.__main__.describe",
            "benchmarks.__main__.matmul_rate",
            "benchmarks.__main__.compare",
        ):
            patches.enter_context(patch(place, _start))
        run = "pspnet.tools.ablation.__main__.run_trials"
        patches.enter_context(patch(run, _connect))
        patches.enter_context(patch("socket.create_connection", side_effect=OSError("nobody")))
        report = "pspnet.tools.explain.report.write.write_report"
        patches.enter_context(patch(report, _read))
        yield


def _read(*_: object, image: Path | None, **__: object) -> NoReturn:
    if image is not None:
        read_image(image)
    raise Started


def _connect(*_: object, address: str | None, **__: object) -> NoReturn:
    if address is not None:
        _check_address(address)
    raise Started


def _start(*_: object, **__: object) -> NoReturn:
    raise Started
