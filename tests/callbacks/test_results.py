"""The report of an evaluation says its conditions; random states survive a resume."""

import json

import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import BatchSizeFinder
from lightning.pytorch.loggers import CSVLogger

from pspnet import PSPNet
from pspnet.callbacks.results import Report, title
from pspnet.callbacks.run_state import RandomState
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.folder import Folder
from pspnet.evaluation.metrics import iou_per_class
from pspnet.task import Segmentation


@pytest.fixture(scope="module")
def reported(shapes, tmp_path_factory):
    """The folder of an evaluation."""
    data = SegmentationData(Folder(shapes), crop_size=41, workers=0)
    network = PSPNet(3, encoder="tu-test_resnet", bins=[1], decoder_channels=8)
    folder = tmp_path_factory.mktemp("logs")
    trainer = Trainer(
        accelerator="cpu",
        precision="bf16-mixed",
        logger=CSVLogger(folder),
        callbacks=[BatchSizeFinder(), Report(examples=2)],
        enable_progress_bar=False,
    )
    trainer.validate(Segmentation(network, data.classes, absent="zero"), data, verbose=False)
    return folder / "lightning_logs" / "version_0"


def test_results_say_protocol_and_precision(reported):
    results = json.loads((reported / "results.json").read_text())
    conditions = {key: results[key] for key in ("split", "protocol", "precision", "absent")}
    expected = {"split": "val", "protocol": "whole", "precision": "bf16-mixed", "absent": "zero"}
    assert conditions == expected
    assert title(results) == "IoU on val (protocol whole, bf16-mixed, absent classes: zero)"
    assert set(results["iou"]) == {"ground", "disc", "bar"}
    assert {*results["colors"]} == set(results["iou"])
    matrix = torch.tensor(results["confusion"])
    assert matrix.dtype == torch.int64
    for score, iou in zip(results["iou"].values(), iou_per_class(matrix), strict=True):
        assert (score is None and iou.isnan()) or score == pytest.approx(iou.item())
    assert results["checkpoint"] is None  # not that of a batch size finder


def test_every_figure_is_there(reported):
    figures = {file.name for file in reported.glob("*.png")}
    assert figures == {"iou_per_class.png", "confusion.png", "predictions.png"}


def test_random_states_keep_their_name_in_checkpoints_and_are_restored():
    callback, resumed = RandomState(), RandomState()
    assert callback.state_key == "Randomness"  # of every checkpoint written so far
    resumed.load_state_dict(callback.state_dict())
    expected = torch.rand(3)
    torch.manual_seed(7)
    resumed.on_train_start(None, None)
    assert torch.equal(torch.rand(3), expected)
