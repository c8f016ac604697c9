"""Saved folders and the Hub hold the network as it is, and nothing that runs."""

import json

import numpy as np
import pytest
from hub_server import HubServer, hub_server
from huggingface_hub import ModelCard, constants
from trained import small_task, write_checkpoint

from pspnet import Predictor, PSPNet, load_published
from pspnet.__main__ import main
from pspnet.checkpoints.initial_weights import read_initial_weights
from pspnet.errors import UserError

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
