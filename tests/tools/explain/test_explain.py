"""The report as a user has it: of a run, of a configuration, and one line for errors."""

import csv
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from sketch import sketch

from pspnet.cli import main as pspnet
from pspnet.tools.explain.__main__ import main
from pspnet.tools.explain.load import load
from pspnet.tools.explain.report.markdown import amount, pixels, points, table
from pspnet.tools.explain.walk.write import shown_image

ROOT = Path(__file__).parents[3]
FIGURES = {"growth.png", "fields.png", "ablation.png", "contributions.png", "auxiliary.png"}
TABLES = {"layers.csv", "ablation.csv", "report.md", "walk.html"}


@pytest.fixture(scope="module")
def trained(shapes, tmp_path_factory) -> Path:
    """The folder of a run of 16 epochs, after which every class is found."""
    logs = tmp_path_factory.mktemp("logs")
    options = (
        *("--data.source=Folder", f"--data.source.root={shapes}", f"--logs={logs}", "--name=run"),
        *("--data.crop_size=41", "--data.batch_size=5", "--data.workers=0", "--wandb=off"),
        *(
            "--data.augmentation.scale=[1,1]",
            "--data.augmentation.rotation=0",
            "--model.optimizer.lr=0.02",
        ),
        *("--model.network.encoder=tu-test_resnet", "--model.network.decoder_channels=16"),
        *("--model.network.bins=[1,3]", "--trainer.accelerator=cpu", "--trainer.max_epochs=16"),
        *("--trainer.log_every_n_steps=1", "--trainer.enable_progress_bar=false"),
        *("--seed_everything=5", "--trainer.check_val_every_n_epoch=16", "--failures=false"),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", sketch)
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


def refused(capsys, *words: str, device: str = "--device=cpu") -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stop:
        main([*words, *([device] if device else [])])
    *parts, error = capsys.readouterr().err.splitlines()
    assert stop.value.code in (1, 2)
    assert error.startswith("error: ")
    assert all(line.startswith(("reading ", "images: ")) for line in parts)
    return error.removeprefix("error: ")


def test_a_run_is_explained_in_full(trained, explained):
    assert {path.name for path in explained.iterdir()} == FIGURES | TABLES
    for name in FIGURES:
        assert np.array(Image.open(explained / name).convert("L")).std() > 5
    assert "of the labeled pixels are right" in (explained / "walk.html").read_text()
    text = (explained / "report.md").read_text()
    linked = set(re.findall(r"\]\(([^)]+)\)", text))
    assert linked == FIGURES | TABLES - {"report.md"}
    results = json.loads((trained / "results.json").read_text())
    assert f"| nothing | {100 * results['miou']:.2f} | {100 * results['miou']:.2f} |" in text
    assert "On all 5 images of the validation split" in text
    assert "bins 1, 3" in " ".join(text.split())
    for block in text.split("\n\n"):
        if block.startswith("| "):  # a table, each row as wide as its header
            assert len({line.count("|") for line in block.splitlines()}) == 1
    assert not [path for path in trained.iterdir() if path.name.startswith(".draft")]


def test_the_table_of_ablated_parts_agrees_with_the_results(trained, explained):
    results = json.loads((trained / "results.json").read_text())
    with (explained / "ablation.csv").open() as file:
        rows = list(csv.DictReader(file))
    whole = {row["name"]: float(row["iou"]) for row in rows if row["ablated"] == "nothing"}
    assert whole == pytest.approx({**results["iou"], **results["groups"], "mIoU": results["miou"]})
    assert {row["ablated"] for row in rows} == {
        "nothing",
        "features",
        "bin 1",
        "bin 3",
        "all bins",
    }
    assert max(abs(float(row["loss"])) for row in rows) > 0.1
    for row in rows:
        assert float(row["loss"]) == pytest.approx(whole[row["name"]] - float(row["iou"]))
        if row["kind"] == "class" and row["replaced_by"] == "mean":
            assert float(row["low"]) <= float(row["loss"]) + 1e-9
            assert float(row["high"]) >= float(row["loss"]) - 1e-9


@pytest.mark.slow
def test_an_image_a_limit_and_an_overwritten_report(trained, shapes, tmp_path, capsys):
    path = copy(trained, tmp_path)
    image = tmp_path / "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 90, 3)).astype(np.uint8)).save(
        image
    )
    main([str(path), str(image), "--limit=2", "--device=cpu"])
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


@pytest.mark.slow
def test_data_that_moved(trained, shapes, tmp_path, capsys):
    path = copy(trained, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["config"]["data"]["source"]["init_args"]["root"] = str(tmp_path / "gone")
    torch.save(checkpoint, path)
    assert "gone" in refused(capsys, str(path))
    assert not (tmp_path / "version_0" / "explain").exists()
    main([str(path), f"--root={shapes}", "--limit=1", "--device=cpu"])
    assert (tmp_path / "version_0" / "explain" / "report.md").is_file()


@pytest.mark.slow
def test_networks_without_bins_or_auxiliary_head(trained, shapes, tmp_path, monkeypatch):
    path = copy(trained, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    hyper, state = checkpoint["hyper_parameters"], checkpoint["state_dict"]
    hyper["network"] |= {"bins": [], "auxiliary": False}
    left = {k: v for k, v in state.items() if "pyramid" not in k and "auxiliary" not in k}
    kernel = left["network.decoder.0.weight"]
    left["network.decoder.0.weight"] = kernel[:, : kernel.shape[1] // 2].contiguous()
    checkpoint.pop("structure", None)
    checkpoint["state_dict"] = left
    torch.save(checkpoint, path)
    main([str(path), "--limit=2", "--device=cpu"])
    text = (tmp_path / "version_0" / "explain" / "report.md").read_text()
    assert text.count("Left out: the network has no bins.") == 2
    assert "Left out: the network was trained without one." in text


@pytest.mark.slow
def test_a_configuration_gives_what_needs_no_weights(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main([str(trained / "config.yaml"), "--device=cpu"])
    folder = tmp_path / "logs" / "explain" / "run"
    assert {path.name for path in folder.iterdir()} == {"report.md", "layers.csv", "growth.png"}
    text = (folder / "report.md").read_text()
    assert "**random weights**" in text
    assert "The 1×1 convolutions" in text
    assert "50 % of the gradient" not in text


@pytest.mark.slow
def test_the_page_alone_of_an_image_without_its_data_set(trained, shapes, tmp_path, capsys):
    path = copy(trained, tmp_path)
    run = load(path)
    image = run.data.source.samples("val")[1].image
    assert shown_image(run, image).label.shape == (48, 64)
    shutil.copy(shapes / "classes.yaml", tmp_path)
    words = [str(path), "--walk", f"--root={tmp_path}"]
    assert refused(capsys, *words).endswith("or name an image")
    main([*words, str(image), "--device=cpu"])
    page = tmp_path / "version_0" / "explain" / "walk.html"
    out, err = capsys.readouterr()
    assert out == f"{page} written\n"
    reading, maps = err.splitlines()
    assert reading == f"reading {path} …"
    assert maps == f"walk.html: the maps of {image.name} after every stage, and its prediction …"
    assert f"image {image.name}" in page.read_text()
    assert "labeled" not in page.read_text()
    assert [file.name for file in page.parent.iterdir()] == ["walk.html"]
    assert "add --overwrite" in refused(capsys, *words, str(image))


EXPERIMENTS = sorted((ROOT / "configs" / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("path", EXPERIMENTS[:2], ids=lambda path: path.stem)
def test_an_experiment_is_a_configuration(path):
    """Its data may lie in a file beside it, and pretrained weights are not fetched."""
    run = load(path, root=Path("elsewhere"))
    given = yaml.safe_load(path.read_text())
    assert run.name == given.get("name", path.stem)
    assert run.network.options["encoder"] == given["model"]["network"]["encoder"]
    assert run.network.num_classes == len(run.classes)
    assert run.data.source.root == Path("elsewhere")
    assert not run.trained
    assert not run.network.training


def test_a_checkpoint_scores_as_its_run_did(trained, shapes, tmp_path):
    """Older checkpoints hold the protocol in the run's configuration only."""
    path = copy(trained, tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    for key in ("absent", "protocol", "inference"):
        checkpoint["hyper_parameters"].pop(key, None)
    checkpoint["config"]["model"] |= {
        "absent": "zero",
        "protocol": "paper-ss",
        "inference": {"mirror": False},
    }
    torch.save(checkpoint, path)
    run = load(path)
    assert run.absent == "zero"
    assert run.protocol.name == "paper-ss, mirror=False"
    assert run.protocol.crop_size == (41, 41)
    del checkpoint["config"]["model"]
    torch.save(checkpoint, path)
    assert (load(path).absent, load(path).protocol.name) == ("skip", "whole")


def test_words_are_refused_before_the_libraries_are_imported(tmp_path):
    code = (
        "import sys\n"
        "from pspnet.tools.explain.__main__ import main\n"
        "for words in (['absent.ckpt'], ['a.ckpt'], ['a.ckpt', '--walk'], ['a.yaml']):\n"
        "    try:\n        main(words)\n"
        "    except SystemExit as stop:\n        print(stop.code, 'lightning' in sys.modules)\n"
    )
    (tmp_path / "a.ckpt").touch()
    (tmp_path / "a.yaml").write_text("name: b")
    for page in ("a/walk.html", "b/report.md"):
        file = tmp_path / "logs" / "explain" / page
        file.parent.mkdir(parents=True)
        file.touch()
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    remedy = "exists; add --overwrite, or move it away"
    assert found.stderr.splitlines() == [
        "error: argument path: absent.ckpt: no such file",
        f"error: logs/explain/a {remedy}",
        f"error: logs/explain/a/walk.html {remedy}",
        f"error: logs/explain/b {remedy}",
    ]
    assert found.stdout.splitlines() == ["2 False", *["1 False"] * 3]


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
    assert "x.png: no such file" in refused(capsys, config, "x.png")
    Path("x.png").touch()
    assert "maps of random weights mean nothing" in refused(capsys, config, "x.png")
    assert "--limit" in refused(capsys, best, "--limit=0")
    assert "give cpu or cuda" in refused(capsys, best, "--device=tpu9", device="")
    fresh = copy(trained, tmp_path)
    assert "absent.png" in refused(capsys, str(fresh), "absent.png")
    assert "random weights mean nothing" in refused(capsys, config, "--walk")
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
