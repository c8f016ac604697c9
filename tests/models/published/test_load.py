"""Recognition of published checkpoints, and the place of each of their tensors."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from foreign import filled, from_mmsegmentation, from_semseg, mmsegmentation, saved, semseg
from torch import Tensor

from pspnet import Dilation, PSPNet, load_published
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError
from pspnet.task import Segmentation

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and std


def assert_all_moved(state: dict[str, Tensor], network: PSPNet, ours: Callable[[str], str]) -> None:
    own = network.state_dict()
    moved = {ours(key): value for key, value in state.items()}
    assert len(moved) == len(state)
    assert moved.keys() == own.keys()
    assert all(torch.equal(own[key], value) for key, value in moved.items())


def test_every_tensor_of_semseg_has_its_place(tmp_path):
    state = filled(semseg(50, 21))
    path = saved(tmp_path / "a.pth", {f"module.{key}": v for key, v in state.items()}, epoch=50)
    published = load_published(path, 21)
    path.unlink()  # some hundred MB, which pytest would keep
    assert_all_moved(state, published.network, from_semseg)
    assert not published.network.training
    assert all(parameter.requires_grad for parameter in published.network.parameters())
    assert (published.format, published.mean, published.std) == ("semseg", *IMAGENET)
    assert (published.class_names, published.crop_size) == (None, (473, 473))
    options = published.network.options
    assert (options["encoder"], options["align_corners"]) == ("tu-resnet50s", True)
    assert (options["bins"], options["num_classes"]) == ([1, 2, 3, 6], 21)
    encoder = published.network.encoder.model
    assert [block.conv2.dilation for block in encoder.layer3] == [(2, 2)] * 6
    assert [block.conv2.dilation for block in encoder.layer4] == [(4, 4)] * 3


@pytest.mark.parametrize("v1c", [True, False])
@pytest.mark.parametrize("auxiliary", [True, False])
def test_every_tensor_of_mmsegmentation_has_its_place(tmp_path, v1c, auxiliary):
    state = filled(mmsegmentation(18, 11, v1c=v1c, auxiliary=auxiliary))
    path = saved(tmp_path / "a.pth", state, meta={"CLASSES": tuple("abcdefghijk"), "PALETTE": []})
    published = load_published(path)
    network = published.network

    def ours(key: str) -> str:
        deeper = "encoder.model.layer" if v1c else "encoder.layer"
        return from_mmsegmentation(key).replace("encoder.layer", deeper)

    assert_all_moved(state, network, ours)
    assert network.options["encoder"] == ("tu-resnet18c" if v1c else "resnet18")
    assert (published.format, published.class_names) == ("mmsegmentation", tuple("abcdefghijk"))
    assert (published.mean, published.std, published.crop_size) == (*IMAGENET, (512, 512))
    assert (network.auxiliary is not None) is auxiliary
    assert network.options["align_corners"] is False
    stage5 = (network.encoder.model if v1c else network.encoder).layer4
    dilations = [(block.conv1.dilation, block.conv2.dilation) for block in stage5]
    assert dilations == [((2, 2), (1, 1)), ((4, 4), (1, 1))]


@pytest.mark.parametrize(
    ("publisher", "depth", "encoder"),
    [
        *((semseg, depth, f"tu-resnet{depth}s") for depth in (50, 101)),
        *(
            pytest.param(publisher, depth, f"tu-resnet{depth}{kind}", marks=pytest.mark.slow)
            for publisher, depth, kind in (
                (semseg, 152, "s"),
                (semseg, 269, "s"),
                (mmsegmentation, 152, "c"),
            )
        ),
        *((mmsegmentation, depth, f"tu-resnet{depth}c") for depth in (18, 50, 101)),
    ],
)
def test_networks_with_a_deep_stem(tmp_path, publisher, depth, encoder):
    auxiliary = depth < 152
    state = filled(publisher(depth, 7, auxiliary=auxiliary), hollow=True)
    network = load_published(saved(tmp_path / "a.pth", state)).network
    options = network.options
    assert (options["encoder"], options["num_classes"]) == (encoder, 7)
    assert options["decoder_channels"] == (128 if depth == 18 else 512)
    assert (network.auxiliary is not None) is auxiliary
    if auxiliary:
        assert options["auxiliary_channels"] == (64 if depth == 18 else 256)
    half = publisher is mmsegmentation
    assert options["dilation"]["first_block"] == ("half" if half else "full")
    assert options["dilation"]["convolutions"] == ("first" if depth == 18 else "all")


@pytest.mark.parametrize("depth", [18, 34, 50, 101, 152])
def test_plain_networks(tmp_path, depth):
    state = filled(mmsegmentation(depth, 7, v1c=False), hollow=True)
    options = load_published(saved(tmp_path / "a.pth", state)).network.options
    assert options["encoder"] == f"resnet{depth}"
    assert options["dilation"]["convolutions"] == ("first" if depth < 50 else "all")


@pytest.mark.parametrize("classes", [19, 21, 150, 40])
def test_the_crop_size_is_the_published_networks(tmp_path, classes):
    path = saved(tmp_path / "a.pth", filled(semseg(50, classes), hollow=True))
    assert load_published(path).crop_size == ((713, 713) if classes == 19 else (473, 473))
    saved(path, filled(mmsegmentation(18, classes), hollow=True))
    assert load_published(path).crop_size == ((512, 1024) if classes == 19 else (512, 512))


@pytest.mark.parametrize("form", ["prefixed", "plain", "bare"])
def test_forms_of_a_state_dict(tmp_path, form):
    state = filled(semseg(), hollow=True, counted=form == "plain")
    if form == "prefixed":
        state = {f"module.{key}": value for key, value in state.items()}
    torch.save(state if form == "bare" else {"state_dict": state}, tmp_path / "a.pth")
    network = load_published(tmp_path / "a.pth").network
    counts = [int(v) for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")]
    assert counts
    assert (set(counts) == {0}) is (form != "plain")


def test_half_precision_becomes_single(tmp_path):
    state = filled(mmsegmentation(18, 3))
    half = {key: v.half() if v.is_floating_point() else v for key, v in state.items()}
    network = load_published(saved(tmp_path / "a.pth", half)).network
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    weight = half["decode_head.conv_seg.weight"]
    assert torch.equal(network.decoder[4].weight, weight.float())


def test_align_corners_can_be_overridden(tmp_path):
    path = saved(tmp_path / "a.pth", filled(mmsegmentation(18, 3), hollow=True))
    network = load_published(path, align_corners=True).network
    assert network.align_corners is True
    assert network.pyramid.align_corners is True


def test_bins_of_other_pyramids_are_asked_for(tmp_path):
    path = saved(tmp_path / "a.pth", filled(semseg(levels=2), hollow=True))
    with pytest.raises(UserError, match="has 2 pyramid levels, and does not say their bins; give"):
        load_published(path)
    assert load_published(path, bins=(1, 4)).network.pyramid.bins == (1, 4)
    with pytest.raises(UserError, match=r"has 2 pyramid levels, not bins=\[1, 2, 3, 6\]"):
        load_published(path, bins=(1, 2, 3, 6))
    path = saved(tmp_path / "b.pth", filled(semseg(levels=0), hollow=True))
    assert load_published(path).network.pyramid.bins == ()


def test_a_checkpoint_of_a_run_is_its_network(tmp_path):
    network = PSPNet(
        2,
        "tu-resnet10t",
        dilation=Dilation(stage5=(4, 8)),
        bins=(1, 3),
        decoder_channels=16,
        auxiliary_channels=8,
        pool="max",
        align_corners=False,
    )
    path = own_checkpoint(tmp_path / "own.ckpt", network)
    published = load_published(path, 2)
    assert published.network.options == network.options
    state = published.network.state_dict()
    assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())
    assert (published.format, published.class_names) == ("pspnet", ("a", "b"))
    assert (published.mean, published.std) == ((0.5, 0.5, 0.4), (0.2, 0.2, 0.1))
    assert published.crop_size == (65, 97)
    image = torch.randn(1, 3, 65, 65)
    with torch.no_grad():
        assert torch.equal(published.network(image), network.eval()(image))
    with pytest.raises(UserError, match=r"says bins=\[1, 3\], not \[1, 2\]; leave bins out"):
        load_published(path, bins=(1, 2))


def test_a_run_without_mean_and_std_had_those_of_imagenet(tmp_path):
    path = own_checkpoint(tmp_path / "own.ckpt", PSPNet(2, "tu-resnet10t", decoder_channels=8))
    checkpoint = torch.load(path, weights_only=True)
    checkpoint["config"]["data"] |= {"mean": None, "std": None}
    torch.save(checkpoint, path)
    published = load_published(path)
    assert (published.mean, published.std) == IMAGENET


def test_a_network_edited_after_its_construction_is_refused(tmp_path):
    network = PSPNet(2, "tu-resnet10t", decoder_channels=16, auxiliary_channels=8)
    network.decoder[2] = torch.nn.GELU()
    with pytest.raises(UserError, match=r"its network.decoder.2 was edited after the construction"):
        load_published(own_checkpoint(tmp_path / "own.ckpt", network))


def own_checkpoint(path: Path, network: PSPNet) -> Path:
    """A checkpoint as a run leaves it, with a tensor of the task's beside the network's."""
    task = Segmentation(network, Classes(names=("a", "b"), colors=((0, 0, 0), (9, 9, 9))))
    checkpoint = {"state_dict": {**task.state_dict(), "loss.weights": torch.ones(2)}}
    task.on_save_checkpoint(checkpoint)
    data = {"crop_size": [65, 97], "mean": [0.5, 0.5, 0.4], "std": [0.2, 0.2, 0.1]}
    checkpoint["config"] = {"name": "x", "data": data, "model": {}}
    torch.save(checkpoint, path)
    return path
