"""The page shows the numbers of the network, needs no other file, and works in a browser."""

import re
import time
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from chromium import PROGRAM, Chromium
from edits import network as unedited
from torch import nn

from pspnet.data.datasets.classes import Classes
from pspnet.data.transforms.normalize import normalize
from pspnet.tools.explain.load import Run
from pspnet.tools.explain.pyramid_parts import ONE_PASS
from pspnet.tools.explain.report.markdown import amount
from pspnet.tools.explain.samples import NamedImage
from pspnet.tools.explain.walk.page import page
from pspnet.tools.explain.walk.record import walk
from pspnet.tools.explain.walk.result import Shown

CLASSES = Classes(("sky", "<b>road</b>", "car"), ((0, 0, 255), (90, 90, 90), (255, 0, 0)))
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)
LARGEST = 2_000_000  # bytes


def build(network, size=(65, 97), *, name="a & b"):
    """The page of an image of noise, with what it was built from."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (*size, 3)).astype(np.uint8)
    label = random.integers(0, 3, size).astype(np.uint8)
    label[:4] = 255
    image = normalize(torch.from_numpy(pixels).permute(2, 0, 1), mean=MEAN, std=STD)
    data = SimpleNamespace(mean=MEAN, std=STD, classes=CLASSES)
    run = Run(Path("x"), name, network.eval(), data, ONE_PASS, "skip", True, Path("y"))
    shown = Shown(NamedImage("noise.png", pixels, image), label)
    return page(run, walk(network, image, ONE_PASS), shown), image, label


@pytest.fixture(scope="module")
def built():
    network = unedited(bins=(1, 3))
    return network, *build(network)


class Reader(HTMLParser):
    """Collects headings, facts, captions and tables; fails on tags that are not closed."""

    VOID = ("meta", "img", "input", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.images, self.headings = [], [], []
        self.facts, self.captions, self.rows = {}, [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag == "img" or given.get("role") == "img":
            self.images.append(given.get("alt") or given.get("aria-label"))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        tag = self.open[-1] if self.open else ""
        if tag in ("h1", "h2", "h3"):
            self.headings.append((int(tag[1]), text))
            self.facts[text] = {}
        elif tag == "dt":
            self.name = text
        elif tag == "dd":
            self.facts[self.headings[-1][1]][self.name] = text
        elif tag == "figcaption":
            self.captions.append((self.headings[-1][1], text))
        elif tag in ("td", "th"):
            self.rows[-1][-1] += text


@torch.no_grad()
def test_shapes_and_values_are_those_of_the_network(built):
    network, text, image, label = built
    read = Reader(text)
    *_, stage4, stage5 = stages = network.encoder(image[None].double())[-5:]
    for k, maps in enumerate(stages, start=1):
        channels, height, width = maps.shape[1:]
        listed = read.facts[f"Stage {k}"]
        assert listed["output"] == f"{channels}×{height}×{width}"
        assert listed["stride"] == str(round(64 / (height - 1)))
    assert read.facts["Stage 4"]["dilation"] == "2"
    assert read.facts["Stage 5"]["dilation"] == "4"
    channels = stage5.shape[1]
    for side, level in zip((1, 3), network.pyramid.levels, strict=True):
        reduced = level(nn.functional.adaptive_avg_pool2d(stage5, side))[0].mean(0)
        low, high = (f"{value:.3g}" for value in (reduced.min(), reduced.max()))
        values = low if low == high else f"{low} to {high}"
        captions = [caption for title, caption in read.captions if title == f"Bin {side}"]
        assert captions[0].startswith(f"Pooled to {channels}×{side}×{side}; cells of")
        assert captions[1] == f"1×1 convolution to {channels // 2}×{side}×{side}; mean {values}"
        assert captions[2].startswith(f"Upsampled to {channels // 2}×9×13; mean")
    assert f"{2 * channels} channels of 9×13 units enter the decoder" in text
    logits = network.decoder(network.pyramid(stage5))[0]
    captions = [caption for title, caption in read.captions if title == "Logits"]
    chosen = logits.argmax(0).unique().tolist()
    assert len(captions) == len(chosen) + 1
    for k in chosen:
        expected = f"{CLASSES.names[k]}: {logits[k].min():.3g} to {logits[k].max():.3g}"
        assert expected in captions
    same = (network.auxiliary(stage4)[0].argmax(0) == logits.argmax(0)).double().mean()
    assert f"{100 * same:.2f} % of the units have the same class" in text
    prediction, counted = network(image[None].double())[0].argmax(0).numpy(), label != 255
    right = (prediction == label)[counted].mean()
    assert f"{100 * right:.2f} % of the labeled pixels are right" in text
    car = [row for row in read.rows if row[0] == "car"]
    both, either = (
        (f(prediction == 2, label == 2) & counted).sum() for f in (np.logical_and, np.logical_or)
    )
    assert car[0][-1] == f"{100 * both / either:.2f}"


def test_parameters_and_operations_are_counted(built):
    network, text, *_ = built
    rows = {row[0]: row for row in Reader(text).rows if row}
    parameters = sum(p.numel() for p in network.decoder.parameters())
    decoder = network.decoder[0].weight.numel() + network.decoder[4].weight.numel()
    assert rows["decoder"][3:5] == [amount(parameters), amount(2 * decoder * 9 * 13)]
    assert "auxiliary (training)" in rows
    total = sum(p.numel() for p in network.parameters())
    total -= sum(p.numel() for p in network.auxiliary.parameters())
    assert rows["inference, as run"][3] == amount(total)
    assert rows["inference, as run"][4] != rows["inference, published form"][4]
    assert "computes pyramid and the decoder's first convolution in one step" in re.sub(
        r"\s+", " ", text
    )


def test_the_page_is_whole_and_has_words_for_every_picture(built):
    _, text, *_ = built
    read = Reader(text)
    assert len(text) < LARGEST
    assert len(read.images) > 30
    assert all(read.images)
    levels = [level for level, _ in read.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert set(re.findall(r'(?:src|href)="(?!data:|#)([^"]*)"', text)) == {
        "https://arxiv.org/abs/1612.01105"
    }
    assert "<b>road" not in text
    assert "a &amp; b" in text
    targets = re.findall(r'href="#([^"]*)"', text)
    assert all(text.count(f'id="{target}"') == 1 for target in targets)


def test_a_pyramid_without_levels_is_shown_whole():
    text, *_ = build(unedited(bins=()))
    assert "Its levels are left out: the network has no bins." in text
    assert "in one step" not in text


@pytest.mark.slow
def test_noise_of_a_large_image_stays_below_the_limit():
    assert len(build(unedited(), (769, 769))[0]) < LARGEST


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason="Chromium is missing: apt install chromium")
def test_the_marked_place_follows_sliders_and_clicks(built, tmp_path):
    file = tmp_path / "walk.html"
    file.write_text(built[1])
    with Chromium(tmp_path, size=(360, 800)) as browser:
        browser.open(file.as_uri())
        browser.wait_for("document.querySelector('.place output').textContent")
        assert browser.run("document.documentElement.scrollWidth") <= 360
        first = browser.run("document.querySelector('.place output').textContent")
        assert re.match(r"logits: .+ -?\d+\.\d, ", first)
        fields = "[...document.querySelectorAll('.field')].map(it => it.style.cssText)"
        drawn = browser.run(fields)
        assert len(drawn) == 5
        browser.run("document.querySelector('.place input').focus()")
        for kind in ("keyDown", "keyUp"):
            browser.call(
                "Input.dispatchKeyEvent",
                type=kind,
                key="Home",
                code="Home",
                windowsVirtualKeyCode=36,
            )
        browser.wait_for("document.querySelector('.place input').value == '0'")
        moved = browser.run(fields)
        assert [style for style in moved if "top: 0%" in style] == moved
        assert moved != drawn
        browser.run("document.querySelectorAll('.frame[data-rows]')[3].click()")
        assert browser.run("document.querySelector('.place input').value") == "0"
        assert browser.errors == []
        time.sleep(0.2)
        assert [url for url in browser.requests if not url.startswith(("file:", "data:"))] == []
