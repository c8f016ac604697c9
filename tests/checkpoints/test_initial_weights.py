"""Weights that start another training: what is taken, by name, shape, bin and class."""

import pytest
import torch
from foreign import filled, mmsegmentation, saved

from pspnet import PSPNet, load_published
from pspnet.checkpoints.initial_weights import initialize, read_initial_weights
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError
from pspnet.models.pspnet import from_options
from pspnet.task import Segmentation

SMALL = {"encoder": "tu-test_resnet", "decoder_channels": 4, "auxiliary_channels": 4}
NAMES = ("ground", "disc", "bar")


def network(count: int, **options) -> PSPNet:
    return PSPNet(count, **{**SMALL, **options})


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A checkpoint of three classes as a task saves it, all of whose tensors are random."""
    torch.manual_seed(0)
    trained = network(3)
    for value in trained.state_dict().values():
        if value.is_floating_point():
            value.uniform_(0.1, 1)
    task = Segmentation(trained, Classes(NAMES, ((9, 9, 9), (8, 0, 0), (0, 0, 8))))
    content = {"pytorch-lightning_version": "2.6.0", "state_dict": task.state_dict()}
    task.on_save_checkpoint(content)
    path = tmp_path_factory.mktemp("weights") / "a.ckpt"
    torch.save(content, path)
    return path


def started(path, names, **options):
    """Return a new network that started from a file, its first state, the file's and the lines."""
    new, weights = network(len(names), **options), read_initial_weights(path)
    before = {key: value.clone() for key, value in new.state_dict().items()}
    lines = initialize(new, names, weights)
    return new.state_dict(), before, weights.state, lines


def test_the_same_classes_take_everything(checkpoint):
    state, _, there, lines = started(checkpoint, NAMES)
    assert all(torch.equal(state[key], there[key]) for key in state)
    count = len(state)
    assert lines == [f"init_from={checkpoint}: {count} of {count} tensors taken"]


@pytest.mark.parametrize("names", [("bar", "Disc ", "sky", "sea"), ("bar", "ground", "sky")])
def test_rows_of_the_classifiers_follow_the_names_of_the_classes(checkpoint, names):
    state, before, there, lines = started(checkpoint, names)
    places = [NAMES.index(n) if (n := name.strip().lower()) in NAMES else None for name in names]
    for key in state:
        if not key.startswith(("decoder.4", "auxiliary.4")):
            assert torch.equal(state[key], there[key]), key
            continue
        for row, place in enumerate(places):
            expected = before[key][row] if place is None else there[key][place]
            assert torch.equal(state[key][row], expected)
    assert lines[0].count("new: decoder.4") == 1
    assert "auxiliary.4" in lines[0]
    assert ("4×4×1×1, there 3×4×1×1" in lines[0]) == (len(names) == 4)
    kept = ", ".join(names[:2])
    assert lines[1].endswith(f"keep the rows of 2 of {len(names)} classes by name: {kept}")


def test_pyramid_levels_follow_their_bins(checkpoint):
    state, before, there, lines = started(checkpoint, NAMES, bins=(1, 3, 6, 8))
    for place, level in {0: 0, 1: 2, 2: 3}.items():
        key, theirs = (f"pyramid.levels.{n}.0.weight" for n in (place, level))
        assert torch.equal(state[key], there[theirs])
    assert torch.equal(state["pyramid.levels.3.0.weight"], before["pyramid.levels.3.0.weight"])
    assert torch.equal(state["decoder.0.weight"], there["decoder.0.weight"])  # of the same width
    assert (
        "new: pyramid.levels.3.0; pyramid.levels.3.1; not used: pyramid.levels.(bin 2)"
        in (lines[0])
    )
    state, before, _, lines = started(checkpoint, NAMES, bins=(1, 2, 3), reduce=False)
    assert torch.equal(state["decoder.0.weight"], before["decoder.0.weight"])
    width = before["decoder.0.weight"].shape[1]
    assert f"decoder.0 4×{width}×3×3, there 4×" in lines[0]


def test_options_that_change_what_is_computed_are_named(checkpoint):
    lines = started(checkpoint, NAMES, align_corners=False, auxiliary=False)[-1]
    assert "not used: auxiliary.0; auxiliary.1; auxiliary.4" in lines[0]
    assert lines[1].endswith("trained with align_corners=True, and this run sets other values")


def test_what_does_not_fit_is_refused(checkpoint, tmp_path):
    with pytest.raises(UserError, match=r"its encoder is tu-test_resnet, and .* is tu-resnet10t"):
        started(checkpoint, NAMES, encoder="tu-resnet10t")
    content = torch.load(checkpoint)
    content["state_dict"]["network.decoder.0.weight"][0] = torch.nan
    torch.save(content, tmp_path / "nan.ckpt")
    with pytest.raises(UserError, match=r"'decoder.0.weight' holds nan, not finite"):
        started(tmp_path / "nan.ckpt", NAMES)
    with pytest.raises(UserError, match=r"a folder with 0 files of weights"):
        read_initial_weights(tmp_path / "..")


def test_published_files_and_folders_start_a_training(tmp_path):
    state = filled(mmsegmentation(18, 2), hollow=True)
    path = saved(tmp_path / "model.pth", state, meta={"CLASSES": ["crack", "wall"]})
    (tmp_path / "config.json").write_text("{}")
    weights = read_initial_weights(tmp_path)
    assert (weights.path, weights.classes) == (path, ("crack", "wall"))
    assert weights.options["encoder"] == "tu-resnet18c"
    new = from_options({**weights.options, "num_classes": 3})
    lines = initialize(new, ("wall", "roof", "door"), weights)
    assert lines[1].endswith("1 of 3 classes by name: wall")
    expected = load_published(path).network.decoder[4].weight[1]
    assert torch.equal(new.decoder[4].weight[0], expected)
