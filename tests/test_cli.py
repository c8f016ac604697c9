"""The command line as a user has it: files, rebuilding from a checkpoint, one line for errors."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from sketch import sketch

from pspnet import Predictor
from pspnet.cli import main
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.folder import Folder
from pspnet.inference.class_scores import evaluate
from pspnet.inference.protocols import ProtocolOverrides, resolve
from pspnet.inference.single_pass import full_logits
from pspnet.task import Segmentation

MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)  # of the encoder

ROOT = Path(__file__).parents[1]
NETWORK = (
    "--model.network.encoder=tu-test_resnet",
    "--model.network.decoder_channels=16",
    "--model.network.bins=[1,3]",
)
MIOU = ("train/miou", "val/miou")
PAIR = ("--trainer.devices=2", "--trainer.strategy=ddp")
QUIET = ("--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--wandb=off")


def options(shapes: Path, logs: Path) -> list[str]:
    return [
        *("--data.source=Folder", f"--data.source.root={shapes}", f"--logs={logs}", "--name=run"),
        *("--data.crop_size=41", "--data.batch_size=5", "--data.workers=0", *NETWORK, *QUIET),
        *("--trainer.log_every_n_steps=1", "--model.optimizer.lr=0.02"),
        *("--data.augmentation.scale=[1,1]", "--data.augmentation.rotation=0"),
    ]


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory) -> Path:
    """The folder of a run of 16 epochs, after which every class is found."""
    logs = tmp_path_factory.mktemp("logs")
    with (logs / "said.txt").open("w") as said, redirect_stderr(said), redirect_stdout(said):
        main(["fit", *options(shapes, logs), "--trainer.max_epochs=16", "--seed_everything=5"])
    results = json.loads((logs / "run" / "version_0" / "results.json").read_text())
    assert min(results["iou"].values()) > 0.1
    return logs / "run" / "version_0"


@pytest.fixture(autouse=True)
def sketched(monkeypatch) -> None:
    """All figures but those of `trained`, which is made before, are laid out and not drawn."""
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", sketch)


def best(run: Path) -> str:
    return str(run / "checkpoints" / "best.ckpt")


def test_the_first_and_last_lines_of_a_training(trained):
    said = (trained.parents[1] / "said.txt").read_text()
    first, _, last = said.partition("class  ")
    lines = [line.removeprefix("INFO: ") for line in first.splitlines() if line]
    begins = ["batch: ", "data: ", "check: ", "network: ", "machine: ", "steps: ", "folder: "]
    assert [line[: len(begin)] for line, begin in zip(lines, begins, strict=False)] == begins
    network, machine, steps, folder = lines[3:7]
    assert "PSPNet on tu-test_resnet, stride 8, bins 1 3 (average), " in network
    assert network.endswith(" GFLOP a crop of 41×41")
    assert machine.startswith("machine: CPU, ")
    assert machine.endswith(", precision 32-true")
    assert re.fullmatch(r"steps: \d+ in 16 epochs, seed 5", steps)
    assert str(trained) in folder
    assert len(lines) <= 10
    *_, predict, explain, export = last.splitlines()
    assert predict.endswith(
        f"pspnet predict --ckpt_path={best(trained)} --data.images=FOLDER --output.folder=predicted"
    )
    assert explain.endswith(f"pspnet explain {best(trained)}")
    assert export.endswith(f"pspnet export {best(trained)} network.onnx")


def test_a_run_leaves_its_results(trained):
    files = {path.name for path in trained.iterdir()}
    pictures = {"curves.png", "iou_per_class.png", "confusion.png", "predictions.png"}
    assert files >= {"config.yaml", "metrics.csv", "results.json", "checkpoints", *pictures}
    assert files >= {"images.csv", "failures.html"}
    for name in pictures:
        assert np.array(Image.open(trained / name).convert("L")).std() > 5
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["model"]["network"]["init_args"]["bins"] == [1, 3]
    # resolved: not given on the command line
    assert config["model"]["optimizer"]["init_args"]["momentum"] == 0.9
    results = json.loads((trained / "results.json").read_text())
    assert set(results["iou"]) == {"ground", "disc", "bar"}
    assert results["absent"] == "skip"
    assert results["groups"]["shapes"] == pytest.approx(
        (results["iou"]["disc"] + results["iou"]["bar"]) / 2
    )
    rows = (trained / "metrics.csv").read_text().splitlines()
    scores = {
        name: [float(row[name]) for row in csv.DictReader(rows) if row[name]] for name in MIOU
    }
    of_best = np.argmax(scores["val/miou"])
    assert results["train_miou"] == pytest.approx(scores["train/miou"][of_best], rel=1e-6)
    assert {"train/loss", "val/miou", "val/iou/disc", "lr-SGD/encoder", "lr-SGD/new"} <= set(
        rows[0].split(",")
    )


def test_the_best_checkpoint_is_evaluated_beside_others_and_a_finder(shapes, tmp_path):
    more = ["ModelCheckpoint", "LearningRateFinder"]
    words = [f"--trainer.callbacks+={name}" for name in more]
    words.insert(1, "--trainer.callbacks.every_n_train_steps=1")
    words += ["--trainer.callbacks.num_training_steps=2", "--trainer.max_epochs=1"]
    main(["fit", *options(shapes, tmp_path), *words, "--trainer.limit_val_batches=1"])
    run = tmp_path / "run" / "version_0"
    assert json.loads((run / "results.json").read_text())["checkpoint"] == best(run)
    assert len([*run.glob("checkpoints/*.ckpt")]) == 3  # best, last, and the snapshot


def test_a_training_ends_early_by_option(shapes, tmp_path):
    words = ["--trainer.max_epochs=12", "--early_stopping=1", "--model.optimizer.lr=1e-9"]
    main(["fit", *options(shapes, tmp_path), *words, "--failures=false"])
    with (tmp_path / "run" / "version_0" / "metrics.csv").open() as file:
        miou = [float(row["val/miou"]) for row in csv.DictReader(file) if row["val/miou"]]
    assert len(miou) < 12
    assert len(miou) - 1 - miou.index(max(miou)) == 1


def test_a_checkpoint_rebuilds_its_network_and_its_data(trained, tmp_path, capsys):
    command = ["validate", f"--ckpt_path={best(trained)}", f"--logs={tmp_path}", *QUIET]
    main([*command, "--failures=false"])
    said = capsys.readouterr().out.splitlines()
    assert not (tmp_path / "run/version_0/images.csv").exists()
    first = json.loads((trained / "results.json").read_text())
    assert {*first["boundary_iou"]} == {"0.5%", "1.0%", "2.0%"}
    again = json.loads((tmp_path / "run" / "version_0" / "results.json").read_text())
    assert again["miou"] == first["miou"]
    assert again["iou"] == first["iou"]
    assert (
        said[-2] == f"mIoU on val (whole, 32-true): {100 * first['miou']:.2f} %, by {best(trained)}"
    )
    assert str(tmp_path / "run" / "version_0") in said[-1]


def test_only_trainings_have_versions(trained, tmp_path, capsys):
    before = {path.name for path in trained.parent.iterdir()}
    assert before == {"version_0", "latest"}
    latest = str(trained.parent / "latest" / "checkpoints" / "best.ckpt")
    given = [f"--ckpt_path={latest}", *QUIET[:2]]
    main(["validate", *given, "--failures=false"])
    beside = trained / "validate_0"
    assert str(beside) in capsys.readouterr().out.splitlines()[-1]
    assert json.loads((beside / "results.json").read_text())["miou"] > 0
    refusal(["predict", *given, f"--data.images={tmp_path / 'no'}"], capsys)
    Image.new("RGB", (41, 41)).save(tmp_path / "a.png")
    images = f"--data.images={tmp_path / 'a.png'}"
    main(["predict", *given, images, f"--output.folder={tmp_path / 'out'}", "--output.forms=index"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["index"]
    assert {path.name for path in trained.parent.iterdir()} == before
    assert [path.name for path in trained.glob("*_[0-9]")] == ["validate_0"]


def test_the_network_is_the_checkpoints_whatever_the_options_say(trained, tmp_path):
    command = ["validate", f"--ckpt_path={best(trained)}", f"--logs={tmp_path}", *QUIET]
    main([*command, "--model.network.bins=[1,2,3,6]", "--model.network.encoder=resnet18"])
    config = yaml.safe_load((tmp_path / "run" / "version_0" / "config.yaml").read_text())
    assert config["model"]["network"]["init_args"]["bins"] == [1, 3]
    assert config["model"]["network"]["init_args"]["encoder"] == "tu-test_resnet"


def own_prediction(checkpoint: str, picture: Path) -> np.ndarray:
    """What the checkpoint's network says of a picture, by torch alone."""
    task = Segmentation.load_from_checkpoint(checkpoint, map_location="cpu").eval()
    pixels = torch.from_numpy(np.array(Image.open(picture))).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    with torch.no_grad():
        return full_logits(task.network, (pixels - mean) / std).argmax(1)[0].numpy()


@pytest.mark.slow
def test_a_version_is_named_and_never_run_over(shapes, tmp_path, capsys):
    command = ["fit", *options(shapes, tmp_path), "--trainer.max_epochs=1", "--version=seed_3"]
    log = tmp_path / "row" / "seed_3" / "run.log"  # what starts the run may write its words there
    log.parent.mkdir(parents=True)
    log.write_text("$ fit")
    main([*command, "--config={'model': {'loss': None, 'absent': 'zero'}, 'name': 'row'}"])
    run = tmp_path / "row" / "seed_3"  # what comes last counts
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["model"]["absent"], config["model"]["loss"]) == ("zero", None)
    assert json.loads((run / "costs.json").read_text())["crop_size"] == [41, 41]
    before = (run / "metrics.csv").read_text()
    again = [word for word in command if not word.startswith("--name")] + [
        f"--name={run.parent.name}"
    ]
    assert "version=seed_3" in refusal(again, capsys)
    assert (run / "metrics.csv").read_text() == before
    last = f"--ckpt_path={run / 'checkpoints' / 'last.ckpt'}"
    main([*again, last, "--trainer.max_epochs=2"])
    assert torch.load(run / "checkpoints" / "last.ckpt")["global_step"] == 4
    assert (run / "metrics.csv").read_text().startswith(before)
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main([*again, last, "--trainer.max_epochs=2"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == (
        f"{run} is finished; to train it longer raise trainer.max_epochs=2\n"
    )
    evaluation = ["validate", last, "--name=row", "--version=seed_3", f"--logs={tmp_path}", *QUIET]
    assert "version=seed_3" in refusal(evaluation, capsys)


@pytest.mark.parametrize(("given", "ran"), [([], "bf16-mixed"), (["32-true"], "32-true")])
def test_precision_is_the_hardwares_unless_it_is_given(given, ran, shapes, tmp_path, monkeypatch):
    monkeypatch.setattr("pspnet.cli.default_precision", lambda device: "bf16-mixed")
    words = [f"--trainer.precision={value}" for value in given]
    run = ["--trainer.max_steps=1", "--trainer.limit_val_batches=2", *words]
    main(["fit", *options(shapes, tmp_path), *run])
    costs = json.loads((tmp_path / "run" / "version_0" / "costs.json").read_text())
    assert costs["precision"] == ran


@pytest.mark.slow
def test_a_deterministic_training_is_the_same_twice(shapes, tmp_path):
    weights = []
    for number in range(2):
        run = [
            "--trainer.max_epochs=1",
            "--trainer.limit_val_batches=0",
            "--trainer.benchmark=true",
        ]
        run += ["--trainer.deterministic=true", f"--logs={tmp_path / str(number)}"]
        torch.manual_seed(number)  # what the process did before does not count
        main(["fit", *options(shapes, tmp_path), *run])
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
        torch.use_deterministic_algorithms(False)
        last = tmp_path / str(number) / "run" / "version_0" / "checkpoints" / "last.ckpt"
        weights.append(torch.load(last)["state_dict"])
    assert all(torch.equal(value, weights[1][key]) for key, value in weights[0].items())


def test_a_protocol_is_chosen_changed_and_named_with_the_score(trained, tmp_path, capsys):
    command = ["validate", f"--ckpt_path={best(trained)}", f"--logs={tmp_path}", *QUIET]
    main([*command, "--model.protocol=paper-ms", "--model.inference.scales=[1,1.5]"])
    assert "mIoU on val (paper-ms, scales=(1.0, 1.5), 32-true): " in capsys.readouterr().out
    results = json.loads((tmp_path / "run" / "version_0" / "results.json").read_text())
    assert results["protocol"] == "paper-ms, scales=(1.0, 1.5)"
    assert results["inference"]["crop_size"] == [41, 41]  # of the training
    assert results["inference"]["mirror"] is True
    task = Segmentation.load_from_checkpoint(
        best(trained), protocol="paper-ms", inference={"scales": [1.0, 1.5]}
    ).eval()
    data = SegmentationData(Folder(trained.parents[2] / "none"), crop_size=41)
    assert task.protocol == resolve(
        "paper-ms", ProtocolOverrides(scales=(1.0, 1.5)), crop_size=data.crop_size, base_size=None
    )
    first = json.loads((trained / "results.json").read_text())
    assert results["iou"] != first["iou"]
    assert (first["protocol"], first["inference"]["crop_size"]) == ("whole", None)


def test_calibration_is_stored_in_the_checkpoint_and_used(trained, tmp_path, capsys):
    path = tmp_path / "run.ckpt"
    shutil.copy(best(trained), path)
    command = ["validate", f"--ckpt_path={path}", f"--logs={tmp_path}", *QUIET]
    main([*command, "--name=calibrated", "--calibrate"])
    run = tmp_path / "calibrated" / "version_0"
    found = json.loads((run / "results.json").read_text())["calibration"]
    last = capsys.readouterr().out.splitlines()[-1]
    before, after = (100 * found["ece"][key] for key in ("before", "after"))
    assert f"ECE {before:.2f} % before, {after:.2f} % after" in last
    (fitted, others), (pixels, _) = found["images"], found["pixels"]
    assert f"on {pixels} pixels of {fitted} images" in last
    assert fitted + others == len((shapes_of(trained) / "val.txt").read_text().split())
    assert {*found["ece_by_class"]} == {*json.loads((run / "results.json").read_text())["iou"]}
    assert (run / "reliability.png").exists()
    assert found["temperature"] != 1
    image = next((shapes_of(trained) / "images").iterdir())
    plain, calibrated = (Predictor.load(each)(image) for each in (best(trained), path))
    np.testing.assert_array_equal(plain.label, calibrated.label)
    sharper = found["temperature"] < 1
    assert ((calibrated.confidence >= plain.confidence - 1e-6) == sharper).mean() > 0.99
    main([*command, "--name=again"])  # what else is in the file is as it was
    scores = [
        json.loads((tmp_path / name / "version_0/results.json").read_text())["miou"]
        for name in ("calibrated", "again")
    ]
    assert scores[0] == scores[1]
    assert "validate alone" in refusal(["predict", f"--ckpt_path={path}", "--calibrate"], capsys)
    for none in ("--trainer.fast_dev_run=true", "--trainer.limit_val_batches=0"):
        assert "needs validation images" in refusal([*command, "--calibrate", none], capsys)


def shapes_of(run: Path) -> Path:
    config = yaml.safe_load((run / "config.yaml").read_text())
    return Path(config["data"]["source"]["init_args"]["root"])


def test_predictions_follow_the_protocol_and_a_broken_image_is_left_out(trained, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    (pictures / "0.jpg").write_text("no image")
    Image.fromarray(pixels).save(pictures / "a.png")
    command = ["predict", f"--ckpt_path={best(trained)}", f"--data.images={pictures}"]
    command += [f"--output.folder={tmp_path / 'out'}", f"--logs={tmp_path}", *QUIET]
    line = refusal([*command, "--model.protocol=paper-ss"], capsys)
    left_out = f"1 of 2 left out, first: {pictures / '0.jpg'} cannot be read"
    assert f"1 prediction written to {tmp_path / 'out'}; {left_out}" in line
    assert not (tmp_path / "out" / "index" / "0.png").exists()
    again = refusal([*command, "--model.protocol=paper-ss"], capsys)
    assert f"; {left_out}" in again
    Image.fromarray(pixels).save(pictures / "0.jpg")
    main([*command, "--model.protocol=paper-ss"])
    assert "1 prediction written to" in (out := capsys.readouterr().out)
    assert out.endswith(", 1 of 2 were there\n")
    task = Segmentation.load_from_checkpoint(best(trained), protocol="paper-ss").eval()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (MEAN, STD))
    image = (torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255 - mean) / std
    with torch.no_grad():
        expected = evaluate(task.network, image, task.protocol).argmax(1)[0].numpy()
    written = np.array(Image.open(tmp_path / "out" / "index" / "a.png"))
    assert (written != expected).mean() < 0.001


def test_predictions_are_written_and_not_written_over(trained, tmp_path, capsys):
    pictures = tmp_path / "pictures"
    generator = np.random.default_rng(0)
    sizes = {"a.png": (40, 57), "b/a.jpg": (20, 90), "b/a.png": (64, 33), "c.JPG": (80, 80)}
    for name, size in sizes.items():
        (pictures / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = generator.integers(0, 255, (*size, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(pictures / name)
    # the data set is not needed: the checkpoint knows its classes
    gone = "--data.source.root=" + str(tmp_path / "gone")
    command = ["predict", f"--ckpt_path={best(trained)}", f"--data.images={pictures}", gone]
    command += [f"--output.folder={tmp_path / 'out'}", f"--logs={tmp_path}", *QUIET]
    main(command)
    assert "4 predictions written to" in capsys.readouterr().out
    expected = {"a": (40, 57), "b/a_jpg": (20, 90), "b/a_png": (64, 33), "c": (80, 80)}
    for name, size in expected.items():
        index = np.array(Image.open(tmp_path / "out" / "index" / f"{name}.png"))
        if name == "a":
            assert np.array_equal(index, own_prediction(best(trained), pictures / "a.png"))
        color = np.array(Image.open(tmp_path / "out" / "color" / f"{name}.png"))
        assert index.shape == size
        assert index.max() < 3
        palette = np.array([[90, 90, 60], [220, 40, 40], [40, 60, 220]], np.uint8)
        assert np.array_equal(color, palette[index])
        assert Image.open(tmp_path / "out" / "overlay" / f"{name}.jpg").size == size[::-1]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    assert "exists" in refusal([*command, "--model.protocol=paper-ss"], capsys)
    main(command)
    assert "0 predictions written to" in (out := capsys.readouterr().out)
    assert out.endswith(", 4 of 4 were there\n")
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*.*")}
    main([*command, "--output.overwrite=true"])
    assert "4 predictions written to" in capsys.readouterr().out


def test_a_run_resumes_alone_and_its_configuration_can_be_run_again(trained, tmp_path, capsys):
    last = trained / "checkpoints" / "last.ckpt"
    command = ["fit", f"--ckpt_path={last}", f"--logs={tmp_path}", *QUIET]
    assert "model.optimizer.lr=0.5: a resumed run continues with its optimizer, 0.02" in refusal(
        [*command, "--model.optimizer.lr=0.5"], capsys
    )
    main([*command, "--trainer.max_epochs=17"])
    said = capsys.readouterr().err
    assert "continues after step 32 of 34\n" in said
    assert "Restored all states" not in said
    resumed = tmp_path / "run" / "version_0"
    assert torch.load(resumed / "checkpoints" / "last.ckpt")["global_step"] == 34
    config = yaml.safe_load((resumed / "config.yaml").read_text())
    assert config["seed_everything"] == 5
    assert config["trainer"]["log_every_n_steps"] == 1
    main(["fit", "-c", str(resumed / "config.yaml"), "--trainer.max_epochs=18"])
    again = torch.load(tmp_path / "run" / "version_1" / "checkpoints" / "last.ckpt")
    assert again["global_step"] == 36


def test_files_of_another_optimizer_are_laid_over_a_resumed_runs(trained, tmp_path, capsys):
    saved = torch.load(trained / "checkpoints" / "last.ckpt")
    adam = {"class_path": "torch.optim.AdamW", "init_args": {"lr": 0.001, "betas": [0.8, 0.9]}}
    saved["config"]["model"]["optimizer"] = adam
    torch.save(saved, tmp_path / "last.ckpt")
    path = tmp_path / "adam.yaml"
    path.write_text("model: {optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.001}}}")
    base = ROOT / "configs" / "base.yaml"  # with options of SGD
    resume = ["fit", f"--ckpt_path={tmp_path / 'last.ckpt'}", f"-c={base}"]
    for words, message in (
        (["-c", str(path), "--model.optimizer.lr=0.5"], "lr=0.5: a resumed run"),
        (["-c", str(path), "--model.optimizer.betas=[0.7,0.9]"], "betas=(0.7, 0.9): a resumed run"),
        ([], "optimizer=torch.optim.SGD: a resumed run continues with its optimizer, torch.optim"),
        # nothing but the factor differs: the saved betas stand
        (["-c", str(path), "--model.new_layer_factor=7"], "new_layer_factor=7.0: a resumed run"),
    ):
        assert message in refusal([*resume, *words], capsys)


def test_a_file_of_base_is_no_schedule_for_another_ones_run(trained, tmp_path, capsys):
    saved = torch.load(trained / "checkpoints" / "last.ckpt")
    step = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 1}}
    saved["config"]["model"]["lr_scheduler"] = step
    torch.save(saved, tmp_path / "last.ckpt")
    command = ["fit", f"--ckpt_path={tmp_path / 'last.ckpt'}", "--model.lr_scheduler.power=0.9"]
    assert "lr_scheduler=pspnet.lr_schedules.PolyLR: a resumed run" in refusal(command, capsys)


def test_the_validation_of_the_best_is_no_point_of_the_curve(trained):
    lines = (trained / "metrics.csv").read_text().splitlines()
    header = lines[0].split(",")
    place = header.index("val/miou")
    assert sum(bool(line.split(",")[place]) for line in lines[1:]) == 16


def refusal(command: list[str], capsys) -> str:
    """The one line that a refused command prints."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        main(command)
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    assert stopped.value.code in (1, 2)
    assert len(lines) == 1
    return lines[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (["--model.network.bin=[1,2]"], "'bin' is not accepted; did you mean model.network.bins?"),
        (
            ["--model.network.bins=[1,x]"],
            "model.network.bins: x is given; give a list of whole numbers",
        ),
        (["--model.network.bins=[0]"], "bins=[0]"),
        (["--model.network.pool=mean"], "model.network.pool=mean: give average or max"),
        (["--model.network.encoder=resnet51"], "did you mean resnet50"),
        (["--model.network.encoder_weights=none.pth"], "none.pth: no such file"),
        (["--model.network.dilation.stage5=[1]"], "undoes a dilated stage 4"),
        (["--model.network.dropout=1"], "dropout=1"),
        (["--model.loss=Focal"], "model.loss=Focal: give one of CrossEntropy, CrossEntropyDice"),
        (["--model.optimizer.lr=-1"], "model.optimizer: Invalid learning rate: -1"),
        (["--model.optimizer.lr=fast"], "model.optimizer.lr=fast: give a number"),
        (["--data.crop_size=0"], "crop_size"),
        (["--data.batch_size=50"], "batch_size=50"),
        (["--data.source=Pascal"], "data.source=Pascal: give one of ADE20K, ADE20KFull, COCO"),
        (["--trainer.devices=0"], "devices"),
        (
            ["--data.source.root=nowhere"],
            "nowhere is missing: expected the folder of the data set; give ",
        ),
        (["--data.augmentation.scale=[2,0.5]"], "scale"),
        (["--trainer.max_epoch=3"], "did you mean --trainer.max_epochs?"),
        (["--trainer.max_epochs=-1"], "max_steps or max_epochs"),
        (["--ckpt_path=absent.ckpt"], "absent.ckpt: no such file"),
        (["-c", "absent.yaml"], "absent.yaml"),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_wrong_options_get_one_line_and_leave_nothing(wrong, message, shapes, tmp_path, capsys):
    words = ["fit", *options(shapes, tmp_path / "logs"), "--trainer.max_epochs=1", *wrong]
    assert message in refusal(words, capsys)
    assert not list(tmp_path.rglob("*.ckpt"))


def test_nothing_is_fetched_for_data_that_are_not_there(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("pspnet.models.encoder_weights.hub", None)  # not called
    words = ["--model.network.encoder=resnet18", "--model.network.encoder_weights=imagenet"]
    line = refusal(
        ["fit", "--data.source=VOC", "--data.source.root=nowhere", *words, *QUIET], capsys
    )
    assert "nowhere is missing: expected the folder with VOCdevkit" in line


def test_wrong_files_get_one_line(shapes, trained, tmp_path, capsys):
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(b"no checkpoint")
    foreign = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}}, foreign)
    code = tmp_path / "code.ckpt"
    torch.save({"hyper_parameters": print}, code)
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(Path(best(trained)).read_bytes()[:5000])
    logs = f"--logs={tmp_path / 'logs'}"
    for file, message in (
        (broken, "no torch file, a damaged one"),
        (cut, "damaged or cut"),
        (foreign, "lacks 'hyper_parameters'"),
        (code, "could run code"),
    ):
        assert message in refusal(["validate", f"--ckpt_path={file}", logs, *QUIET], capsys)
    assert "needs a trained network" in refusal(["test", *options(shapes, tmp_path)], capsys)

    fewer = tmp_path / "fewer"
    shutil.copytree(shapes, fewer)
    (fewer / "classes.yaml").write_text("names: [ground, disc]\n")
    validate = ["validate", f"--ckpt_path={best(trained)}", logs, *QUIET]
    line = refusal([*validate, f"--data.source.root={fewer}"], capsys)
    assert "trained on 3 classes" in line
    assert "2 classes" in line
    (fewer / "classes.yaml").write_text("names: [ground, disc, pole]\n")
    assert "was trained on" in refusal([*validate, f"--data.source.root={fewer}"], capsys)
    (fewer / "classes.yaml").write_text("names: [ground, disc, bar]\n")
    label = fewer / "masks" / "14.png"
    Image.fromarray(np.full((48, 64), 7, np.uint8)).save(label)
    line = refusal([*validate, f"--data.source.root={fewer}"], capsys)
    assert str(label) in line
    assert "7" in line
    workers = [*validate, f"--data.source.root={fewer}", "--data.workers=1"]
    assert str(label) in refusal(workers, capsys)
    Image.fromarray(np.zeros((48, 63), np.uint8)).save(label)
    assert "48" in refusal([*validate, f"--data.source.root={fewer}"], capsys)
    predict = ["predict", f"--ckpt_path={best(trained)}", logs, *QUIET]
    assert "no such image" in refusal([*predict, f"--data.images={tmp_path / 'no'}"], capsys)
    (tmp_path / "empty").mkdir()
    assert "no image" in refusal([*predict, f"--data.images={tmp_path / 'empty'}"], capsys)


def test_a_checkpoint_is_data_and_no_instruction(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("losses_of_mine.py").write_text(
        "open('ran', 'w')\nfrom torch.nn import CrossEntropyLoss as Mine\n"
    )
    content = torch.load(best(trained))
    focal = {"class_path": "losses_of_mine.Mine", "init_args": {"ignore_index": 255}}
    model, data = content["config"]["model"], content["config"]["data"]

    def save(**parts) -> list[str]:
        torch.save({**content, "config": {**content["config"], **parts}}, "last")
        return ["--ckpt_path=last", *QUIET]

    for parts, named in (
        ({"data": {**data, "source": "/etc/passwd"}}, "asks for data.source=/etc/passwd;"),
        ({"name": "../up"}, "asks for name='../up';"),
    ):
        line = refusal(["validate", *save(**parts)], capsys)
        assert named in line
        assert "--trust" in line
    assert [path.name for path in tmp_path.iterdir() if path.suffix != ".py"] == ["last"]

    # to Lightning, `last` is another file than this one
    words = save(data={**data, "cache": "../cache"}, model={**model, "optimizer": focal})
    main(["validate", *words])
    assert "not taken from last: data.cache" in capsys.readouterr().err
    found = json.loads(Path("logs/run/version_0/results.json").read_text())
    assert found["miou"] == json.loads((trained / "results.json").read_text())["miou"]
    assert not Path("ran").exists()
    assert not Path("../cache").exists()
    retired = {**model, "loss": focal, "sharpness": 3}
    main(["validate", *save(model=retired)])
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: last")]
    assert "model.loss=losses_of_mine.Mine is not at hand, so val/loss is cross-entropy" in said[0]
    assert said[1].endswith("options that this version lacks are left out: model.sharpness")
    assert not Path("ran").exists()
    assert "asks for model.loss=losses_of_mine.Mine;" in refusal(
        ["fit", *save(model=retired)], capsys
    )
    main(["validate", *save(model={**model, "loss": focal}), "--model.loss=losses_of_mine.Mine"])
    assert Path("ran").exists()


def test_a_damaged_training_is_not_resumed(trained, tmp_path, capsys):
    content, path = torch.load(trained / "checkpoints" / "last.ckpt"), tmp_path / "a.ckpt"
    command = ["fit", f"--ckpt_path={path}", f"--logs={tmp_path}", *QUIET]
    (optimizer,) = content["optimizer_states"]
    entry = dict(optimizer["state"][0])
    bad = {**optimizer, "state": {0: {**entry, "momentum_buffer": torch.ones(2)}}}
    for parts, named in (
        ({"loops": {"fit_loop": {"epoch_progress": 3}}}, "epoch_progress is int"),
        ({"optimizer_states": [bad]}, "state.0.momentum_buffer is not like its parameter"),
        ({"lr_schedulers": [{"last_epoch": "x"}]}, "lr_schedulers.0"),
    ):
        torch.save({**content, **parts}, path)
        assert named in refusal(command, capsys)


@pytest.mark.slow
def test_two_processes_score_as_one_to_the_last_digit(trained, tmp_path):
    """Five images over two processes: none is counted twice."""
    command = [sys.executable, "-m", "pspnet", "validate", f"--ckpt_path={best(trained)}", *QUIET]
    command += [f"--logs={tmp_path}", "--trainer.precision=32-true", *PAIR]  # as `trained`
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, timeout=240, env=environment)
    two = json.loads((tmp_path / "run" / "version_0" / "results.json").read_text())
    one = json.loads((trained / "results.json").read_text())
    of_images = ("boundary_iou", "image_miou")
    for key in ("miou", "pixel_accuracy", "iou", "accuracy", "share", *of_images):
        assert two[key] == one[key]
    for name in ("images.csv", "failures.html"):
        assert (tmp_path / "run/version_0" / name).read_bytes() == (trained / name).read_bytes()


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--help"], ["--model.network", "--model.optimizer", "--data.crop_size"]),
        (["--model.network.help"], ["--model.network.bins", "--model.network.dilation.stage5"]),
    ],
)
def test_help_names_every_part(words, named, capsys):
    with pytest.raises(SystemExit):
        main(["fit", *words])
    text = capsys.readouterr().out
    assert all(option in text for option in named)


@pytest.mark.slow
def test_two_processes_train_with_the_base_configuration(shapes, tmp_path):
    """Synchronized batch normalization is asked for there, which only GPUs have."""
    command = [sys.executable, "-m", "pspnet", "fit", f"-c={ROOT / 'configs' / 'base.yaml'}"]
    command += [*options(shapes, tmp_path), "--trainer.max_epochs=1", "--data.batch_size=4", *PAIR]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, capture_output=True, timeout=240, env=environment)
    checkpoint = torch.load(tmp_path / "run" / "version_0" / "checkpoints" / "last.ckpt")
    assert checkpoint["global_step"] == 2  # ten images: two steps of four, two a process
    assert json.loads((tmp_path / "run" / "version_0" / "results.json").read_text())["miou"] > 0
