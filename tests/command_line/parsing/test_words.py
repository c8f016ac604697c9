"""Configurations are found by name from any folder, and every file in configs/ is valid."""

from pathlib import Path

import pytest
import yaml

from pspnet.__main__ import main
from pspnet.command_line.parsing.words import config_file, expand_config_names
from pspnet.errors import UserError

ROOT = Path(__file__).parents[3]
CONFIGS = ROOT / "configs"
EXPERIMENTS = sorted((CONFIGS / "experiment").glob("*.yaml"))
PUBLISHED = [
    f"{data}_pspnet{protocol}"
    for data in ("voc", "ade20k", "cityscapes")
    for protocol in ("", "_semseg", "_mmseg")
]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder without configurations, as the working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("base", "base.yaml"),
        ("base.yaml", "base.yaml"),
        ("voc_pspnet", "experiment/voc_pspnet.yaml"),
        ("data/voc", "data/voc.yaml"),
        ("configs/experiment/voc_pspnet.yaml", "experiment/voc_pspnet.yaml"),
    ],
)
def test_a_name_is_found_from_any_folder(name, file, elsewhere):
    assert config_file(name, "experiment").resolve() == CONFIGS / file


def test_a_file_comes_before_own_configurations_and_these_before_the_packages(elsewhere):
    own = Path("configs/experiment/voc_pspnet.yaml")
    own.parent.mkdir(parents=True)
    own.write_text("name: own\n")
    assert config_file("voc_pspnet", "experiment") == own
    Path("voc_pspnet").write_text("name: file\n")
    assert config_file("voc_pspnet", "experiment") == Path("voc_pspnet")
    Path("base").mkdir()  # a folder is no configuration
    assert config_file("base").resolve() == CONFIGS / "base.yaml"


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("voc_pspent", "did you mean voc_pspnet"),
        ("voc", "did you mean voc_pspnet"),
        (
            "absent.yaml",
            "give a file, or one of ablation_ade20k, .*; the nearest is ablation_scenes$",
        ),
    ],
)
def test_a_name_of_nothing_is_refused_with_the_nearest(name, remedy, elsewhere):
    with pytest.raises(UserError, match=rf"^{name}: no such file or configuration; {remedy}"):
        config_file(name, "experiment")


def test_names_are_expanded_in_words(monkeypatch):
    monkeypatch.chdir(ROOT)
    voc = "configs/data/voc.yaml"
    words = {
        ("-c", "base"): ["-c", "configs/base.yaml"],
        ("--config=voc_pspnet",): ["--config=configs/experiment/voc_pspnet.yaml"],
        ("--data", "voc"): ["--data", voc],
        ("--data=data/voc",): [f"--data={voc}"],
        ("--config={'name': 'a'}",): ["--config={'name': 'a'}"],
        ("--data={source: VOC}",): ["--data={source: VOC}"],
        ("--name", "base", "--data.source=VOC"): ["--name", "base", "--data.source=VOC"],
        ("-c",): ["-c"],
    }
    for given, expected in words.items():
        assert expand_config_names(list(given)) == expected
    with pytest.raises(UserError, match="did you mean voc"):
        expand_config_names(["--data=vocc"])


@pytest.mark.parametrize("file", EXPERIMENTS, ids=lambda file: file.stem)
def test_every_experiment_is_valid(file, elsewhere, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "-c", "base", "-c", str(file), "--print_config"])
    assert stopped.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    own = yaml.safe_load(file.read_text("utf-8"))
    assert config["name"] == own.get("name", "pspnet") == file.stem
    steps, interval = config["trainer"]["max_steps"], config["trainer"]["val_check_interval"]
    assert steps == -1 or steps % interval == 0  # else the end of the schedule is never scored
    assert config["data"]["source"]["class_path"].startswith("pspnet.data.")


@pytest.mark.parametrize("file", sorted((CONFIGS / "data").glob("*.yaml")), ids=lambda f: f.stem)
def test_every_data_configuration_is_valid(file, elsewhere, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["fit", "-c", "base", f"--data={file.stem}", "--print_config"])
    assert stopped.value.code == 0
    config = yaml.safe_load(capsys.readouterr().out)
    own = yaml.safe_load(file.read_text("utf-8"))
    assert config["data"]["crop_size"] == own.get("crop_size", 473)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_schedules_name_their_run_and_end_with_an_evaluation(name):
    config = yaml.safe_load(config_file(name, "experiment").read_text("utf-8"))
    trainer = config["trainer"]
    assert config["name"] == name
    steps = ("max_steps", "val_check_interval")
    epochs = ("max_epochs", "check_val_every_n_epoch")
    length, interval = steps if "max_steps" in trainer else epochs
    assert trainer[length] % trainer[interval] == 0
