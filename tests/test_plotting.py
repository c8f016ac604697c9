"""Figure files are whole or absent, and matplotlib's global state is left alone."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pspnet import plotting
from pspnet.callbacks.figures.confusion_matrix import draw_confusion_matrix
from pspnet.errors import UserError


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_files_are_written_whole_into_new_folders(tmp_path, suffix):
    out = tmp_path / "new" / f"confusion{suffix}"
    draw_confusion_matrix(np.eye(3), ["a", "b $x$", "c"], out)
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    head = out.read_bytes()[:5]
    assert head.startswith({".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}[suffix])
    if suffix == ".png":
        assert np.asarray(Image.open(out).convert("L")).std() > 10  # not an empty sheet


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    out = tmp_path / "a.png"
    out.write_bytes(b"old")
    figure = plotting.figure(1, 1)

    def fail(path, format):
        Path(path).write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="disk full"):
        plotting.save(figure, out)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(UserError, match=r"a\.txt: .*\.png, \.pdf, \.svg"):
        plotting.save(figure, tmp_path / "a.txt")


def test_matplotlib_is_loaded_late_and_pyplot_never(tmp_path):
    program = f"""
import sys
from pspnet.callbacks.figures.confusion_matrix import draw_confusion_matrix
assert "matplotlib" not in sys.modules
draw_confusion_matrix(__import__("numpy").eye(2), ["a", "b"], {str(tmp_path / "a.png")!r})
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
