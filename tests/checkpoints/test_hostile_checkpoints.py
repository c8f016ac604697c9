"""No checkpoint ends in a traceback, runs code, or has damaged weights that are taken."""

import random
from pathlib import Path

import hostile
import pytest
import torch

from pspnet.checkpoints.reading import VERSION, check_network, checked, read_checkpoint
from pspnet.checkpoints.resumed_state import read_state
from pspnet.command_line.starts import checkpoint_config
from pspnet.errors import UserError, user_message
from pspnet.task import Segmentation

PARTS = ("state_dict", "hyper_parameters", "config")


@pytest.fixture(scope="module")
def watch():
    return hostile.Watch()


@pytest.fixture(scope="module")
def base(shapes):
    return hostile.good(shapes)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working folder, with a module and files that must not be touched."""
    (tmp_path / "evil_module.py").write_text(hostile.EVIL)
    for name in ("canary", "canary.yaml"):
        (tmp_path / name).write_text("secret: 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def refused(call, watch) -> str | None:
    """Return the one line of a refusal; None if the checkpoint is taken."""
    try:
        with watch():
            call()
    except UserError as error:
        line = user_message(error)
        assert line
        assert line.isprintable()
        return line
    finally:
        assert watch.seen == []
    return None


def take(content, command):
    read = checked(dict(content), path=Path("a.ckpt"), parts=PARTS)
    under = checkpoint_config.beneath(read, path="a.ckpt", command=command, words=[])
    checkpoint_config.class_table(read)
    assert "/" not in under.get("name", "")
    return under


def try_all(base, watch, monkeypatch, *, share: float):
    """Try a share of all mutations; return the numbers of those refused and taken."""
    draw, counts = random.Random(0), {True: 0, False: 0}
    for name, content in hostile.mutations(base):
        if draw.random() >= share:
            continue
        skip = name.startswith("config.")  # the network is the good one
        check = (lambda *_, **__: None) if skip else check_network
        monkeypatch.setattr(checkpoint_config, "check_network", check)
        command = draw.choice(["fit", "fit", "validate", "predict"])
        line = refused(lambda c=content, m=command: take(c, m), watch)
        counts[line is not None] += 1
        code = name.startswith(("config.model.loss", "config.trainer.callbacks"))
        if code and command == "fit" and "evil" in str(hostile.VALUES[int(name.split("=")[1])]):
            assert line is not None, name
    return counts


def test_a_good_one_is_taken(base, watch, folder):
    assert refused(lambda: take(base, "fit"), watch) is None


def test_no_mutation_ends_in_a_traceback(base, watch, folder, monkeypatch):
    counts = try_all(base, watch, monkeypatch, share=0.01)
    assert counts[True] > 8
    assert counts[False] > 0


@pytest.mark.slow
def test_none_of_all_mutations_does(base, watch, folder, monkeypatch):
    counts = try_all(base, watch, monkeypatch, share=1)
    assert counts[True] > 1500


def test_damaged_weights_are_refused(base, watch, folder):
    for name, state in hostile.damaged_weights(base["state_dict"]):
        content = {**base, "state_dict": state}
        line = refused(lambda c=content: take(c, "predict"), watch)
        only_there = name == "foreign"  # no tensor of the network
        assert (line is None) == only_there, name
    content = {**base, "state_dict": {**base["state_dict"], "evil.x": torch.zeros(1)}}
    torch.save(content, "a.ckpt")
    task = Segmentation.load_from_checkpoint
    assert "holds 'evil.x'" in str(refused(lambda: task("a.ckpt"), watch))


@pytest.mark.parametrize("seeds", [1, pytest.param(30, marks=pytest.mark.slow)])
def test_damaged_files_are_refused(base, watch, folder, seeds):
    path = folder / "a.ckpt"
    for seed in range(seeds):
        for name, content in hostile.damaged_files(base, seed=seed):
            path.write_bytes(content)
            line = refused(lambda: read_checkpoint(path), watch)
            harmless = name.startswith("bit") and line is None  # between the records
            if harmless or line is None:
                same = torch.load(path, weights_only=True)
                for key, value in base["state_dict"].items():
                    assert torch.equal(same["state_dict"][key], value), name
            else:
                assert "a.ckpt" in line, name


def test_no_python_code_is_loaded_with_a_network(base, watch, folder):
    for network in (
        {"class_path": "evil_module.Evil", "init_args": {"num_classes": 3}},
        {"class_path": "os.system", "init_args": {"command": "touch ran"}},
        {"class_path": "pspnet.PSPNet", "init_args": "canary.yaml"},
        {"class_path": "torch.nn.Sequential"},
    ):
        hyper = {**base["hyper_parameters"], "network": network}
        torch.save({**base, "hyper_parameters": hyper}, "a.ckpt")
        line = refused(lambda: Segmentation.load_from_checkpoint("a.ckpt"), watch)
        assert line is not None, network
    extra = {**base["hyper_parameters"], "loss": {"class_path": "evil_module.Evil"}}
    torch.save({**base, "hyper_parameters": extra}, "a.ckpt")
    line = refused(lambda: Segmentation.load_from_checkpoint("a.ckpt"), watch)
    assert "hyper_parameters.loss=evil_module.Evil" in str(line)
    assert not (folder / "ran").exists()


@pytest.mark.slow
def test_hyper_parameters_are_refused_or_taken_as_plain_values(base, watch, folder):
    taken = 0
    for name, content in hostile.mutations({"hyper_parameters": base["hyper_parameters"]}):
        torch.save({**base, **content}, "a.ckpt")
        line = refused(lambda: Segmentation.load_from_checkpoint("a.ckpt"), watch)
        taken += line is None
        assert not (folder / "ran").exists(), name
    assert taken < 200


def test_paths_in_a_state_are_neighbors(base, folder):
    state = {
        **{"best_model_path": "http://x.y/evil.ckpt", "last_model_path": str(folder / "canary")},
        **{"kth_best_model_path": "/etc/passwd", "dirpath": "/etc"},
        "best_k_models": {"/etc/passwd": torch.tensor(1.0), "/moved/best.ckpt": torch.tensor(2.0)},
    }
    run = folder / "checkpoints"
    run.mkdir()
    (run / "best.ckpt").touch()
    torch.save({**base, "callbacks": {"best": state}}, run / "last.ckpt")
    found = read_state(run / "last.ckpt", resumes=True)["callbacks"]["best"]
    assert [found[f"{key}_model_path"] for key in ("best", "last", "kth_best")] == ["", "", ""]
    assert found["dirpath"] == str(run)
    assert {k: v.item() for k, v in found["best_k_models"].items()} == {str(run / "best.ckpt"): 2}
    kept = {"state_dict", "structure", VERSION}
    assert set(read_state(run / "last.ckpt", resumes=False)) == kept
