"""A static page is whole or refused, and gives the network's classes in Chromium."""

import os
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from chromium import PROGRAM, Chromium
from PIL import Image
from prediction.trained import MEAN, STD, small_task, write_checkpoint

from pspnet import Predictor
from pspnet.__main__ import main
from pspnet.data import CamVid
from pspnet.prediction.loading import Trained
from pspnet.tools.demo.bins import read_bins, without_bins
from pspnet.tools.export.page.describe import about_of, title_of
from pspnet.tools.export.page.runtime import FILES

RUNTIME = "ONNXRUNTIME_WEB"  # names a folder with the npm package onnxruntime-web


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "last.ckpt", small_task())


def test_heading_and_line_tell_data_encoder_and_protocol(checkpoint, tmp_path):
    task = small_task(protocol="paper-ss")
    trained = Trained(task, MEAN, STD, tmp_path / "best.ckpt")
    assert title_of(trained) == "PSPNet"
    assert about_of(trained, protocol="whole") == (
        "PSPNet with tu-test_resnet, 3 classes, protocol whole (that of its training: paper-ss)"
    )
    names = CamVid().classes
    object.__setattr__(task, "classes", names)
    assert title_of(trained) == "PSPNet, CamVid"
    run = Trained(task, MEAN, STD, tmp_path / "streets/version_0/checkpoints/best.ckpt")
    assert title_of(run) == "streets"


def refused(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["export", *map(str, words)])
    assert stopped.value.code
    said = capsys.readouterr().err.splitlines()
    return said[-1]


def test_a_page_that_cannot_be_whole_is_refused(checkpoint, tmp_path, monkeypatch, capsys):
    runtime = tmp_path / "package" / "dist"
    runtime.mkdir(parents=True)
    given = ["--onnxruntime_web", runtime.parent]
    page = tmp_path / "page"
    assert f"has no {FILES[0]}" in refused([checkpoint, "--page", page, *given], capsys)
    monkeypatch.setenv("PATH", "")
    assert "install npm" in refused([checkpoint, "--page", page], capsys)
    for name in FILES:
        (runtime / name).write_bytes(b"")
    said = refused(["none.ckpt", "--page", tmp_path], capsys)  # first of all
    assert f"{tmp_path} is not an empty folder" in said
    assert "leave file" in refused([checkpoint, "a.onnx", "--page", page, *given], capsys)
    assert "--page FOLDER" in refused([checkpoint], capsys)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["package"]


@pytest.fixture(scope="module")
def page(checkpoint, tmp_path_factory):
    if PROGRAM is None:
        pytest.skip("Chromium is missing: apt install chromium")
    if RUNTIME not in os.environ:
        pytest.skip(f"{RUNTIME} names no folder: npm install onnxruntime-web@1.30.0")
    folder = tmp_path_factory.mktemp("page") / "site"
    given = ["--onnxruntime_web", os.environ[RUNTIME]]
    main(["export", str(checkpoint), "--page", str(folder), *given])
    return folder


@pytest.fixture
def address(page):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=page)) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.slow
def test_a_dropped_picture_shows_the_predictor_s_classes(checkpoint, address, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (97, 161, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "noise.png")
    predictor = Predictor.load(checkpoint, precision="32-true")
    complete, without = without_bins(predictor, pixels, [1], read_bins(predictor.trained))
    with Chromium(tmp_path) as browser:
        browser.open(address)
        browser.wait_for("document.querySelector('#about').textContent")
        browser.drop("#drop", tmp_path / "noise.png")
        browser.wait_for("document.querySelector('.viewer .top')")
        assert agreement(browser, complete) > 0.999
        first = browser.run("document.querySelector('.legend td').textContent")
        assert first == next(iter(complete.shares()))
        hover(browser, x=80, y=40)
        assert browser.run("document.querySelector('.tip').textContent").startswith(
            f"{predictor.classes.names[complete.label[40, 80]]}  "
        )
        index = downloaded(browser, "index", tmp_path)
        assert index.mode == "P"
        assert (np.array(index) == complete.label).mean() > 0.999
        confidence = np.array(downloaded(browser, "confidence", tmp_path)) / 65535
        np.testing.assert_allclose(confidence, complete.confidence, atol=1e-3)
        assert downloaded(browser, "overlay", tmp_path).size == (161, 97)

        browser.run("document.querySelector('#bins input').click()")
        browser.wait_for("document.querySelector('.viewer').dataset.view === 'changes'")
        browser.run("document.querySelector('[value=classes]').click()")
        assert agreement(browser, without) > 0.999
        assert [url for url in browser.requests if not url.startswith(address)] == []
        assert browser.errors == []


@pytest.mark.slow
def test_a_page_tells_what_it_cannot_show(address, page, tmp_path):
    (tmp_path / "text.png").write_text("no picture")
    Image.new("RGB", (31, 200)).save(tmp_path / "narrow.png")
    with Chromium(tmp_path) as browser:
        browser.open(address)
        browser.wait_for("document.querySelector('#about').textContent")
        for name, line in (("text", "cannot be read"), ("narrow", "31×200 pixels")):
            browser.drop("#drop", tmp_path / f"{name}.png")
            browser.wait_for(f"document.querySelector('#status').textContent.includes('{line}')")
        browser.open((page / "index.html").as_uri())
        browser.wait_for("document.querySelector('#status').textContent.includes('http.server')")


def agreement(browser, prediction):
    shown = browser.canvas("document.querySelector('.viewer .top')")
    return (shown[..., :3] == prediction.colors()).all(-1).mean()


def hover(browser, *, x, y):
    box = "document.querySelector('.picture').getBoundingClientRect()"
    left, top, scale = browser.run(f"[{box}.x, {box}.y, {box}.width / 161]")
    place = {"x": left + (x + 0.5) * scale, "y": top + (y + 0.5) * scale}
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", **place)
    browser.wait_for("!document.querySelector('.tip').hidden")


def downloaded(browser, form, folder):
    browser.run(f"document.querySelector('[data-form={form}]').click()")
    file = folder / "downloads" / f"noise_{form}.png"
    browser.wait_until(lambda: file.exists() and not file.with_suffix(".png.crdownload").exists())
    return Image.open(file)
