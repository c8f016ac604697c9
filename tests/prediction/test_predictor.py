"""A predictor gives what the network gives, for every form of image and of checkpoint."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign import filled, mmsegmentation, saved
from PIL import Image
from trained import CLASSES, MEAN, STD, small_task, write_checkpoint

from pspnet import Predictor, PSPNet
from pspnet.__main__ import main
from pspnet.errors import UserError
from pspnet.inference.class_scores import evaluate
from pspnet.inference.protocols import ProtocolOverrides

PIXELS = np.random.default_rng(0).integers(0, 256, (49, 81, 3), np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("run") / "last.ckpt", small_task())


def normalized(pixels: np.ndarray) -> torch.Tensor:
    image = (pixels / 255 - np.array(MEAN)) / np.array(STD)
    return torch.tensor(image, dtype=torch.float32).permute(2, 0, 1)[None]


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize(
    ("protocol", "overrides"),
    [
        ("whole", ProtocolOverrides()),
        ("whole", ProtocolOverrides(mirror=True)),  # a mean of logits
        ("paper-ss", ProtocolOverrides()),  # a mean of probabilities
    ],
)
def test_label_confidence_and_scores_of_a_task_from_python(protocol, overrides, temperature):
    task = small_task(protocol=protocol, inference=overrides, temperature=temperature)
    found = Predictor(task, mean=MEAN, std=STD, device="cpu", precision="32-true")(PIXELS)
    with torch.no_grad():
        scores = evaluate(task.network, normalized(PIXELS), task.protocol)[0].double()
    if protocol != "whole":
        scores = scores.log()
    probabilities = (scores / temperature).softmax(0).numpy()
    np.testing.assert_array_equal(found.label, probabilities.argmax(0))
    np.testing.assert_allclose(found.confidence, probabilities.max(0), atol=2e-5)
    np.testing.assert_allclose(found.scores(), probabilities, atol=2e-5)
    assert len(np.unique(found.label)) > 1


def test_every_form_of_image_is_one_image(checkpoint, tmp_path):
    predictor = Predictor.load(checkpoint, precision="32-true")
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    turned = Image.fromarray(np.rot90(PIXELS).copy())
    turned.getexif()[0x0112] = 6  # shown turned to the right
    forms = [
        tmp_path / "a.png",
        str(tmp_path / "a.png"),
        Image.fromarray(PIXELS),
        turned,
        PIXELS,
        torch.from_numpy(PIXELS).permute(2, 0, 1),
    ]
    found = predictor(forms)
    for prediction in found:
        np.testing.assert_array_equal(prediction.image, PIXELS)
        np.testing.assert_array_equal(prediction.label, found[0].label)
    assert [prediction.name for prediction in found[:3]] == ["a", "a", "image"]
    assert [prediction.file for prediction in found[:3]] == ["a.png", "a.png", ""]


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (PIXELS.astype(float), r"\(49, 81, 3\) of float64"),
        (PIXELS[..., :1], r"\(49, 81, 1\) of uint8"),
        (torch.from_numpy(PIXELS), r"tensor \(49, 81, 3\)"),
        (Image.fromarray(PIXELS[..., 0].astype(np.int32)), "mode I"),
        (7, "'int' is no image"),
        (b"\x89PNG", "'bytes' is no image"),
        ("missing.png", "missing.png"),
    ],
)
def test_other_images_are_refused(checkpoint, image, said):
    with pytest.raises(UserError, match=said):
        Predictor.load(checkpoint)(image)


def test_predictor_is_what_the_command_predicts(checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    Image.fromarray(PIXELS).save(tmp_path / "images/a.png")
    words = f"predict --ckpt_path={checkpoint} --data.images=images --data.workers=0 --wandb=off"
    main([*words.split(), "--trainer.accelerator=cpu", "--output.folder=out"])
    predictor = Predictor.load(checkpoint, device="cpu", precision="32-true")
    predictor("images/a.png").save("mine")
    for file in ("index/a.png", "color/a.png", "overlay/a.jpg"):
        np.testing.assert_array_equal(Image.open(f"out/{file}"), Image.open(f"mine/{file}"))
    with pytest.raises(UserError, match="exists"):
        predictor("images/a.png").save("mine")


def test_published_weights_have_the_classes_of_their_data_set(tmp_path):
    path = saved(tmp_path / "mmseg.pth", filled(mmsegmentation(18, 19)))
    predictor = Predictor.load(path, protocol="whole")
    assert predictor.classes.names[:3] == ("road", "sidewalk", "building")
    assert predictor.protocol.name == "whole"


class OwnNetwork(PSPNet):
    """A class of somebody's own, imported."""


def test_class_of_ones_own_is_loaded_where_it_is_imported(tmp_path):
    task = small_task(OwnNetwork)
    predictor = Predictor.load(write_checkpoint(tmp_path / "own.ckpt", task))
    found = predictor(PIXELS)
    assert isinstance(predictor.trained.task.network, OwnNetwork)
    assert found.label.shape == (49, 81)


def test_device_that_is_not_there(checkpoint):
    with pytest.raises(UserError, match="device=cuda:99"):
        Predictor.load(checkpoint, device="cuda:99")


@pytest.mark.parametrize("option", ["protocol", "precision"])
def test_unknown_names_are_refused(checkpoint, option):
    with pytest.raises(UserError, match=f"{option}=paper: give one of"):
        Predictor.load(checkpoint, **{option: "paper"})


def test_a_prediction_keeps_its_image(checkpoint):
    image = torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)  # channels-last
    prediction = Predictor.load(checkpoint)(image)
    image.zero_()  # as a loop that fills one buffer again and again
    np.testing.assert_array_equal(prediction.image, PIXELS)


def test_notebook_shows_the_overlay_and_what_is_there(checkpoint):
    prediction = Predictor.load(checkpoint)(PIXELS)
    shares = prediction.shares()
    assert sum(shares.values()) == pytest.approx(1)
    assert [*shares.values()] == sorted(shares.values(), reverse=True)
    assert shares["road"] == (prediction.label == 1).mean()
    drawn = Image.open(io.BytesIO(prediction._repr_png_()))
    assert drawn.width == 960
    overlay = np.asarray(prediction.overlay(alpha=1.0))
    np.testing.assert_array_equal(overlay, np.array(CLASSES.colors, np.uint8)[prediction.label])


def test_unknown_forms_and_plain_networks_are_refused(checkpoint, tmp_path):
    prediction = Predictor.load(checkpoint)(PIXELS)
    for forms, said in ((["indx"], "'indx' is no list of index"), ("index", "'index' is no list")):
        with pytest.raises(UserError, match=said):
            prediction.save(tmp_path / "out", forms=forms)
    assert not (tmp_path / "out").exists()
    with pytest.raises(UserError, match=r"PSPNet is no pspnet\.task\.Segmentation"):
        Predictor(small_task().network, mean=MEAN, std=STD)
