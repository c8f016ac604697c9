"""Conversion of published checkpoints, and runs of the command line on the results."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from foreign import filled, mmsegmentation, saved, semseg
from PIL import Image

import pspnet.cli
from pspnet import PSPNet, load_published
from pspnet.data import CamVid
from pspnet.data.datasets.classes import load_table
from pspnet.files.text import shell_command
from pspnet.inference.protocols import ProtocolOverrides, resolve
from pspnet.inference.single_pass import full_logits
from pspnet.models.published.mmseg_config import Windows
from pspnet.task import Segmentation
from pspnet.tools.convert import _inference, main

QUIET = ("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--wandb=off")
CAMVID = list(load_table("camvid").names)


def camvid(root: Path, count: int = 2) -> Path:
    """Noise in CamVid's layout, partly labeled void."""
    generator = np.random.default_rng(0)
    for split in ("val", "test"):
        for folder in (root / split, root / f"{split}annot"):
            folder.mkdir(parents=True)
        names = [f"{split}{index}" for index in range(count)]
        for name in names:
            image = generator.integers(0, 256, (65, 97, 3), dtype=np.uint8)
            Image.fromarray(image).save(root / split / f"{name}.png")
            label = generator.integers(0, 12, (65, 97), dtype=np.uint8)
            Image.fromarray(label).save(root / f"{split}annot" / f"{name}.png")
        (root / f"{split}.txt").write_text("\n".join(names) + "\n")
    return root


@pytest.fixture(scope="module")
def converted(tmp_path_factory) -> tuple[Path, Path]:
    """A checkpoint of mmsegmentation with CamVid's classes, and its conversion."""
    folder = tmp_path_factory.mktemp("converted")
    state = filled(mmsegmentation(18, 11))
    text = "crop_size = (129, 161)\nimg_norm_cfg = dict(mean=[51, 102, 127.5], std=[51, 51, 25.5])"
    path = saved(folder / "a.pth", state, meta={"CLASSES": CAMVID, "config": text})
    main([str(path), str(folder / "camvid_r18.ckpt")])
    return path, folder / "camvid_r18.ckpt"


def test_the_network_is_described(tmp_path, capsys):
    path = saved(tmp_path / "a.pth", filled(mmsegmentation(18, 11), hollow=True))
    main([str(path), str(tmp_path / "out.ckpt"), "--align_corners=true"])
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["format: mmsegmentation", "encoder: tu-resnet18c"]
    assert "stage4=[2], stage5=[4], first_block=half, convolutions=first" in said[2]
    assert said[3:6] == [
        "bins: [1, 2, 3, 6]",
        "align_corners: True",
        "auxiliary head: 64 channels",
    ]
    assert said[6] == "classes: 11, as camvid's"
    assert said[7] == "input: RGB, mean 0.485 0.456 0.406, std 0.229 0.224 0.225"
    assert said[8] == "crop: 512×512"
    python = shell_command(sys.executable)
    assert said[10:] == [
        f"  {python} -m pspnet validate --ckpt_path={tmp_path / 'out.ckpt'}",
        f"  {python} -m pspnet fit --init_from={tmp_path / 'out.ckpt'}",
    ]
    assert load_published(tmp_path / "out.ckpt").network.align_corners is True


def test_the_network_is_the_published_one(converted):
    path, out = converted
    published, again = load_published(path), load_published(out)
    task = Segmentation.load_from_checkpoint(out, map_location="cpu").eval()
    image = torch.randn(1, 3, 65, 97)
    with torch.no_grad():
        expected = published.network(image)
        assert torch.equal(again.network(image), expected)
        found = task.network(image.contiguous(memory_format=torch.channels_last))
        assert torch.allclose(found, expected, rtol=0, atol=1e-5 * expected.abs().max())
    assert again.format == "pspnet"
    assert (
        (again.mean, again.std)
        == (published.mean, published.std)
        == ((0.2, 0.4, 0.5), (0.2, 0.2, 0.1))
    )
    assert again.class_names == task.classes.names == tuple(CAMVID)
    assert again.crop_size == published.crop_size == task.crop_size == (129, 161)


def normalized(image_path: Path) -> torch.Tensor:
    """An image as the converted network takes it, by torch alone."""
    pixels = torch.from_numpy(np.array(Image.open(image_path))).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.2, 0.4, 0.5), (0.2, 0.2, 0.1)))
    return (pixels - mean) / std


@pytest.mark.parametrize("command", ["validate", pytest.param("test", marks=pytest.mark.slow)])
def test_it_is_scored_like_any_other(converted, tmp_path, command):
    path, out = converted
    root = camvid(tmp_path / "camvid")
    main_options = [f"--ckpt_path={out}", f"--data.source.root={root}", f"--logs={tmp_path}"]
    pspnet.cli.main([command, *main_options, "--data.workers=0", *QUIET])
    results = json.loads((tmp_path / "camvid_r18" / "version_0" / "results.json").read_text())
    network, matrix = load_published(path).network, np.zeros((11, 12), int)
    split = {"validate": "val", "test": "test"}[command]
    for image_path in sorted((root / split).glob("*.png")):
        with torch.no_grad():
            found = full_logits(network, normalized(image_path)).argmax(1)[0].numpy()
        label = np.array(Image.open(root / f"{split}annot" / image_path.name))
        np.add.at(matrix, (found, label), 1)
    matrix = matrix[:, :11]
    hits = matrix.diagonal()
    expected = hits / (matrix.sum(0) + matrix.sum(1) - hits)
    assert set(results["iou"]) == set(CAMVID)
    assert [results["iou"][name] for name in CAMVID] == pytest.approx(expected, abs=1e-3)
    assert (matrix.sum(1) > 20).sum() >= 3  # predicted classes


@pytest.mark.slow
def test_it_predicts_like_any_other(converted, tmp_path):
    path, out = converted
    root = camvid(tmp_path / "camvid", count=1)
    options = [f"--ckpt_path={out}", f"--data.images={root / 'val' / 'val0.png'}", *QUIET]
    options += ["--data.workers=0", f"--output.folder={tmp_path / 'out'}", f"--logs={tmp_path}"]
    pspnet.cli.main(["predict", *options])
    index = np.array(Image.open(tmp_path / "out" / "index" / "val0.png"))
    with torch.no_grad():
        scores = full_logits(load_published(path).network, normalized(root / "val" / "val0.png"))
    assert (index == scores.argmax(1)[0].numpy()).mean() > 0.999
    assert len(np.unique(index)) >= 3


@pytest.mark.parametrize(
    ("classes", "dataset", "crop"),
    [
        (21, "VOC", [512, 512]),
        (19, "Cityscapes", [512, 1024]),
        (150, "ADE20K", [512, 512]),
        (11, "CamVid", [512, 512]),
    ],
)
def test_the_data_set_follows_from_the_classes(tmp_path, classes, dataset, crop):
    path = saved(tmp_path / "a.pth", filled(mmsegmentation(18, classes), hollow=True))
    main([str(path), str(tmp_path / "out.ckpt")])
    checkpoint = torch.load(tmp_path / "out.ckpt", weights_only=True)
    data = checkpoint["config"]["data"]
    assert data["source"] == {"class_path": dataset}
    assert data["crop_size"] == crop
    assert checkpoint["hyper_parameters"]["crop_size"] == crop
    assert len(checkpoint["hyper_parameters"]["classes"]["names"]) == classes
    assert not [key for key in checkpoint["state_dict"] if not key.startswith("network.")]


def test_a_training_that_is_left_behind_is_said(tmp_path, capsys):
    path = saved(tmp_path / "a.pth", filled(mmsegmentation(18, 11), hollow=True), optimizer={})
    main([str(path), str(tmp_path / "out.ckpt")])
    line = f"training: not converted; fit --continue_from={path} continues it at its step"
    assert line in capsys.readouterr().out.splitlines()


def test_semseg_is_converted(tmp_path):
    path = saved(tmp_path / "a.pth", filled(semseg(50, 19, levels=2), hollow=True))
    out = tmp_path / "out.ckpt"
    main([str(path), str(out), "--bins=1,6", "--num_classes=19"])
    published = load_published(out)
    out.unlink()  # some hundred MB, which pytest would keep
    assert (published.network.pyramid.bins, published.crop_size) == ((1, 6), (713, 713))
    assert published.class_names == load_table("cityscapes").names


def test_a_run_loses_its_optimizer_alone(tmp_path, capsys):
    task = Segmentation(PSPNet(11, "tu-test_resnet", decoder_channels=8), CamVid().classes)
    checkpoint = {"state_dict": task.state_dict(), "optimizer_states": [{"a": torch.ones(9)}]}
    task.on_save_checkpoint(checkpoint)
    data = {"crop_size": [65, 97], "mean": [0.5] * 3, "std": [0.2] * 3}
    checkpoint["config"] = {"name": "x", "data": data, "model": {"auxiliary_weight": 0.5}}
    path, out = tmp_path / "a.ckpt", tmp_path / "out.ckpt"
    torch.save(checkpoint, path)
    main([str(path), str(out)])
    found = torch.load(out, weights_only=True)
    assert found["config"] == checkpoint["config"]
    assert found["hyper_parameters"] == checkpoint["hyper_parameters"]
    assert found["structure"] == checkpoint["structure"]
    assert "optimizer_states" not in found
    assert all(torch.equal(found["state_dict"][k], v) for k, v in task.state_dict().items())
    assert "says its data set" in refusal(
        [str(path), str(tmp_path / "b.ckpt"), "--dataset=voc"], capsys
    )


def refusal(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 1) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == code
    line = capsys.readouterr().err
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    return line


def test_refusals(tmp_path, capsys):
    path, out = tmp_path / "a.pth", tmp_path / "out.ckpt"
    words = [str(path), str(out)]
    assert "no such file" in refusal(words, capsys)
    saved(path, filled(mmsegmentation(18, 59), hollow=True))
    line = refusal(words, capsys)
    assert "has 59 classes, unlike every known data set (voc 21, " in line
    assert line.endswith(", and no names of them; give --classes=59\n")
    line = refusal([*words, "--dataset=voc"], capsys)
    remedy = "give the --dataset of its classes, or --classes=59"
    assert f"its classifier has 59 classes, and voc has 21; {remedy}" in line
    line = refusal([*words, "--classes=58"], capsys)
    assert f"classes=58: {path} has 59; give --classes=59" in line
    assert "has 59 classes, not num_classes=21" in refusal([*words, "--num_classes=21"], capsys)
    names = [*CAMVID[:3], "Street", *CAMVID[4:]]
    saved(path, filled(mmsegmentation(18, 11), hollow=True), meta={"CLASSES": names})
    line = refusal([*words, "--bins=1,2"], capsys)
    assert "has 4 pyramid levels, not bins=[1, 2]" in line
    line = refusal([*words, "--bins=1,2,x"], capsys, code=2)
    assert line == "error: argument --bins: '1,2,x': give bins as 1,2,3,6\n"
    assert "unrecognized arguments" in refusal([*words, "--bin=1"], capsys, code=2)
    assert "invalid choice: 'coco'" in refusal([*words, "--dataset=coco"], capsys, code=2)
    assert "no such folder" in refusal([str(path), str(tmp_path / "x" / "out.ckpt")], capsys)
    assert list(tmp_path.iterdir()) == [path]
    main([*words, "--dataset=camvid"])
    before = out.read_bytes()
    assert f"{out} exists" in refusal(words, capsys)
    assert out.read_bytes() == before
    saved(path, filled(mmsegmentation(18, 11), hollow=True), meta={"CLASSES": names[:9]})
    line = refusal([str(path), str(tmp_path / "b.ckpt"), "--dataset=camvid"], capsys)
    assert "its CLASSES has 9 classes, and camvid has 11" in line
    line = refusal([str(path), str(tmp_path / "b.ckpt")], capsys)
    remedy = "give --classes=classes.yaml with 11 names"
    assert f"its classifier has 11 classes, and its CLASSES has 9; {remedy}" in line
    saved(path, filled(mmsegmentation(18, 3), hollow=True), meta={"CLASSES": ["a", "a", "b"]})
    line = refusal([str(path), str(tmp_path / "b.ckpt")], capsys)
    assert f"{path}: class names ['a'] occur more than once; give each class its own" in line


PALETTE = [[200, 10, index] for index in range(59)]
TEST = "dict(mode='slide', crop_size=(480, 480), stride=(320, 320))"


@pytest.mark.parametrize("version", ["0.x", "1.x"])
def test_names_colors_and_windows_of_the_file_are_taken(tmp_path, capsys, version):
    """Pascal-Context's 59 classes, of which this package has no table."""
    names = [f"thing {index}" for index in range(59)]
    text = f"crop_size = (480, 480)\nmodel = dict(test_cfg={TEST})\n"
    if version == "1.x":
        text += "test_cfg = dict(type='TestLoop')\n"
        meta = {"cfg": text, "dataset_meta": {"classes": tuple(names), "palette": PALETTE}}
    else:
        text = f"crop_size = (480, 480)\nmodel = dict(pretrained=None)\ntest_cfg = {TEST}\n"
        meta = {"config": text, "CLASSES": names, "PALETTE": PALETTE}
    path = saved(tmp_path / "a.pth", filled(mmsegmentation(18, 59), hollow=True), meta=meta)
    main([str(path), str(tmp_path / "out.ckpt")])
    said = capsys.readouterr().out.splitlines()
    assert said[6] == "classes: 59, names and colors of the file, of no known data set"
    assert said[8:10] == [
        "crop: 480×480",
        "tested by: sliding windows of 480×480 at stride 320×320",
    ]
    checkpoint = torch.load(tmp_path / "out.ckpt", weights_only=True)
    classes = checkpoint["hyper_parameters"]["classes"]
    assert (classes["names"], classes["colors"]) == (tuple(names), tuple(map(tuple, PALETTE)))
    assert "source" not in checkpoint["config"]["data"]
    assert checkpoint["config"]["model"]["inference"] == {"crop_size": [480, 480]}
    task = Segmentation.load_from_checkpoint(tmp_path / "out.ckpt", map_location="cpu")
    assert (task.protocol.crop_size, task.protocol.stride) == ((480, 480), 2 / 3)


def test_names_that_are_almost_a_data_sets_are_the_files(tmp_path, capsys):
    path, out = tmp_path / "a.pth", tmp_path / "out.ckpt"
    names = [*CAMVID[:3], "Street", *CAMVID[4:]]
    meta = {"CLASSES": names, "PALETTE": [[1, 2, 300]] * 11}  # no color
    saved(path, filled(mmsegmentation(18, 11), hollow=True), meta=meta)
    main([str(path), str(out)])
    said = capsys.readouterr().out.splitlines()
    assert said[6] == (
        "classes: 11, names of the file, of no known data set (class 3 is 'Street', and camvid's "
        "is 'Road'; give --dataset=camvid if its classes are that data set's)"
    )
    classes = torch.load(out, weights_only=True)["hyper_parameters"]["classes"]
    assert classes["names"] == tuple(names)
    assert len(set(classes["colors"])) == 11


@pytest.mark.parametrize(
    ("windows", "inference"),
    [
        (None, {}),
        (Windows(), {}),
        (Windows((769, 769), (513, 513)), {"crop_size": (769, 769)}),
        (Windows((256, 256), (170, 170)), {"crop_size": (256, 256), "stride": 170}),
        (Windows((512, 1024), (342, 683)), {"crop_size": (512, 1024)}),
        (Windows((100, 25), (29, 7)), {}),  # two steps
        (Windows((64, 64), (65, 65)), {}),  # windows with gaps
        (Windows((20_000, 20_000), (9, 9)), {}),
    ],
)
def test_windows_are_those_of_the_files_own_test(windows, inference):
    found = _inference(SimpleNamespace(tested_by=windows))
    assert found == inference
    if inference:
        protocol = resolve("mmseg-ss", ProtocolOverrides(**found), crop_size=None, base_size=512)
        steps = tuple(protocol.step(side) for side in protocol.crop_size)
        assert (protocol.crop_size, steps) == (windows.crop_size, windows.stride)


@pytest.mark.slow
def test_classes_of_ones_own_start_a_training(tmp_path, shapes):
    """Three classes, two of which the data set has; the learning rate is next to nothing."""
    path = saved(tmp_path / "a.pth", filled(mmsegmentation(18, 3)))
    (tmp_path / "classes.yaml").write_text("names: [bar, roof, ground]\n")
    main([str(path), str(tmp_path / "b.ckpt"), "--classes=3"])
    assert torch.load(tmp_path / "b.ckpt")["hyper_parameters"]["classes"]["names"][2] == "class 2"
    out = tmp_path / "c.ckpt"
    main([str(path), str(out), f"--classes={tmp_path / 'classes.yaml'}"])
    source = ["--data.source=pspnet.data.Folder", f"--data.source.root={shapes}"]
    run = [
        "--data.crop_size=33",
        "--data.batch_size=2",
        "--data.workers=0",
        "--trainer.max_steps=1",
    ]
    start = [f"--init_from={out}", f"--logs={tmp_path}", "--model.optimizer.lr=0.0000001"]
    pspnet.cli.main(["fit", *source, *run, *start, *QUIET, "--trainer.limit_val_batches=1"])
    last = torch.load(tmp_path / "pspnet" / "version_0" / "checkpoints" / "last.ckpt")
    expected = load_published(path).network.decoder[4].weight
    found = last["state_dict"]["network.decoder.4.weight"]
    for here, there in ((0, 2), (2, 0)):  # ground, bar
        torch.testing.assert_close(found[here], expected[there], rtol=0, atol=1e-4)
    assert last["hyper_parameters"]["network"]["encoder"] == "tu-resnet18c"


def test_wrong_options_are_refused_before_torch_is_imported(tmp_path):
    (tmp_path / "out.ckpt").touch()
    code = """
import sys
from pspnet.tools.convert import main
for words in (["a", "b", "--bins=x"], ["a", "out.ckpt"], ["--help"]):
    try:
        main(words)
    except SystemExit as stopped:
        print(stopped.code)
assert "torch" not in sys.modules, "torch is imported"
"""
    run = [sys.executable, "-c", code]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if line.isdigit()] == ["2", "1", "0"]
    assert "error: out.ckpt exists" in done.stderr
