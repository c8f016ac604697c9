"""Encoders by name, their weights, and the ones that cannot work."""

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import nn

from pspnet import Dilation
from pspnet.errors import UserError
from pspnet.models.encoder import _check_features, build_encoder


def build(name, weights=None):
    return build_encoder(name, weights=weights, dilation=Dilation())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet51", "unknown to smp and timm; did you mean resnet50"),
        ("convnext_atto", "write 'tu-convnext_atto'"),
        ("tu-resnetblur18", "cannot be dilated.*ResNet, ResNeXt, VGG"),
        ("tu-hrnet_w18_small", "cannot be dilated.*ResNet, ResNeXt, VGG"),
        ("tu-vit_tiny_patch16_224", "cannot be used.*ResNet, ResNeXt, VGG"),
        ("tu-swin_tiny_patch4_window7_224", "cannot be.*ResNet, ResNeXt, VGG"),
    ],
)
def test_encoders_that_cannot_work_are_refused_with_the_families_that_do(name, message):
    with pytest.raises(UserError, match=message) as caught:
        build(name)
    assert "\n" not in str(caught.value)


def published_resnet18() -> dict[str, torch.Tensor]:
    return torchvision.models.resnet18().state_dict()


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18"])
def test_weights_come_from_a_local_file(tmp_path, name, suffix):
    state = published_resnet18()
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    encoder = build(name, str(path))
    own = {key.removeprefix("model."): value for key, value in encoder.state_dict().items()}
    assert set(own) == {key for key in state if not key.startswith("fc.")}
    assert all(torch.equal(own[key], state[key]) for key in own)


def test_weights_of_a_timm_network_with_renamed_stages(tmp_path):
    state = timm.create_model("convnext_atto").state_dict()
    torch.save(state, tmp_path / "weights.pth")
    encoder = build("tu-convnext_atto", str(tmp_path / "weights.pth"))
    key = "stages.3.blocks.1.mlp.fc1.weight"
    assert torch.equal(encoder.model.stages_3.blocks[1].mlp.fc1.weight, state[key])


def test_weights_that_do_not_fit_are_refused_whole(tmp_path):
    path = tmp_path / "weights.pth"
    good = published_resnet18()
    bad = {
        "lacks layer4.1.bn2.weight": {k: v for k, v in good.items() if k != "layer4.1.bn2.weight"},
        "holds layer3_22_conv1_weight": {**good, "layer3.22.conv1.weight": torch.zeros(1)},
        r"conv1.weight is \(8, 3, 7, 7\), not \(64, 3, 7, 7\)": {
            **good,
            "conv1.weight": torch.zeros(8, 3, 7, 7),
        },
    }
    for message, state in bad.items():
        torch.save(state, path)
        with pytest.raises(UserError, match=message):
            build("resnet18", str(path))


def test_files_that_are_no_weights_are_refused(tmp_path):
    broken, pickled = tmp_path / "broken.safetensors", tmp_path / "code.pth"
    broken.write_bytes(b"nothing")
    torch.save({"weights": print}, pickled)  # a pickle that names code
    with pytest.raises(UserError, match="not a readable weights file"):
        build("resnet18", str(broken))
    with pytest.raises(UserError, match="not a readable weights file"):
        build("resnet18", str(pickled))
    with pytest.raises(UserError, match="no such file"):
        build("resnet18", str(tmp_path / "absent.pth"))


@pytest.mark.parametrize("name", ["resnet18", "tu-resnet18"])
def test_pretrained_weights_without_a_network_end_in_one_line(monkeypatch, tmp_path, name):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        UserError, match=r"could not be fetched.*give a local file.*package:effic"
    ) as caught:
        build(name, "imagenet")
    assert "\n" not in str(caught.value)


STEMS = {
    "semseg": ("conv1", "bn1", "conv2", "bn2", "conv3", "bn3"),
    "mmcv": ("stem.0", "stem.1", "stem.3", "stem.4", "stem.6", "stem.7"),
}


@pytest.mark.parametrize(("kind", "name"), [("semseg", "tu-resnet50s"), ("mmcv", "tu-resnet18c")])
def test_the_files_that_the_published_trainings_started_from(kind, name, tmp_path):
    """ImageNet ResNets with a deep stem, under the names of semseg's and of mmcv's modules."""
    source = build_encoder(name, weights=None, dilation=Dilation())
    ours = ("conv1.0", "conv1.1", "conv1.3", "conv1.4", "conv1.6", "bn1")
    theirs = dict(zip(ours, STEMS[kind], strict=True))
    state = {}
    for key, value in source.model.state_dict().items():
        module, _, tensor = key.rpartition(".")
        state[f"{theirs.get(module, module)}.{tensor}"] = torch.rand(value.shape)
    assert STEMS[kind][5] + ".running_var" in state
    torch.save(
        {**state, "fc.weight": torch.zeros(1000, 4), "fc.bias": torch.zeros(1000)}, tmp_path / "w"
    )
    loaded = build_encoder(name, weights=str(tmp_path / "w"), dilation=Dilation()).model
    own = loaded.state_dict()
    for mine, foreign in theirs.items():
        tensors = [key for key in own if key.rpartition(".")[0] == mine]
        assert tensors
        for key in tensors:
            if not key.endswith("num_batches_tracked"):
                assert torch.equal(own[key], state[f"{foreign}.{key.rpartition('.')[2]}"])
    assert torch.equal(own["layer4.1.conv1.weight"], state["layer4.1.conv1.weight"])


@pytest.mark.parametrize("name", ["efficientnet-b0", "mobilenet_v2", "resnet18", "tu-resnet10t"])
def test_no_parameter_waits_in_vain_for_its_gradient(name):
    """DistributedDataParallel ends where one does; EfficientNet of smp has a head that it skips."""
    encoder = build_encoder(name, weights=None, dilation=Dilation())
    encoder(torch.randn(2, 3, 65, 65))[-1].sum().backward()
    waiting = [n for n, p in encoder.named_parameters() if p.requires_grad and p.grad is None]
    unused = [n for n, p in encoder.named_parameters() if not p.requires_grad]
    assert not waiting
    assert bool(unused) == (name == "efficientnet-b0")
    assert all(n.startswith(("_conv_head", "_bn1")) for n in unused)


class Stages(nn.Module):
    """Five stages of one convolution, the last two without a stride, as `dilate` leaves them."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Conv2d(channels, 4, 3, stride=stride, padding=1)
            for channels, stride in ((3, 2), (4, 2), (4, 2), (4, 1))
        )
        self.stages.append(last)

    def forward(self, x):
        return [x := stage(x) for stage in self.stages]


class Gate(nn.Module):
    """A gate of each quarter of the map, which comes out at 1/64 of the image of the check."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.layer = nn.AdaptiveAvgPool2d(2), nn.Conv2d(4, 4, 1)

    def forward(self, x):
        gate = nn.functional.interpolate(self.layer(self.pool(x)), x.shape[2:])
        return x * gate.sigmoid()


def test_a_stage_must_keep_both_sides():
    encoder = Stages(nn.Conv2d(4, 4, 3, padding=1))
    _check_features(encoder, Dilation())
    assert all(parameter.requires_grad for parameter in encoder.parameters())
    _check_features(Stages(Gate()), Dilation())
    wide = nn.Conv2d(4, 4, 3, stride=(1, 2), padding=1)
    with pytest.raises(UserError, match=r"stage 5 of a 128×75 image comes out as 16×5, not 1/8"):
        _check_features(Stages(wide), Dilation())
    with pytest.raises(UserError, match=r"stages\.4 \(Conv2d\) halves its input"):
        _check_features(Stages(nn.Conv2d(4, 4, 3, stride=2, padding=1)), Dilation())


def test_a_network_built_without_gradients_trains():
    with torch.no_grad():
        encoder = build_encoder("tu-test_resnet", weights=None, dilation=Dilation())
    assert all(parameter.requires_grad for parameter in encoder.parameters())


def test_maps_with_channels_last_freeze_with_their_stage():
    encoder = build_encoder("tu-test_convnext", weights=None, dilation=Dilation(), frozen_stages=2)
    frozen = {name for name, p in encoder.named_parameters() if not p.requires_grad}
    stem = {name for name, _ in encoder.named_parameters() if ".stem." in name or "stem_" in name}
    assert (
        stem | {f"model.stages_0.blocks.0.mlp.fc2.{part}" for part in ("weight", "bias")} <= frozen
    )
    assert not any("stages_1.blocks" in name or "stages_3" in name for name in frozen)
