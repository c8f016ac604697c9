"""A picture that is dropped on the demo, in Chromium, beside the predictor's own classes."""

import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from chromium import PROGRAM, Chromium
from PIL import Image
from prediction.trained import small_task, write_checkpoint

from pspnet import Predictor
from pspnet.tools.demo.bins import read_bins, without_bins

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="Chromium is missing: apt install chromium"),
]
FRAME = "document.querySelector('iframe').contentDocument"


def serve(checkpoint, port):
    words = ["-m", "pspnet", "demo", str(checkpoint), "--port", str(port)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, *words], env=environment, stdout=subprocess.PIPE)


def test_a_dropped_picture_shows_the_predictor_s_classes(tmp_path):
    pytest.importorskip("gradio", reason="gradio is missing: pip install gradio")
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", small_task())
    pixels = np.random.default_rng(0).integers(0, 256, (97, 161, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    predictor = Predictor.load(checkpoint)
    complete, without = without_bins(predictor, pixels, [1], read_bins(predictor.trained))

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = serve(checkpoint, port)
    try:
        assert b"until Ctrl+C" in server.stdout.readline()
        with Chromium(tmp_path) as browser:
            browser.open(f"http://127.0.0.1:{port}")
            button = "document.querySelector('input[type=file]').closest('button')"
            browser.wait_for(f"{button} && document.querySelector('input[type=checkbox]')")
            browser.run(f"{button}.id = 'drop'")
            time.sleep(1)  # until Gradio has attached its listeners
            browser.drop("#drop", tmp_path / "noise.png")
            browser.wait_for(f"{FRAME}.querySelector('.top')")
            shown = browser.canvas(f"{FRAME}.querySelector('.top')")
            np.testing.assert_array_equal(shown[..., :3], complete.colors())
            browser.run("document.querySelector('input[type=checkbox]').click()")
            browser.wait_for(f"{FRAME}.querySelector('.viewer').dataset.view === 'changes'")
            browser.run(f"{FRAME}.querySelector('[value=classes]').click()")
            shown = browser.canvas(f"{FRAME}.querySelector('.top')")
            np.testing.assert_array_equal(shown[..., :3], without.colors())
            local = (f"http://127.0.0.1:{port}/", "data:", "about:", "blob:")
            assert [url for url in browser.requests if not url.startswith(local)] == []
    finally:
        server.terminate()
        server.wait()
