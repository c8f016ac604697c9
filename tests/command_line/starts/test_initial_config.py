"""Checkpoints from Python in the command line, and trainings that start from given weights."""

import json
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from shapes import COLORS, NAMES
from torch import nn

from pspnet import PSPNet
from pspnet.checkpoints.initial_weights import InitialWeights
from pspnet.cli import main
from pspnet.command_line.starts.initial_config import beneath_new
from pspnet.data import Folder
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.data.transforms.normalize import IMAGENET_STD
from pspnet.errors import UserError
from pspnet.task import Segmentation
from pspnet.tools.convert import main as convert
from pspnet.tools.explain.load import load

QUIET = ("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--wandb=off")
CLASSES = Classes(NAMES, COLORS)
MEAN = (0.25, 0.5, 0.125)
SMALL = {"encoder": "tu-test_resnet", "decoder_channels": 4, "auxiliary_channels": 4}


@pytest.fixture(scope="module")
def from_python(shapes, tmp_path_factory):
    """A checkpoint of a training of one step by Lightning's own Trainer."""
    folder = tmp_path_factory.mktemp("python")
    task = Segmentation(PSPNet(3, **SMALL), CLASSES, absent="zero")
    data = SegmentationData(Folder(shapes), crop_size=41, batch_size=2, workers=0, mean=MEAN)
    trainer = lightning.Trainer(
        max_steps=1, accelerator="cpu", logger=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=folder, limit_val_batches=0,
        enable_checkpointing=False,
    )  # fmt: skip
    trainer.fit(task, data)
    trainer.save_checkpoint(folder / "mine.ckpt")
    return folder / "mine.ckpt"


@pytest.fixture(scope="module")
def other(shapes, tmp_path_factory):
    """The same images with two classes, of which one is new."""
    root = tmp_path_factory.mktemp("other")
    for part in ("images", "masks"):
        (root / part).mkdir()
        for path in sorted((shapes / part).iterdir())[:6]:
            pixels = np.array(Image.open(path))
            pixels = np.minimum(pixels, 1) if part == "masks" else pixels
            Image.fromarray(pixels).save(root / part / path.name)
    (root / "classes.yaml").write_text("names: [shape, ground]\n")
    return root


def refusal(command, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(command)
    return [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]


def test_a_checkpoint_from_python_predicts_and_validates(
    from_python, shapes, tmp_path, capsys, monkeypatch
):
    given, logs = f"--ckpt_path={from_python}", f"--logs={tmp_path}"
    images = f"--data.images={shapes / 'images' / '00.png'}"
    command = ["predict", given, logs, *QUIET, images, f"--output.folder={tmp_path / 'out'}"]
    seen, step = [], Segmentation.predict_step
    spy = lambda self, batch, index: (seen.append(batch["image"]), step(self, batch, index))[1]  # noqa: E731
    with monkeypatch.context() as patched:
        patched.setattr(Segmentation, "predict_step", spy)
        main(command)
    pixels = torch.from_numpy(np.array(Image.open(shapes / "images" / "00.png")))
    mean, std = (torch.tensor(it).view(3, 1, 1) for it in (MEAN, IMAGENET_STD))
    torch.testing.assert_close(seen[0][0], (pixels.permute(2, 0, 1) / 255 - mean) / std)
    assert (tmp_path / "out" / "index" / "00.png").is_file()
    assert refusal(["validate", given, logs, *QUIET], capsys) == [
        f"error: ckpt_path={from_python}: names no data set; give --data.source and its root"
    ]
    source = ["--data.source=pspnet.data.Folder", f"--data.source.root={shapes}"]
    main(["validate", given, logs, *QUIET, *source, "--data.workers=0"])
    results = json.loads((tmp_path / "pspnet" / "version_0" / "results.json").read_text())
    assert results["absent"] == "zero"
    (line,) = refusal(["fit", given, logs, *QUIET, *source], capsys)
    assert f"from its weights: --init_from={from_python}" in line
    convert([str(from_python), str(tmp_path / "again.ckpt")])
    assert torch.load(tmp_path / "again.ckpt")["config"]["data"]["mean"] == [*MEAN]


def test_a_run_starts_from_weights_and_resumes_without_them(from_python, other, tmp_path, capsys):
    start, logs = f"--init_from={from_python}", f"--logs={tmp_path}"
    source = ["--data.source=pspnet.data.Folder", f"--data.source.root={other}"]
    data = [*source, "--data.crop_size=41", "--data.batch_size=2", "--data.workers=0"]
    command = ["fit", start, logs, *QUIET, *data, "--trainer.max_steps=1"]
    (line,) = refusal([*command, "--model.network.encoder=tu-resnet10t"], capsys)
    assert "its encoder is tu-test_resnet, and this network's is tu-resnet10t" in line
    assert "fit alone" in refusal(["validate", start, *QUIET], capsys)[0]
    assert [*tmp_path.iterdir()] == []
    main([*command, "--model.optimizer.lr=0.0000001"])
    said = [x for x in capsys.readouterr().err.splitlines() if x.startswith("note: init_from=")]
    assert "new: decoder.4 2×4×1×1, there 3×4×1×1" in said[0]
    assert said[1].endswith("the rows of 1 of 2 classes by name: ground")
    run = tmp_path / "pspnet" / "version_0"
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["init_from"] == str(from_python)
    assert config["data"]["mean"] == [*MEAN]
    last = run / "checkpoints" / "last.ckpt"
    there, here = torch.load(from_python)["state_dict"], torch.load(last)["state_dict"]
    torch.testing.assert_close(
        here["network.decoder.4.weight"][1], there["network.decoder.4.weight"][0]
    )
    resumed = ["fit", f"--ckpt_path={last}", logs, *QUIET, "--trainer.max_steps=2"]
    assert "leave init_from out" in refusal([*resumed, "--init_from=another.ckpt"], capsys)[0]
    from_python.rename(from_python.with_suffix(".gone"))
    # the same command with --resume; what a file gives to a new run is not fetched
    main([*resumed, start, "--model.network.encoder_weights=imagenet"])
    from_python.with_suffix(".gone").rename(from_python)
    again = torch.load(last)
    assert (again["global_step"], again["config"]["init_from"]) == (2, str(from_python))


@pytest.mark.parametrize("option", ["init_from", "continue_from"])
def test_a_refused_value_is_named_with_the_option_that_was_given(option):
    network = {"class_path": "evil_module.Evil", "init_args": {}}
    weights = InitialWeights(Path("a.pth"), {}, network, None, {})
    with pytest.raises(UserError) as caught:
        beneath_new(weights, words=[], option=option)
    assert str(caught.value).startswith(f"{option}=a.pth asks for model.network")


def test_a_replaced_classifier_is_saved_and_loads(tmp_path):
    network = PSPNet(21, **SMALL)
    with pytest.raises(UserError, match="3 classes for a network of 21"):
        Segmentation(network, CLASSES)
    for head in (network.decoder, network.auxiliary):
        head[-1] = nn.Conv2d(4, 3, 1)
    task = Segmentation(network, CLASSES)
    content = {"pytorch-lightning_version": "2.6.0", "state_dict": task.state_dict()}
    task.on_save_checkpoint(content)
    torch.save(content, tmp_path / "a.ckpt")
    again = Segmentation.load_from_checkpoint(tmp_path / "a.ckpt").network
    assert torch.equal(again.decoder[-1].weight, network.decoder[-1].weight)
    assert again.num_classes == 3

    task.network.decoder[-1] = nn.Conv2d(4, 5, 1)  # and other classes than the task's
    content["state_dict"] = task.state_dict()
    torch.save(content, tmp_path / "b.ckpt")
    with pytest.raises(UserError, match=r"'decoder.4.weight' is \(5, 4, 1, 1\), not \(3, 4"):
        Segmentation.load_from_checkpoint(tmp_path / "b.ckpt")


def test_a_renamed_layer_is_named_with_its_new_name(from_python, tmp_path, capsys):
    content = torch.load(from_python)
    state = content["state_dict"]
    for end in ("weight", "bias"):
        state[f"network.decoder.classifier.{end}"] = state.pop(f"network.decoder.4.{end}")
    torch.save(content, tmp_path / "a.ckpt")
    (line,) = refusal(["predict", f"--ckpt_path={tmp_path / 'a.ckpt'}", "--data.images=a"], capsys)
    assert "lacks 'decoder.4.weight', 'decoder.4.bias', and holds 'decoder.classifier" in line


def test_explain_reads_a_checkpoint_from_python(from_python, shapes, capsys):
    with pytest.raises(UserError, match=r"names no data set"):
        load(from_python)
    run = load(from_python, root=shapes)
    assert run.data.mean == MEAN
    assert run.absent == "zero"
