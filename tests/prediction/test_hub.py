"""Saved folders and the Hub hold the network as it is, and nothing that runs."""

import json
import re
from functools import reduce

import numpy as np
import pytest
import torch
from hub_server import HubServer, hub_server
from huggingface_hub import ModelCard, constants
from trained import MEAN, STD, small_task, write_checkpoint

from pspnet import Predictor, PSPNet, load_published
from pspnet.__main__ import main
from pspnet.checkpoints.initial_weights import read_initial_weights
from pspnet.errors import UserError
from pspnet.inference.numeric_precision import default_precision
from pspnet.prediction.loading import Trained
from pspnet.prediction.model_card import model_card

CPU = torch.device("cpu")
PIXELS = np.random.default_rng(0).integers(0, 256, (49, 81, 3), np.uint8)
RESULTS = {
    "split": "val",
    "protocol": "whole",
    "precision": "32-true",
    "checkpoint": "elsewhere/checkpoints/best.ckpt",
    "miou": 0.5,
    "pixel_accuracy": 0.75,
    "iou": {"sky": 0.25, "road": 0.75, "tree": None},
    "accuracy": {"sky": 0.5, "road": 1.0, "tree": None},
}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_server() as server:
        address = f"{server.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", server.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield server


@pytest.fixture
def predictor(tmp_path):
    path = write_checkpoint(
        tmp_path / "run/checkpoints/best.ckpt", small_task(temperature=1.5, protocol="paper-ss")
    )
    (tmp_path / "run/results.json").write_text(json.dumps(RESULTS))
    return Predictor.load(path, precision="32-true")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hub") / "saved"
    Predictor(small_task(), mean=MEAN, std=STD).save_pretrained(folder)
    return folder


def same(one, other):
    np.testing.assert_array_equal(one(PIXELS).label, other(PIXELS).label)
    np.testing.assert_array_equal(one(PIXELS).confidence, other(PIXELS).confidence)
    assert one.classes == other.classes
    assert one.protocol == other.protocol


def test_saved_folder_is_the_network(predictor, tmp_path):
    predictor.save_pretrained(tmp_path / "saved", model_card_kwargs={"license": "mit"})
    for load in (Predictor.load, Predictor.from_pretrained):
        same(predictor, load(tmp_path / "saved", precision="32-true"))
    again = Predictor.load(tmp_path / "saved", precision="32-true")
    again.save_pretrained(tmp_path / "again")
    files = ("config.json", "model.safetensors")
    assert all(
        (tmp_path / "saved" / file).read_bytes() == (tmp_path / "again" / file).read_bytes()
        for file in files
    )
    assert load_published(tmp_path / "saved").class_names == ("sky", "road", "tree")
    assert read_initial_weights(tmp_path / "saved").classes == ("sky", "road", "tree")
    main(["convert", str(tmp_path / "saved"), str(tmp_path / "again.ckpt")])
    same(predictor, Predictor.load(tmp_path / "again.ckpt", precision="32-true"))
    assert str(tmp_path) not in (tmp_path / "saved/config.json").read_text()


def test_card_tells_the_results(predictor, tmp_path):
    predictor.save_pretrained(tmp_path / "saved", model_card_kwargs={"license": "mit"})
    card = ModelCard.load(tmp_path / "saved/README.md")
    (result,) = card.data.eval_results
    assert (result.metric_type, result.metric_value) == ("mean_iou", 0.5)
    assert (card.data.license, card.data.library_name) == ("mit", "pspnet")
    assert "| road | 75.00 | 100.00 |" in card.text
    assert "| tree | – | – |" in card.text


def test_card_shows_names_as_they_are(tmp_path):
    names = ("<b>sky", "a|b", "[x](http://x)")
    task = small_task()
    task.classes = type(task.classes)(names, task.classes.colors)
    card = model_card(Trained(task, MEAN, STD), license="mit\n---\n<b>")
    assert not re.search(r"(?<!\\)(<b>sky|a\||\[x)", card)
    assert ModelCard(card).data.library_name == "pspnet"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("hyper_parameters.network", 1),
        ("hyper_parameters.network.dropout", 10**400),
        ("hyper_parameters.network.dilation.stage4", None),
        ("hyper_parameters.protocol", "x"),
        ("hyper_parameters.inference", "/etc/passwd"),
        ("hyper_parameters.crop_size", [2**40, 1]),
        ("hyper_parameters.base_size", [1]),
        ("config.data.mean", [0.5, float("nan"), 0.5]),
        ("config.data.std", [0.2, 0, 0.2]),
        ("structure", 1),
        ("a", json.loads("[" * 99 + "]" * 99)),
    ],
)
def test_folder_of_somebody_is_refused_in_one_line(key, value, saved, tmp_path):
    config = json.loads((saved / "config.json").read_text())
    *above, last = key.split(".")
    reduce(dict.__getitem__, above, config)[last] = value
    (tmp_path / "model.safetensors").symlink_to(saved / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"\A.*\Z"):
        Predictor.from_pretrained(tmp_path)


@pytest.mark.parametrize("text", ["", "[]", "{", "[" * 10**5, '{"a": ' + "1" * 5000 + "}"])
def test_damaged_description_is_refused_in_one_line(text, saved, tmp_path):
    (tmp_path / "model.safetensors").symlink_to(saved / "model.safetensors")
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(UserError, match=r"\A.*\Z"):
        Predictor.from_pretrained(tmp_path)


def test_description_gives_no_arguments_and_no_results_of_another_form(saved, tmp_path, capsys):
    config = json.loads((saved / "config.json").read_text())
    config |= {"device": "meta", "precision": "none", "results": {"miou": "high", "iou": []}}
    (tmp_path / "model.safetensors").symlink_to(saved / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(config))
    predictor = Predictor.from_pretrained(tmp_path)
    assert (predictor.device.type, predictor.precision) == ("cpu", default_precision(CPU))
    assert "No evaluation" in str(predictor.generate_model_card())
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match="does not describe"):
        Predictor.from_pretrained(tmp_path)
    assert capsys.readouterr().err == ""


def test_results_of_another_checkpoint_are_not_told(tmp_path):
    path = write_checkpoint(tmp_path / "run/checkpoints/last.ckpt", small_task())
    (tmp_path / "run/results.json").write_text(json.dumps(RESULTS))
    Predictor.load(path).save_pretrained(tmp_path / "saved")
    assert "50.00" not in (tmp_path / "saved/README.md").read_text()


def test_pushed_and_loaded_by_its_id(predictor, hub: HubServer):
    address = predictor.push_to_hub("somebody/streets", token="hf_none")
    assert address.startswith(f"{hub.address}/somebody/streets/commit/")
    files = hub.files["somebody/streets"]
    assert {"README.md", "config.json", "model.safetensors"} == {*files}
    assert b'from_pretrained("somebody/streets")' in files["README.md"]
    files |= {"pytorch_model.bin": b"a pickle", "code.py": b"raise SystemExit"}
    same(predictor, Predictor.load("somebody/streets", precision="32-true"))
    same(predictor, Predictor.from_pretrained("somebody/streets", precision="32-true"))
    assert not [path for path in hub.asked if path.endswith((".bin", ".py"))]


def test_unknown_id_and_no_network_are_one_line(predictor, hub, monkeypatch):
    with pytest.raises(UserError, match=r"somebody/other: .*404.*check the name"):
        Predictor.load("somebody/other")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match="somebody/other: "):
        predictor.push_to_hub("somebody/other", token="hf_none")
    with pytest.raises(UserError, match=r"missing\.ckpt: no such file"):
        Predictor.load("somebody/missing.ckpt")


def test_folder_that_holds_something_is_left_as_it_is(predictor, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/config.json").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        predictor.save_pretrained(tmp_path / "full")
    assert (tmp_path / "full/config.json").read_text() == "mine"


class OwnNetwork(PSPNet):
    """A class that nobody else has."""


def test_class_of_ones_own_is_not_saved(tmp_path):
    task = small_task(OwnNetwork)
    predictor = Predictor(task, mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    with pytest.raises(UserError, match="OwnNetwork"):
        predictor.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
