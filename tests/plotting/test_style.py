"""Figure files are whole or absent, and matplotlib's global state is left alone."""

import subprocess
import sys

import numpy as np
import pytest
from full_disk import full_from
from PIL import Image

from pspnet.callbacks.figures.confusion_matrix import draw_confusion_matrix
from pspnet.errors import NotWritten, UserError
from pspnet.plotting import style as plotting


@pytest.mark.parametrize("suffix", [".png", ".pdf", ".svg"])
def test_files_are_written_whole_into_new_folders(tmp_path, suffix):
    out = tmp_path / "new" / f"confusion{suffix}"
    draw_confusion_matrix(np.eye(3), ["a", "b $x$", "c"], out)
    assert [path.name for path in out.parent.iterdir()] == [out.name]
    head = out.read_bytes()[:5]
    assert head.startswith({".png": b"\x89PNG", ".pdf": b"%PDF", ".svg": b"<?xml"}[suffix])
    if suffix == ".png":
        assert np.asarray(Image.open(out).convert("L")).std() > 10  # not an empty sheet


def test_a_full_disk_leaves_the_old_file(tmp_path):
    out = tmp_path / "a.png"
    out.write_bytes(b"old")
    with full_from("a.png"), pytest.raises(NotWritten, match=r"a\.png cannot be written \(.*"):
        plotting.save(plotting.figure(1, 1), out)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(UserError, match=r"a\.txt: .*\.png, \.pdf, \.svg"):
        plotting.save(plotting.figure(1, 1), tmp_path / "a.txt")


def test_matplotlib_is_loaded_late_and_pyplot_never(tmp_path):
    program = f"""
import sys
from pspnet.callbacks.figures.confusion_matrix import draw_confusion_matrix
assert "matplotlib" not in sys.modules
draw_confusion_matrix(__import__("numpy").eye(2), ["a", "b"], {str(tmp_path / "a.png")!r})
assert "matplotlib" in sys.modules and "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)
