"""Standard output that is closed, full, cut off or of few characters costs no work."""

import os
import subprocess
import sys

import pytest

# the work is done after the first line, and leaves a file
WORK = """
import sys
from pathlib import Path
from pspnet.command_line.output import safe_output
with safe_output():
    print("─×", flush=True)
    Path(sys.argv[1]).write_text("done")
    print("the end")
"""


def work(tmp_path, redirection, **environment):
    """Return status and stderr of work under a shell's redirection of its output."""
    script, done = tmp_path / "work.py", tmp_path / "done"
    script.write_text(WORK)
    line = f'set -o pipefail; "{sys.executable}" "{script}" "{done}" {redirection}'
    end = subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.read_text() == "done"
    assert "Traceback" not in end.stderr
    return end.returncode, end.stdout, end.stderr


@pytest.mark.parametrize(
    ("redirection", "status"),
    [("", 0), (">/dev/full", 1), (">&-", 0), ("<&- >&- 2>&-", 0), ("| true", 141), ("2>&-", 0)],
)
def test_the_status_tells_what_became_of_the_output(redirection, status, tmp_path):
    code, _, error = work(tmp_path, redirection)
    assert code == status
    assert (status == 1) == error.startswith("error: standard output cannot be written (No space")
    assert error.count("\n") == (status == 1)


def test_characters_that_a_terminal_lacks_are_question_marks(tmp_path):
    assert work(tmp_path, "", PYTHONIOENCODING="ascii") == (0, "??\nthe end\n", "")


def test_an_error_keeps_its_status_on_a_full_output():
    line = f'"{sys.executable}" -m pspnet fti >/dev/full'
    end = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert (end.returncode, end.stderr.count("\n")) == (2, 1)
    assert end.stderr.startswith("error: fti: no such command")
