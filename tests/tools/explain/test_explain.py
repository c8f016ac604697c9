"""The report as a user has it: of a run, of a configuration, and one line for errors."""

import csv
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from pspnet.cli import main as pspnet
from pspnet.tools.explain.__main__ import main
from pspnet.tools.explain.markdown import amount, pixels, points, table
from pspnet.tools.explain.subject import load_subject

ROOT = Path(__file__).parents[3]
PICTURES = {"growth.png", "fields.png", "silencing.png", "parts.png", "auxiliary.png"}
TABLES = {"layers.csv", "silencing.csv", "report.md"}


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory) -> Path:
    """The folder of a run of 16 epochs, after which every class is found."""
    logs = tmp_path_factory.mktemp("logs")
    options = (
        *("--data.source=Folder", f"--data.source.root={shapes}", f"--logs={logs}", "--name=run"),
        *("--data.crop_size=41", "--data.batch_size=5", "--data.workers=0", "--wandb=off"),
        *("--data.augmentation.scale=[1,1]", "--data.augmentation.rotation=0", "--model.lr=0.02"),
        *("--model.network.encoder=tu-regnetx_002", "--model.network.decoder_channels=16"),
        *("--model.network.bins=[1,3]", "--trainer.accelerator=cpu", "--trainer.max_epochs=16"),
        *("--trainer.log_every_n_steps=1", "--trainer.enable_progress_bar=false"),
        "--seed_everything=5",
    )
    pspnet(["fit", *options])
    return logs / "run" / "version_0"


@pytest.fixture(scope="module")
def explained(trained) -> Path:
    """The folder of the run's report."""
    main([str(trained / "checkpoints" / "best.ckpt"), "--device=cpu"])
    return trained / "explain"


def copy(trained: Path, folder: Path) -> Path:
    """A checkpoint like the run's in a run of its own, without a report."""
    path = folder / "version_0" / "checkpoints" / "best.ckpt"
    path.parent.mkdir(parents=True)
    shutil.copy(trained / "checkpoints" / "best.ckpt", path)
    return path


def refused(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as stop:
        main([*words, "--device=cpu"])
    error = capsys.readouterr().err
    assert stop.value.code in (1, 2)
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error.removeprefix("error: ").strip()


def test_a_run_is_explained_in_full(trained, explained):
    assert {path.name for path in explained.iterdir()} == PICTURES | TABLES
    for name in PICTURES:
        assert np.array(Image.open(explained / name).convert("L")).std() > 5
    text = (explained / "report.md").read_text()
    linked = set(re.findall(r"\]\(([^)]+)\)", text))
    assert linked == PICTURES | TABLES - {"report.md"}
    results = json.loads((trained / "results.json").read_text())
    assert f"| nothing | {100 * results['miou']:.2f} | {100 * results['miou']:.2f} |" in text
    assert "On all 5 images of the validation split" in text
    assert "bins 1, 3" in " ".join(text.split())
    for block in text.split("\n\n"):
        if block.startswith("| "):  # a table, each row as wide as its header
            assert len({line.count("|") for line in block.splitlines()}) == 1
    assert not [path for path in trained.iterdir() if path.name.startswith(".")]


def test_the_table_of_silenced_parts_agrees_with_the_results(trained, explained):
    results = json.loads((trained / "results.json").read_text())
    with (explained / "silencing.csv").open() as file:
        rows = list(csv.DictReader(file))
    whole = {row["name"]: float(row["iou"]) for row in rows if row["silenced"] == "nothing"}
    assert whole == pytest.approx({**results["iou"], **results["groups"], "mIoU": results["miou"]})
    assert {row["silenced"] for row in rows} == {
        "nothing",
        "features",
        "bin 1",
        "bin 3",
        "all bins",
    }
    assert max(abs(float(row["loss"])) for row in rows) > 0.1
    for row in rows:
        assert float(row["loss"]) == pytest.approx(whole[row["name"]] - float(row["iou"]))
        if row["kind"] == "class" and row["by"] == "mean":
            assert float(row["low"]) <= float(row["loss"]) + 1e-9
            assert float(row["high"]) >= float(row["loss"]) - 1e-9


def test_an_image_a_limit_and_an_overwritten_report(trained, shapes, tmp_path, capsys):
    path = copy(trained, tmp_path)
    picture = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 90, 3)).astype(np.uint8)).save(
        picture
    )
    main([str(path), str(picture), "--limit=2", "--device=cpu"])
    report = tmp_path / "version_0" / "explain" / "report.md"
    text = report.read_text()
    assert "On 2 of 5 images" in text
    assert "spread evenly over the split" not in text
    assert "holds no gradients" in text  # no log beside this checkpoint
    report.write_text("mine")
    assert "add --overwrite" in refused(capsys, str(path), "--limit=2")
    assert report.read_text() == "mine"
    other = report.with_name("notes.txt")
    other.write_text("mine")
    main([str(path), "--limit=2", "--overwrite", "--device=cpu"])
    assert report.read_text() != "mine"
    assert other.read_text() == "mine"


def test_data_that_moved(trained, shapes, tmp_path, capsys):
    path = copy(trained, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["config"]["data"]["source"]["init_args"]["root"] = str(tmp_path / "gone")
    torch.save(checkpoint, path)
    assert "gone" in refused(capsys, str(path))
    assert not (tmp_path / "version_0" / "explain").exists()
    main([str(path), f"--root={shapes}", "--limit=1", "--device=cpu"])
    assert (tmp_path / "version_0" / "explain" / "report.md").is_file()


def test_networks_without_bins_or_auxiliary_head(trained, shapes, tmp_path, monkeypatch):
    path = copy(trained, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    hyper, state = checkpoint["hyper_parameters"], checkpoint["state_dict"]
    hyper["network"] |= {"bins": [], "auxiliary": False}
    left = {k: v for k, v in state.items() if "pyramid" not in k and "auxiliary" not in k}
    kernel = left["network.decoder.0.weight"]
    left["network.decoder.0.weight"] = kernel[:, : kernel.shape[1] // 2].contiguous()
    checkpoint["state_dict"] = left
    torch.save(checkpoint, path)
    main([str(path), "--limit=2", "--device=cpu"])
    text = (tmp_path / "version_0" / "explain" / "report.md").read_text()
    assert "This network has no bins" in text
    assert "there is nothing to reduce" in text
    assert "trained without one" in text


def test_a_configuration_gives_what_needs_no_weights(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main([str(trained / "config.yaml"), "--device=cpu"])
    folder = tmp_path / "logs" / "explain" / "run"
    assert {path.name for path in folder.iterdir()} == {"report.md", "layers.csv", "growth.png"}
    text = (folder / "report.md").read_text()
    assert "**random weights**" in text
    assert "The 1×1 convolutions" in text
    assert "50 % of the gradient" not in text


@pytest.mark.parametrize("name", ["scenes_pspnet", "cityscapes_pspnet_mmseg"])
def test_an_experiment_is_a_configuration(name):
    """With its data in a file beside it, and pretrained weights that are not fetched."""
    path = ROOT / "configs" / "experiment" / f"{name}.yaml"
    subject = load_subject(path, root=Path("elsewhere"))
    given = yaml.safe_load(path.read_text())
    assert subject.name == name
    assert subject.network.options["encoder"] == given["model"]["network"]["encoder"]
    assert subject.network.num_classes == len(subject.classes)
    assert subject.data.source.root == Path("elsewhere")
    assert not subject.trained
    assert not subject.network.training


def test_refusals(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    best, config = str(trained / "checkpoints" / "best.ckpt"), str(trained / "config.yaml")
    assert "absent.ckpt: no such file" in refused(capsys, "absent.ckpt")
    assert "absent.yaml: no such file" in refused(capsys, "absent.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    assert "holds no options" in refused(capsys, "list.yaml")
    (tmp_path / "broken.yaml").write_text("a: [\n")
    assert "no YAML" in refused(capsys, "broken.yaml")
    (tmp_path / "part.yaml").write_text("model: {network: {encoder: resnet18}}\n")
    assert "lacks 'data'" in refused(capsys, "part.yaml")
    wrong = yaml.safe_load(Path(config).read_text())
    wrong["model"]["network"]["bin"] = [1]
    (tmp_path / "wrong.yaml").write_text(yaml.safe_dump(wrong))
    assert "bin" in refused(capsys, "wrong.yaml")
    assert "maps of random weights" in refused(capsys, config, "x.png")
    assert "--limit" in refused(capsys, best, "--limit=0")
    assert "give cpu or cuda" in refused(capsys, best, "--device=tpu9")
    fresh = copy(trained, tmp_path)
    assert "absent.png" in refused(capsys, str(fresh), "absent.png")
    assert not (tmp_path / "version_0" / "explain").exists()
    assert {p.name for p in (tmp_path / "version_0").iterdir()} == {"checkpoints"}


def test_numbers_as_they_are_written():
    assert [amount(n) for n in (7, 950, 12_345, 999_900, 1.02e9, 3.1e12)] == [
        *("7", "950", "12.3 k", "1 M", "1.02 G", "3.1 T"),
    ]
    assert pixels((31, 31)) == "31"
    assert pixels((31, 65)) == "31×65"
    assert pixels((float("inf"), 65)) == "whole image"
    assert [points(0.1234), points(-0.5, sign=True), points(None)] == ["12.34", "-50.00", "–"]
    assert table(("a", "b"), [("c", "d")]) == "| a | b |\n| --- | ---: |\n| c | d |"
