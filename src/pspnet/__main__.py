"""The front door: `python -m pspnet COMMAND …`, or the console script `pspnet COMMAND …`."""

from __future__ import annotations

import sys
from importlib import import_module, metadata
from typing import NoReturn

from pspnet.command_line.output import safe_output
from pspnet.command_line.parsing.words import expand_config_names
from pspnet.errors import one_line_errors
from pspnet.files.spelling import nearest

TRAINER = {
    "fit": "train, then evaluate the best checkpoint on the validation split",
    "validate": "evaluate a checkpoint on the validation split",
    "test": "evaluate a checkpoint on the test split, or write a benchmark's submission",
    "predict": "predict on images with a checkpoint",
}
# name: (module with a `main(words)`, help)
TOOLS = {
    "convert": ("pspnet.tools.convert", "turn published weights into a checkpoint"),
    "check": ("pspnet.tools.check.__main__", "check all files of a data set before a training"),
    "show": ("pspnet.tools.show.__main__", "draw training crops with their masks"),
    "score": ("pspnet.tools.score", "score predictions on disk, of any tool"),
    "plot": ("pspnet.tools.plot", "draw a run's figures again, for a paper"),
    "export": ("pspnet.tools.export.__main__", "turn a checkpoint into one ONNX or .pt2 file"),
    "ablation": ("pspnet.tools.ablation.__main__", "run and report sweeps of settings and seeds"),
    "demo": ("pspnet.tools.demo.__main__", "show a network on a page: drop a picture in"),
    "explain": ("pspnet.tools.explain.__main__", "measure what the parts of a network contribute"),
}
COMMANDS = TRAINER | {name: line for name, (_, line) in TOOLS.items()}


def main(words: list[str] | None = None) -> None:
    """Run the command that the words name; they default to the command line's.

    Raises:
        SystemExit: with code 1 and one line for a UserError, 2 for an unknown command or option,
            and as in `safe_output`.
    """
    with safe_output():
        _run(sys.argv[1:] if words is None else words)


def _run(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        raise SystemExit(0 if words else 2)
    command, options = words[0], words[1:]
    if command == "--version":
        print(f"pspnet {metadata.version('pspnet')}")
    elif command in TRAINER:
        with one_line_errors():
            options = expand_config_names(options)
        import_module("pspnet.cli").main([command, *options])
    elif command in TOOLS:
        try:
            import_module(TOOLS[command][0]).main(options)
        except KeyboardInterrupt:
            sys.stderr.write("error: interrupted\n")
            raise SystemExit(130) from None
    else:
        _refuse(command)


def usage() -> str:
    """Return the help of the front door: every command with one line."""
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:{width}}  {line}" for name, line in COMMANDS.items())
    return (
        "usage: pspnet COMMAND [OPTIONS]\n\n"
        "Pyramid Scene Parsing Network: train, evaluate, predict, ablate, explain.\n\n"
        f"{listed}\n\n"
        "  pspnet COMMAND --help  lists a command's options\n"
        "  pspnet --version       prints the version\n\n"
        "-c NAME reads a configuration file, or a configuration of the package:\n"
        "  pspnet fit -c base -c scenes_pspnet"
    )


def _refuse(command: str) -> NoReturn:
    near = nearest(command, COMMANDS)
    remedy = f"did you mean {near}?" if near else f"give one of {', '.join(COMMANDS)}"
    sys.stderr.write(f"error: {command}: no such command; {remedy}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    main()
