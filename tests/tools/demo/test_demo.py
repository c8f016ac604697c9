"""The demo's bins are those of `explain`, its page carries the prediction, errors are one line."""

import base64
import html
import json
import re
import socket
import zlib
from copy import deepcopy
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from prediction.trained import CLASSES, MEAN, STD, small_task, write_checkpoint

from pspnet import Predictor
from pspnet.__main__ import main
from pspnet.data import Scenes
from pspnet.data.datamodule import SegmentationData
from pspnet.prediction.loading import Trained, load
from pspnet.tools.demo.bins import Bins, read_bins, without_bins
from pspnet.tools.demo.embed import embedded
from pspnet.tools.explain.pyramid_parts import part_widths
from pspnet.tools.export.page.graph import SwitchedGraph

PIXELS = np.random.default_rng(0).integers(0, 256, (49, 81, 3), np.uint8)


@pytest.fixture(scope="module")
def task():
    return small_task()


def predictor_of(task):
    return Predictor(task, mean=MEAN, std=STD, device="cpu", precision="32-true")


def decoder_without(task, side, mean):
    """Return the task with a bin's weights at 0, and its mean's term as a bias before the norm."""
    edited = deepcopy(task)
    convolution, norm = edited.network.decoder[0], edited.network.decoder[1]
    widths = part_widths(task.network)
    start = sum(list(widths.values())[: list(widths).index(f"bin {side}")])
    weight = convolution.weight.data[:, start : start + widths[f"bin {side}"]]
    norm.running_mean -= torch.einsum("dchw,c->d", weight, mean)
    weight.zero_()
    return edited


def test_a_bin_that_is_off_counts_as_its_mean(task):
    width = part_widths(task.network)["bin 2"]
    means = {"bin 2": torch.linspace(-3, 3, width)}
    complete, found = without_bins(predictor_of(task), PIXELS, [2], Bins((1, 2, 3, 6), means))
    expected = predictor_of(decoder_without(task, 2, means["bin 2"]))(PIXELS)
    inner = (slice(8, -8),) * 2  # the decoder's padding is 0 whatever the mean
    np.testing.assert_array_equal(found.label[inner], expected.label[inner])
    np.testing.assert_allclose(found.confidence[inner], expected.confidence[inner], atol=1e-4)
    np.testing.assert_array_equal(complete.label, predictor_of(task)(PIXELS).label)
    assert (found.label != complete.label).any()


@pytest.mark.parametrize("with_means", [True, False])
def test_the_page_s_graph_switches_bins_as_the_demo_does(task, with_means):
    widths = part_widths(task.network)
    means = {name: torch.randn(width).abs() for name, width in widths.items()}
    bins = Bins((1, 2, 3, 6), means if with_means else None)
    graph = SwitchedGraph(Trained(task, MEAN, STD), bins)
    for off in ([], [1], [2, 6], [1, 2, 3, 6]):
        keep = torch.tensor([float(side not in off) for side in bins.sides])
        with torch.no_grad():
            label, confidence = graph(torch.from_numpy(PIXELS)[None], keep)
        _, expected = without_bins(predictor_of(task), PIXELS, off, bins)
        np.testing.assert_array_equal(label[0].numpy(), expected.label)
        np.testing.assert_allclose(confidence[0].numpy(), expected.confidence, atol=1e-4)


def test_without_its_data_a_bin_that_is_off_counts_as_0(task, tmp_path, capsys):
    path = write_checkpoint(tmp_path / "last.ckpt", task)
    bins = read_bins(load(path))
    assert (bins.sides, bins.means, bins.examples) == ((1, 2, 3, 6), None, ())
    assert capsys.readouterr().err.startswith("note: bins that are off count as 0")


def test_scenes_of_other_options_serve_as_images(task, tmp_path, monkeypatch):
    Scenes(tmp_path, train=1, val=2, test=1).prepare()
    data = SegmentationData(Scenes(tmp_path, seed=5))
    monkeypatch.setattr("pspnet.tools.demo.bins.load", lambda *_, **__: SimpleNamespace(data=data))
    bins = read_bins(Trained(task, MEAN, STD, tmp_path / "best.ckpt"))
    assert bins.means is not None
    assert len(bins.examples) == 2


def test_the_page_carries_the_prediction(task):
    found = predictor_of(task)(PIXELS)
    classes = type(CLASSES)(("sky", "</script>", "tree"), CLASSES.colors)
    object.__setattr__(found, "classes", classes)
    document = html.unescape(re.search(r'srcdoc="([^"]*)"', embedded(found))[1])
    assert document.count("</script>") == 1
    data = json.loads(re.search(r"const data = (.*);\n", document)[1])

    def unpacked(name, kind):
        content = zlib.decompress(base64.b64decode(data[name]))
        return np.frombuffer(content, kind).reshape(data["height"], data["width"])

    np.testing.assert_array_equal(unpacked("label", np.uint8), found.label)
    np.testing.assert_allclose(unpacked("confidence", "<u2") / 65535, found.confidence, atol=1e-5)
    assert (data["classes"], data["before"]) == (["sky", "</script>", "tree"], None)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["no.ckpt", "--port", "0"], "0: no port"),
        (["no.ckpt", "--port", "{taken}"], "cannot be served"),
        (["no.ckpt", "--host", "192.0.2.1"], "cannot be served"),
        (["no.ckpt"], "pip install gradio"),
        (["network.onnx"], "an exported file has no bins"),
    ],
)
def test_wrong_words_are_told_in_one_line(words, line, monkeypatch, capsys):
    there = None if line.startswith("pip") else object()
    monkeypatch.setattr("pspnet.tools.demo.__main__.find_spec", lambda name: there)
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = str(other.getsockname()[1])
        with pytest.raises(SystemExit) as refused:
            main(["demo", *(word.replace("{taken}", taken) for word in words)])
    said = capsys.readouterr().err
    assert refused.value.code
    assert said.startswith("error: ")
    assert line in said
    assert said.count("\n") == 1
