"""Files that take images of any size and give what the network gives."""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from edits import EDITS
from prediction.trained import CLASSES, MEAN, STD, small_task, write_checkpoint
from torch import nn

from pspnet import Predictor
from pspnet.errors import UserError
from pspnet.models.pspnet import PSPNet, head
from pspnet.models.pyramid_pooling import PyramidPooling
from pspnet.prediction.loading import Trained
from pspnet.task import Segmentation
from pspnet.tools.export.__main__ import main
from pspnet.tools.export.checks import EQUAL, pictures
from pspnet.tools.export.graph import ImageGraph
from pspnet.tools.export.int8 import calibration_of_folder, calibration_of_run
from pspnet.tools.export.program import program_of, save
from pspnet.tools.export.write import export

SIZES = ((32, 32), (33, 47), (50, 90), (64, 41))


class Plain(nn.Module):
    """Three strided convolutions: all that an encoder needs to be exported quickly."""

    out_channels = (3, 8, 8, 8, 8, 8)

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(channels, 8, 3, stride=2, padding=1) for channels in (3, 8, 8)
        )

    def forward(self, image):
        for layer in self.layers:
            image = layer(image).tanh()
        return [image, image]


def tiny(**options) -> Trained:
    torch.manual_seed(1)
    network = PSPNet(3, encoder="tu-resnet10n", auxiliary=False)
    align, pyramid = network.align_corners, PyramidPooling(8, **options)
    network.encoder, network.pyramid = Plain(), pyramid
    pyramid.align_corners = align
    network.decoder = head(pyramid.out_channels, 8, 3)
    nn.init.normal_(network.decoder[-1].weight)
    return Trained(Segmentation(network, CLASSES).eval(), MEAN, STD)


@pytest.fixture(scope="module")
def traced():
    """A network with its program, which takes seconds to trace."""
    trained = tiny(bins=(1, 5))
    trained.task.temperature = 1.5
    return trained, program_of(ImageGraph(trained))


def expected(trained: Trained, image: np.ndarray) -> torch.Tensor:
    """Logits of the network on centrally padded images, written out."""
    network = trained.task.network.eval()
    pixels = (torch.from_numpy(image) / 255 - torch.tensor(MEAN)) / torch.tensor(STD)
    height, width = image.shape[1:3]
    missing = [(1 - side) % 8 if network.align_corners else 0 for side in (height, width)]
    top, left = (pad // 2 for pad in missing)
    around = (left, missing[1] - left, top, missing[0] - top)
    with torch.no_grad():
        logits = network(nn.functional.pad(pixels.permute(0, 3, 1, 2), around))
    return logits[:, :, top : top + height, left : left + width]


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_a_file_takes_every_size_and_describes_itself(suffix, traced, tmp_path, monkeypatch):
    trained, program = traced
    monkeypatch.setattr("pspnet.tools.export.write.program_of", lambda graph, size: program)
    out = tmp_path / f"network{suffix}"
    said = export(trained, out, license="mit")
    assert "16 pictures" in said
    assert [*tmp_path.iterdir()] == [out]
    run, described = (onnx_runner if suffix == ".onnx" else program_runner)(out)
    for pixels in pictures(SIZES):
        for images in (pixels, pixels[:1]):
            label, confidence = run(images)
            certain, classes = (expected(trained, images) / 1.5).softmax(1).max(1)
            assert label.dtype == np.uint8
            assert (label == classes.numpy()).mean() > 0.999
            np.testing.assert_allclose(confidence, certain.numpy(), atol=1e-4)
    assert json.loads(described["classes"]) == list(CLASSES.names)
    assert json.loads(described["colors"]) == [list(color) for color in CLASSES.colors]
    assert json.loads(described["mean"]) == list(MEAN)
    assert (described["license"], described["protocol"]) == ("mit", "whole")
    predictor = Predictor.load(out)
    found = predictor(pixels[0])
    np.testing.assert_array_equal(found.label, run(pixels[:1])[0][0])
    assert (predictor.classes.names, predictor.classes.colors) == (CLASSES.names, CLASSES.colors)
    with pytest.raises(UserError, match="gives no scores"):
        found.scores()


@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
def test_files_of_other_programs_are_refused_by_the_predictor(suffix, tmp_path, capfd):
    torch.save({"a": 1}, tmp_path / f"other{suffix}")
    with pytest.raises(UserError, match="no file of pspnet export"):
        Predictor.load(tmp_path / f"other{suffix}")
    assert capfd.readouterr().err == ""


def test_a_network_of_other_inputs_is_refused_by_the_predictor(tmp_path):
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"
    ]
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    graph = onnx.helper.make_graph([node], "graph", values[:1], values[1:])
    opset = onnx.helper.make_opsetid("", 18)
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[opset], ir_version=9), tmp_path / "a.onnx"
    )
    with pytest.raises(UserError, match="it takes x, not image"):
        Predictor.load(tmp_path / "a.onnx")


def test_a_file_of_one_size_refuses_others_in_one_line(traced, tmp_path, monkeypatch):
    trained, program = traced
    monkeypatch.setattr("pspnet.tools.export.write.program_of", lambda graph, size: program)
    export(trained, tmp_path / "network.pt2", size=(40, 48))
    predictor = Predictor.load(tmp_path / "network.pt2")
    assert predictor(np.zeros((40, 48, 3), np.uint8)).label.shape == (40, 48)
    with pytest.raises(UserError, match=r"40×48 pixels: .* takes 48×40 alone"):
        predictor(np.zeros((48, 40, 3), np.uint8))


def test_a_program_that_cannot_be_written_is_an_error_of_the_system(traced, tmp_path):
    with pytest.raises(FileNotFoundError):  # torch's own writer ends the process
        save(traced[1], tmp_path / "missing" / "network.pt2", {})


def onnx_runner(path):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    assert (image.type, image.shape) == ("tensor(uint8)", ["batch", "height", "width", 3])
    assert [output.shape for output in session.get_outputs()] == [["batch", "height", "width"]] * 2
    described = session.get_modelmeta().custom_metadata_map
    return lambda images: session.run(None, {"image": images}), described


def program_runner(path):
    extra = {"pspnet.json": ""}
    module = torch.export.load(path, extra_files=extra).module()
    described = json.loads(extra["pspnet.json"])
    texts = {key: v if isinstance(v, str) else json.dumps(v) for key, v in described.items()}
    return lambda images: [x.numpy() for x in module(torch.from_numpy(images))], texts


class Chooses(nn.Module):
    def __init__(self, pyramid, condition):
        super().__init__()
        self.pyramid, self.condition = pyramid, condition

    def forward(self, features):
        return self.pyramid(features) * (2 if self.condition(features) else 1)


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        (lambda x: float(x.mean()) > 0, "network.pyramid (Chooses) cannot be exported"),
        pytest.param(lambda x: x.shape[2] < x.shape[3], "test_export.py", marks=pytest.mark.slow),
    ],
    ids=["value", "size"],
)
def test_what_cannot_be_exported_is_named_and_nothing_left(condition, words, tmp_path):
    trained = tiny()
    trained.task.network.pyramid = Chooses(trained.task.network.pyramid, condition)
    with pytest.raises(UserError, match="network") as caught:
        export(trained, tmp_path / "network.pt2")
    assert words in str(caught.value)
    assert not [*tmp_path.iterdir()]


def test_errors_of_the_network_itself_keep_their_traceback(tmp_path):
    trained = tiny()
    trained.task.network.pyramid = Chooses(trained.task.network.pyramid, lambda x: x.missing)
    with pytest.raises(AttributeError, match="missing"):
        export(trained, tmp_path / "network.pt2")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["network.txt"], "unknown suffix '.txt'; give .onnx or .pt2"),
        (["network.onnx", "--opset", "3"], "--opset 3: give one of 18"),
        (["network.pt2", "--opset", "18"], "--opset 18 is for ONNX"),
        (["network.pt2", "--precision", "int8"], "give a file *.onnx"),
        (["network.onnx", "--size", "20", "99"], "--size 20 99: give 32 to"),
        (["there.onnx"], "there.onnx exists; name another file"),
    ],
)
def test_refusals_are_one_line(words, line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("there.onnx").write_text("mine")
    with pytest.raises(SystemExit, match="1"):
        main(["none.ckpt", *words])
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert line in said
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]


def test_calibration_writes_no_data_set(tmp_path):
    with pytest.raises(UserError, match="missing: no such folder"):
        calibration_of_run(tmp_path / "none.ckpt", root=tmp_path / "missing", trust=False)
    assert not [*tmp_path.iterdir()]


def test_a_missing_package_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("pspnet.tools.export.__main__.PACKAGES", ("onnx", "no_such_package"))
    with pytest.raises(SystemExit, match="1"):
        main(["none.ckpt", str(tmp_path / "a.onnx")])
    assert "pip install no_such_package" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".pt2"])
@pytest.mark.parametrize("edit", EDITS)
def test_edits_are_exported(edit, suffix, tmp_path):
    network = EDITS[edit]().float()
    export(Trained(Segmentation(network, CLASSES).eval(), MEAN, STD), tmp_path / f"out{suffix}")


@pytest.mark.slow
@pytest.mark.parametrize("options", [{"pool": "max"}, {"reduce": False}, {"bins": ()}])
def test_pyramids_are_exported(options, tmp_path):
    export(tiny(**options), tmp_path / "out.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["vgg16_bn", "efficientnet-b0", "tu-tf_efficientnet_lite0"])
@pytest.mark.parametrize("align_corners", [True, False])
def test_encoders_are_exported(encoder, align_corners, tmp_path):
    network = PSPNet(3, encoder=encoder, decoder_channels=8, align_corners=align_corners)
    export(Trained(Segmentation(network, CLASSES).eval(), MEAN, STD), tmp_path / "out.onnx")


@pytest.mark.slow
def test_command_writes_float16_fixed_sizes_and_int8(shapes, tmp_path, capsys):
    checkpoint = write_checkpoint(tmp_path / "last.ckpt", small_task())
    images = next(path for path in shapes.rglob("*.png")).parent
    for name, words in {
        "half.onnx": ["--precision", "float16"],
        "fixed.onnx": ["--size", "48", "64"],
        "int8.onnx": ["--precision", "int8", "--images", str(images)],
    }.items():
        main([str(checkpoint), str(tmp_path / name), *words])
        assert "any height" in capsys.readouterr().out or "fixed" in name
    sizes = {path.name: path.stat().st_size for path in tmp_path.glob("*.onnx")}
    assert sizes["int8.onnx"] < 0.4 * sizes["fixed.onnx"]
    assert sizes["half.onnx"] < 0.6 * sizes["fixed.onnx"]
    shape = onnx.load(tmp_path / "fixed.onnx").graph.input[0].type.tensor_type.shape.dim
    assert [axis.dim_value for axis in shape[1:3]] == [48, 64]
    assert len(calibration_of_folder(images).images) == 15
    assert EQUAL["int8"] == 0.9
