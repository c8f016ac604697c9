"""Training checkpoints of mmengine, whose pickles name classes that are not installed here."""

import pickle
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from foreign import filled, mmsegmentation
from hostile import Watch
from mmengine_classes import mmengine

from pspnet import load_published
from pspnet.errors import UserError
from pspnet.models.published.stand_ins import StandIn
from pspnet.models.published.weights_file import read_weights

NUMPY = ("_core", "core")  # of numpy 2 and 1
watch = Watch()


def training_checkpoint(path: Path, *, older_numpy: bool = False) -> dict[str, torch.Tensor]:
    """Write what `Runner.save_checkpoint` writes, and return its tensors.

    Source: `Runner.save_checkpoint`, `MessageHub.state_dict`, `HistoryBuffer.__init__` and
    `OptimWrapper.state_dict` of open-mmlab/mmengine.
    """
    state = filled(mmsegmentation(18, 3), hollow=True)
    names = [key for key in state if key.endswith(("weight", "bias"))]
    momentum = {i: {"momentum_buffer": torch.ones(2)} for i in range(len(names))}
    group = {"lr": 0.01, "momentum": 0.9, "params": [*range(len(names))]}
    with mmengine() as buffer:
        loss = buffer()
        loss.__dict__ = {
            "max_length": 1000000,
            "_log_history": np.array([1.5, 0.75]),
            "_count_history": np.array([1, 1]),
        }
        hub = {
            "log_scalars": OrderedDict({"train/loss": loss}),
            "runtime_info": OrderedDict(iter=40000, best_score=np.float64(41.1), epoch=0),
            "resumed_keys": OrderedDict({"train/loss": True}),
        }
        meta = {
            **{"epoch": 0, "iter": 40000, "cfg": "crop_size = (65, 97)\n", "seed": 1},
            **{"experiment_name": "pspnet", "time": "20230101_000000", "mmengine_version": "0.10"},
            "dataset_meta": {"classes": ("a", "b", "c"), "palette": [[1, 2, 3]] * 3},
        }
        content = {
            **{"meta": meta, "state_dict": OrderedDict(state), "message_hub": hub},
            "optimizer": {"state": momentum, "param_groups": [group]},
            "param_schedulers": [{"last_step": 40000, "_last_value": [1e-4], "power": 0.9}],
        }
        torch.save(content, path)
    if older_numpy:
        rename_module(path, *NUMPY)
    return state


def rename_module(path: Path, old: str, new: str) -> None:
    """Give numpy's functions in a file the module that another version has them in."""
    with zipfile.ZipFile(path) as archive:
        entries = [(entry, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(path, "w") as archive:
        for entry, content in entries:
            if entry.filename.endswith("/data.pkl"):
                content = content.replace(f"numpy.{old}".encode(), f"numpy.{new}".encode())
            archive.writestr(entry, content)


@pytest.mark.parametrize("older_numpy", [False, True])
def test_a_training_checkpoint_is_its_network(tmp_path, older_numpy):
    path = tmp_path / "iter_40000.pth"
    state = training_checkpoint(path, older_numpy=older_numpy)
    assert "mmengine" not in sys.modules
    weights = read_weights(path)
    assert weights.state.keys() == state.keys()
    assert weights.metadata["message_hub"] == {
        "log_scalars": {"train/loss": None},
        "runtime_info": {"iter": 40000, "best_score": None, "epoch": 0},
        "resumed_keys": {"train/loss": True},
    }
    assert len(weights.metadata["optimizer"]["state"]) == len(
        [key for key in state if key.endswith(("weight", "bias"))]
    )
    published = load_published(path)
    weight = published.network.decoder[4].weight
    assert torch.equal(weight, state["decode_head.conv_seg.weight"])
    assert published.class_names == ("a", "b", "c")
    assert published.crop_size == (65, 97)
    with pytest.raises(pickle.UnpicklingError, match="HistoryBuffer"):
        torch.load(path, weights_only=True)  # the names are allowed while a file is read, no longer


class Named:
    """An object that is pickled as a call of a name with some arguments and a state."""

    def __init__(self, call: Any, args: tuple[Any, ...], state: Any = None) -> None:
        self.reduced = (call, args) if state is None else (call, args, state)

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


def hostile_values(buffer: type) -> Iterator[tuple[str, Any]]:
    reconstruct = np.zeros(1).__reduce__()[0]
    scalar = np.float64(1).__reduce__()[0]
    command = ("touch ran", "canary")
    for name, call in (
        ("buffer", buffer),
        ("reconstruct", reconstruct),
        ("scalar", scalar),
        ("array", np.ndarray),
        ("type", np.dtype),
    ):
        for state in ({"__class__": 1}, {"__setstate__": 2}, command, [[]], ({}, {"a": 1})):
            yield f"{name} with {state!r}", Named(call, (*command, {"a": [1]}), state)
    yield "an array of objects", np.array([{"a": 1}, None, [2]], dtype=object)
    yield "a type in a type", Named(np.dtype, (Named(np.dtype, ("O",)), np.zeros(2)))
    yield "a key", {Named(buffer, ()): 1, (1, Named(buffer, (2,))): 2, "b": 3}
    yield "a set", {1, Named(buffer, ())}


def stand_ins_in(value: Any) -> bool:
    """Tell whether a stand-in is anywhere in a value."""
    if isinstance(value, dict):
        return any(map(stand_ins_in, [*value.keys(), *value.values()]))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(stand_ins_in, value))
    return value is StandIn or isinstance(value, StandIn)


def test_nothing_runs_and_nothing_of_it_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = []
    with mmengine() as buffer:
        for number, (name, value) in enumerate(hostile_values(buffer)):
            content = {"state_dict": {"a": torch.ones(1)}, "hub": [1, (2, value)], "last": 3}
            torch.save(content, tmp_path / f"{number}.pth")
            names.append(name)
    assert len(names) > 20
    for number, name in enumerate(names):
        with watch():
            metadata = read_weights(tmp_path / f"{number}.pth").metadata
        assert not watch.seen, name
        assert not stand_ins_in(metadata), name
        first, (second, rest) = metadata["hub"]
        assert (first, second, metadata["last"]) == (1, 2, 3)
        expected = {"a key": {"b": 3}, "a set": {1}}.get(name)
        assert rest == expected, name
    assert not (tmp_path / "ran").exists()


def test_a_stand_in_is_no_tensor(tmp_path):
    for number, place in enumerate(("state_dict", "value", "shape", "storage")):
        path = tmp_path / f"{number}.pth"
        with mmengine() as buffer:
            evil: Any = Named(buffer, ())
            if place == "state_dict":
                content: dict[str, Any] = {"state_dict": evil}
            elif place == "value":
                content = {"state_dict": {"a": torch.ones(1), "b": evil}}
            else:
                size = evil if place == "shape" else (1,)
                rebuilt = Named(torch._utils._rebuild_tensor_v2, (evil, 0, size, (1,), False, {}))
                content = {"state_dict": {"a": rebuilt}}
            torch.save(content, path)
        with pytest.raises(UserError, match="not a readable weights file") as caught:
            read_weights(path)
        assert "\n" not in str(caught.value)


def test_other_names_beside_them_are_named_alone(tmp_path):
    path = tmp_path / "a.pth"
    with mmengine() as buffer:
        hub = [Named(buffer, ()), Named(eval, ("1",)), np.zeros(2)]
        torch.save({"state_dict": {"a": torch.ones(1)}, "hub": hub}, path)
    with pytest.raises(UserError, match=r"it names builtins\.eval, which could run code"):
        read_weights(path)


def test_files_older_than_archives_are_read_too(tmp_path):
    path = tmp_path / "a.pth"
    with mmengine() as buffer:
        content = {"state_dict": {"a": torch.ones(1)}, "hub": [buffer(), np.zeros(2)]}
        torch.save(content, path, _use_new_zipfile_serialization=False)
    assert read_weights(path).metadata == {"hub": [None, None]}
