"""The front door lists every command, starts the right one, and does not wait for torch."""

import subprocess
import sys

import pytest

import pspnet
from pspnet.__main__ import COMMANDS, TOOLS, main


def stop(words, capsys):
    """Return exit code, stdout and stderr of a command that stops at once."""
    with pytest.raises(SystemExit) as stopped:
        main(words)
    output = capsys.readouterr()
    return stopped.value.code, output.out, output.err


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["-h"], 0), ([], 2)])
def test_help_has_a_line_per_command(words, code, capsys):
    stopped, text, _ = stop(words, capsys)
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line.startswith("  ")]
    listed = dict(line for line in lines if len(line) == 2)
    assert stopped == code
    assert {name: listed[name] for name in COMMANDS} == COMMANDS


@pytest.mark.parametrize(
    ("word", "remedy"),
    [("fti", "did you mean fit?"), ("scores", "did you mean score?"), ("xyz", "give one of fit, ")],
)
def test_an_unknown_command_gets_one_line(word, remedy, capsys):
    code, _, line = stop([word], capsys)
    assert code == 2
    assert line.startswith(f"error: {word}: no such command; {remedy}")
    assert line.count("\n") == 1


def test_an_unknown_configuration_gets_one_line(capsys):
    code, _, line = stop(["fit", "-c", "bas"], capsys)
    assert (code, line) == (1, "error: bas: no such file or configuration; did you mean base?\n")


@pytest.mark.parametrize("tool", TOOLS)
def test_every_tool_answers(tool, capsys):
    code, text, _ = stop([tool, "--help"], capsys)
    assert code == 0
    assert text.startswith("usage: ")


def test_trainer_commands_get_files_for_names(monkeypatch):
    given = []
    monkeypatch.setattr("pspnet.cli.main", given.append)
    main(["fit", "-c", "base", "--name=a"])
    assert given == [["fit", "-c", "configs/base.yaml", "--name=a"]]


def test_help_and_the_package_import_neither_torch_nor_lightning():
    program = """
import sys, pspnet
from pspnet.__main__ import main
for word in ("--help", "fti"):
    try: main([word])
    except SystemExit: pass
heavy = {"torch", "lightning", "numpy", "matplotlib", "jsonargparse"} & set(sys.modules)
assert not heavy, heavy
assert pspnet.PSPNet.__name__ == "PSPNet" and "torch" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


@pytest.mark.slow
def test_the_command_line_imports_no_encoders_before_it_builds_one():
    program = """
import sys, pspnet.cli
late = {"timm", "wandb", "segmentation_models_pytorch", "albumentations"} & set(sys.modules)
assert not late, late
"""
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)


def test_public_names_are_found_when_asked_for():
    for name in pspnet.__all__:
        assert getattr(pspnet, name).__name__ == name
    assert set(pspnet.__all__) <= set(dir(pspnet))
    with pytest.raises(AttributeError, match="no attribute 'PSPNett'"):
        _ = pspnet.PSPNett


def test_a_tool_that_is_interrupted_says_so(monkeypatch, capsys):
    def interrupted(words):
        raise KeyboardInterrupt

    monkeypatch.setattr("pspnet.tools.score.main", interrupted)
    code, _, line = stop(["score"], capsys)
    assert (code, line) == (130, "error: interrupted\n")
