"""Examples of differing sizes in W&B, which shows images of one size alone."""

from types import SimpleNamespace
from typing import Any
from unittest.mock import create_autospec

import numpy as np
import pytest
import torch
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.trainer.states import TrainerFn

from pspnet.callbacks import wandb_images
from pspnet.callbacks.wandb_images import WandbImages
from pspnet.task import Segmentation

SIZES = [(4, 6), (8, 5), (8, 5)]


@pytest.fixture
def logged(monkeypatch) -> Any:
    """What a validation of three images, all of class 1, hands to W&B."""
    monkeypatch.setattr(wandb_images, "data_of", lambda trainer: None)
    monkeypatch.setattr(
        wandb_images,
        "denormalize",
        lambda image, data: np.full((*image.shape[1:], 3), 200, np.uint8),
    )
    logger = create_autospec(WandbLogger, instance=True)
    state = SimpleNamespace(fn=TrainerFn.FITTING)
    flags = {"sanity_checking": False, "is_global_zero": True, "num_val_batches": [3]}
    trainer: Any = SimpleNamespace(state=state, loggers=[logger], global_step=7, **flags)
    task: Any = create_autospec(Segmentation, instance=True)
    task.classes = SimpleNamespace(names=("ground", "disc"))
    shown = WandbImages(3)
    shown.on_validation_start(trainer, task)
    for index, size in enumerate(SIZES):
        ones = torch.ones(1, *size, dtype=torch.long)
        batch = {"image": torch.zeros(1, 3, *size), "label": ones, "name": [f"image {index}"]}
        shown.on_validation_batch_end(trainer, task, ones, batch, index)
    shown.on_validation_end(trainer, task)
    return logger.log_image.call_args


def test_smaller_ones_get_a_border_that_is_ignored(logged) -> None:
    images, masks = logged.args[1], logged.kwargs["masks"]
    for (height, width), image, of_image in zip(SIZES, images, masks, strict=True):
        assert image.shape == (8, 6, 3)
        assert (image[:height, :width] == 200).all()
        assert image.sum() == 200 * 3 * height * width
        for mask in of_image.values():
            assert mask["mask_data"].shape == (8, 6)
            assert (mask["mask_data"][:height, :width] == 1).all()
            assert (mask["mask_data"] == 255).sum() == 48 - height * width
