"""Weights files that are refused in one line, and the forms that are read."""

from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import filled, mmsegmentation, saved
from safetensors.torch import save_file
from torch import nn

from pspnet import Dilation, load_published
from pspnet.errors import UserError
from pspnet.models.encoder import build_encoder
from pspnet.models.published.weights_file import read_weights


def refused(path: Path, num_classes: int | None = None) -> str:
    with pytest.raises(UserError) as caught:
        load_published(path, num_classes)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    "key",
    [
        "backbone.stem.0.weight",
        "backbone.layer1.0.conv1.weight",
        "backbone.layer3.0.bn2.running_var",
        "backbone.layer4.1.conv1.weight",
        "decode_head.bottleneck.conv.weight",
        "decode_head.conv_seg.bias",
        "decode_head.psp_modules.3.1.bn.bias",
        "auxiliary_head.convs.0.conv.weight",
        "auxiliary_head.conv_seg.weight",
    ],
)
def test_a_missing_tensor_is_named(tmp_path, key):
    state = filled(mmsegmentation(18, 3), hollow=True)
    del state[key]
    assert f"lacks {key!r}" in refused(saved(tmp_path / "a.pth", state))


@pytest.mark.parametrize(
    "key", ["backbone.layer4.1.conv3.weight", "decode_head.psp_modules.0.2.weight", "ema.a"]
)
def test_a_tensor_too_many_is_named(tmp_path, key):
    state = {**filled(mmsegmentation(18, 3), hollow=True), key: torch.zeros(1)}
    line = refused(saved(tmp_path / "a.pth", state))
    assert f"holds {key!r}, which a PSPNet of mmsegmentation lacks" in line


def test_another_shape_is_named(tmp_path):
    state, key = filled(mmsegmentation(18, 3), hollow=True), "backbone.layer2.0.downsample.0.weight"
    state[key] = state[key][:, :8]
    line = refused(saved(tmp_path / "a.pth", state))
    assert f"{key!r} is (128, 8, 1, 1), not (128, 64, 1, 1)" in line
    for key, shape in (("bottleneck.conv", ()), ("conv_seg", (0, 128, 1, 1))):
        whole = filled(mmsegmentation(18, 3), hollow=True)
        whole[f"decode_head.{key}.weight"] = torch.ones(shape)
        line = refused(saved(tmp_path / "a.pth", whole))
        assert f"'decode_head.{key}.weight' is {shape}, not of one channel or more" in line


def spoilt(value: torch.Tensor, number: float) -> torch.Tensor:
    value[5] = number
    return value


@pytest.mark.parametrize("publisher", ["mmsegmentation", "torchvision"])
@pytest.mark.parametrize(
    ("damage", "held"),
    [
        (lambda ones: ones.to(torch.complex64), "complex64, not floats"),
        (lambda ones: ones.long(), "int64, not floats"),
        (lambda ones: ones.to_sparse(), "sparse_coo, not floats"),
        (lambda ones: ones.to("meta"), "no values, not floats"),
        (lambda ones: spoilt(ones, float("nan")), "nan, not finite floats"),
        (lambda ones: spoilt(ones, float("-inf")), "-inf, not finite floats"),
        (lambda ones: spoilt(ones.double(), 1e39), "inf, not finite floats"),  # in float32
        (lambda ones: spoilt(ones, -0.5), "-0.5, not variances"),
    ],
)
def test_damaged_values_are_named(tmp_path, damage, held, publisher):
    path, key = tmp_path / "a.pth", "backbone.layer2.0.bn2.running_var"
    state = filled(mmsegmentation(18, 3, v1c=False))
    state[key] = damage(torch.ones(128))
    if publisher == "torchvision":
        key = key.removeprefix("backbone.")
        backbone = [name for name in state if name.startswith("backbone.")]
        state = {name.removeprefix("backbone."): state[name] for name in backbone}
    saved(path, state)
    line = f"{path}: {key!r} holds {held}; a damaged file"
    if publisher == "mmsegmentation":
        assert refused(path) == line
    with pytest.raises(UserError) as caught:
        encoder("resnet18", path)
    assert str(caught.value) == line


def test_variances_alone_are_not_negative(tmp_path):
    state = filled(mmsegmentation(18, 3))
    state["backbone.layer1.0.bn1.running_mean"] = torch.full((64,), -0.5)
    state["backbone.layer1.0.bn1.running_var"] = torch.zeros(64)
    own = load_published(saved(tmp_path / "a.pth", state)).network.state_dict()
    assert set(own["encoder.model.layer1.0.bn1.running_mean"].tolist()) == {-0.5}


def test_another_number_of_classes_or_blocks_is_named(tmp_path):
    state = filled(mmsegmentation(18, 3), hollow=True)
    path = saved(tmp_path / "a.pth", state)
    assert "has 3 classes, not num_classes=4" in refused(path, 4)
    few = {k: v for k, v in state.items() if not k.startswith("backbone.layer3.1.")}
    line = refused(saved(path, few))
    assert "has 2-2-1-2 residual blocks; known are 2-2-2-2, 3-4-6-3" in line


def test_other_networks_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    plain = {"conv1.weight": torch.zeros(64, 3, 7, 7), "fc.bias": torch.zeros(9)}
    line = refused(saved(path, plain))
    assert "of no published PSPNet, its first tensor is 'conv1.weight'" in line
    fcn = filled(mmsegmentation(18, 3, levels=0, auxiliary=False), hollow=True)
    fcn = {key.replace("bottleneck", "convs.0"): value for key, value in fcn.items()}
    assert "lacks 'decode_head.bottleneck.conv.weight'" in refused(saved(path, fcn))
    other = {"network.linear.weight": torch.zeros(2, 2)}
    assert "does not describe its network" in refused(saved(path, other))
    metadata = {
        "hyper_parameters": {"network": {"dilation": {}, "bins": [1]}, "classes": {"names": ["a"]}},
        "config": {"data": {"crop_size": 65, "mean": [0.5] * 3, "std": [0.2] * 3}},
    }
    assert "num_classes" in refused(saved(path, other, **metadata))
    options = {"class_path": "mine.Network", "init_args": {"num_classes": 2}}
    metadata["hyper_parameters"]["network"] = options
    line = refused(saved(path, other, **metadata))
    assert line.startswith(f"{path}: its network is a mine.Network, not PSPNet itself; load it by")


def test_files_that_cannot_be_read_are_refused(tmp_path):
    path = tmp_path / "a.pth"
    with pytest.raises(UserError, match="no such file"):
        load_published(path)
    for text in (b"nothing", b"hello"):  # torch raises KeyError(101) on the latter
        path.write_bytes(text)
        assert "not a readable weights file: no torch file" in refused(path)
    strange = ({"state_dict": {"a": 1}}, {"state_dict": {}}, {1: torch.zeros(1)}, [torch.zeros(1)])
    for content in strange:
        torch.save(content, path)
        assert "no dictionary of tensors by name" in refused(path)
    saved(path, filled(mmsegmentation(18, 3)))
    whole = path.read_bytes()
    for length in (len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:length])
        assert "not a readable weights file" in refused(path)
    old = tmp_path / "old.pth"  # not a zip archive
    torch.save({"state_dict": {"a": torch.ones(9)}}, old, _use_new_zipfile_serialization=False)
    old.write_bytes(old.read_bytes()[:-10])
    assert "not a readable weights file" in refused(old)


@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_changed_bytes_never_end_in_a_traceback(tmp_path, kind):
    path = tmp_path / ("a.safetensors" if kind == "safetensors" else "a.pth")
    state = {"layer0.0.weight": torch.ones(3, 4), "b": torch.zeros(2).half()}
    if kind == "safetensors":
        save_file(state, path)
    else:
        content = {"state_dict": state, "meta": {"CLASSES": ("x", "y")}}
        torch.save(content, path, _use_new_zipfile_serialization=kind == "zip")
    whole, draw = path.read_bytes(), np.random.default_rng(0)
    lines = []
    for _ in range(300):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[draw.integers(min(len(whole), 900), size=3)] = draw.integers(256, size=3)
        path.write_bytes(damaged.tobytes())
        try:
            read_weights(path)
        except UserError as error:
            lines.append(str(error))
    assert len(lines) > 30
    assert not any("\n" in line for line in lines)


def test_reading_warns_of_nothing(tmp_path, recwarn):
    state = filled(mmsegmentation(18, 3), hollow=True)
    key = "decode_head.conv_seg.bias"
    torch.save({**state, key: torch.ones(3).to_sparse()}, tmp_path / "a.pth", pickle_protocol=3)
    assert "holds sparse_coo" in refused(tmp_path / "a.pth")
    assert not [str(warning.message) for warning in recwarn]


class Harmful:
    """An object that runs code when it is unpickled."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return eval, (f"open({str(self.witness)!r}, 'w')",)


def test_a_pickle_that_would_run_code_does_not(tmp_path):
    path = saved(tmp_path / "a.pth", {"a": torch.zeros(1)}, meta=Harmful(tmp_path / "ran"))
    assert "it names builtins.eval, which could run code" in refused(path)
    assert not (tmp_path / "ran").exists()
    torch.load(path, weights_only=False)
    assert (tmp_path / "ran").exists()  # it would have


def test_a_safetensors_file_is_read_too(tmp_path):
    state = filled(mmsegmentation(18, 3))
    save_file(state, tmp_path / "a.safetensors")
    network = load_published(tmp_path / "a.safetensors").network
    assert torch.equal(network.decoder[4].weight, state["decode_head.conv_seg.weight"])


def encoder(name: str, path: Path) -> nn.Module:
    return build_encoder(name, weights=str(path), dilation=Dilation())
