"""The script behind `make setup`, with a stand-in for uv."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# of `uv pip install --requirements FILE`: the arguments, the build of torch, and the pins
UV = """#!/bin/sh
echo "uv $*" >>"$LOG"
case "$*" in *--requirements*)
    echo "backend=${UV_TORCH_BACKEND:-}" >>"$LOG"
    for last; do :; done
    cat "$last" >>"$LOG"
esac
"""


def setup(tmp_path: Path, *words: str, system: str = "Linux") -> tuple[str, str, int]:
    """Run the script, and return what uv got, what was printed, and the exit status."""
    uv, log = tmp_path / "bin" / "uv", tmp_path / "log"
    uv.parent.mkdir()
    for file, text in ((uv, UV), (uv.with_name("uname"), f"#!/bin/sh\necho {system}\n")):
        file.write_text(text)
        file.chmod(0o755)
    path = f"{uv.parent}:{os.environ['PATH']}"
    ended = subprocess.run(
        ["sh", str(ROOT / "scripts" / "setup.sh"), str(tmp_path / "venv"), *words],
        cwd=ROOT,
        env={**os.environ, "PATH": path, "LOG": str(log)},
        capture_output=True,
        text=True,
    )
    return log.read_text() if log.exists() else "", ended.stdout + ended.stderr, ended.returncode


@pytest.mark.parametrize("torch", ["", "cpu", "cu130"])
def test_another_build_of_torch_brings_its_own_libraries(torch, tmp_path):
    given, _, status = setup(tmp_path, sys.executable, torch)
    lines = given.splitlines()
    pins = {line.partition("==")[0] for line in lines if "==" in line}
    assert status == 0
    assert f"backend={torch}" in lines
    assert {"torch", "torchvision", "ray", "numpy"} <= pins
    assert ("nvidia-nccl-cu13" in pins) == ("triton" in pins) == (torch == "")
    assert lines[-1].endswith("--no-deps --editable .")


@pytest.mark.parametrize(
    ("system", "torch", "size"),
    [
        ("Linux", "", "3.5 GB to download (5 minutes at 100 Mbit/s; less if uv has some), 7 GB on"),
        ("Linux", "cu130", "3.5 GB to download"),
        ("Linux", "cpu", "1 GB or less to download (under 2 minutes at 100 Mbit/s), 3 GB on disk"),
        ("Darwin", "", "0.5 GB to download"),
        ("FreeBSD", "", "…"),
    ],
)
def test_a_first_setup_says_how_much_it_downloads(system, torch, size, tmp_path):
    _, said, status = setup(tmp_path, sys.executable, torch, system=system)
    assert status == 0
    assert f"installing into {tmp_path / 'venv'}: {size}" in said


def test_a_later_setup_updates(tmp_path):
    (tmp_path / "venv").mkdir()
    _, said, status = setup(tmp_path, sys.executable)
    assert (said, status) == (f"updating {tmp_path / 'venv'} …\n", 0)


def test_make_setup_ends_with_the_next_command(tmp_path):
    (tmp_path / ".made-from-requirements").touch()
    words = ["make", "--no-print-directory", "setup", f"VENV={tmp_path}"]
    ended = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert (ended.stdout, ended.stderr) == ("done; next: make train\n", "")


def test_an_old_python_is_refused_in_one_line(tmp_path):
    old = tmp_path / "old"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.9.1" && exit 0\nexit 1\n')
    old.chmod(0o755)
    given, said, status = setup(tmp_path, str(old))
    assert (given, status) == ("", 1)
    assert said.startswith(f"error: {old} is Python 3.9.1; Python 3.10 or newer is needed")


def test_an_absent_python_is_refused_in_one_line(tmp_path):
    given, said, status = setup(tmp_path, "no-such-python")
    assert (given, status) == ("", 1)
    assert said.startswith("error: no-such-python is not installed")
