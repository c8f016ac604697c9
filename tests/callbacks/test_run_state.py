"""The samples of a training that ends, and is then continued to a later end."""

from pathlib import Path

import lightning
import pytest
import torch
from lightning.pytorch.cli import ReduceLROnPlateau

from pspnet.callbacks.run_state import Position
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.folder import Folder
from pspnet.errors import UserError


class Recorder(lightning.LightningModule):
    """Keeps the names and rates of its training batches, and the step of each validation."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[tuple[str, ...]] = []
        self.validations: list[int] = []
        self.rates: list[float] = []

    def training_step(self, batch: dict, index: int) -> torch.Tensor:
        self.seen.append(tuple(batch["name"]))
        self.rates.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return self.weight.sum()

    def validation_step(self, batch: dict, index: int) -> None:
        if index == 0:
            self.validations.append(self.trainer.global_step)
        self.log("worse", float(self.trainer.global_step))

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.SGD(self.parameters(), lr=1.0)
        plateau = ReduceLROnPlateau(optimizer, monitor="worse", patience=0, factor=0.5)
        scheduler = {"scheduler": plateau, "interval": "epoch", "monitor": "worse"}
        return {"optimizer": optimizer, "lr_scheduler": scheduler}


def train(root: Path, tmp_path: Path, resumed: Path | None = None, **options) -> Recorder:
    """Train on ten images in batches of two, five steps per epoch, and save the end."""
    model = Recorder()
    data = SegmentationData(Folder(root), crop_size=33, batch_size=2, workers=0)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    trainer = lightning.Trainer(
        accelerator="cpu",
        callbacks=[Position()],
        enable_checkpointing=False,
        default_root_dir=tmp_path,
        num_sanity_val_steps=0,
        **quiet,
        **options,
    )
    trainer.fit(model, data, ckpt_path=resumed, weights_only=True)
    trainer.save_checkpoint(tmp_path / "end.ckpt")
    return model


@pytest.mark.parametrize("end", [2, 5, 7, 10])
@pytest.mark.parametrize("interval", [1.0, 2])
def test_a_run_with_a_later_end_sees_what_one_without_a_stop_does(shapes, tmp_path, end, interval):
    whole = train(shapes, tmp_path, max_steps=14, val_check_interval=interval)
    first = train(shapes, tmp_path, max_steps=end, val_check_interval=interval)
    last = tmp_path / "end.ckpt"
    rest = train(shapes, tmp_path, last, max_steps=14, val_check_interval=interval)
    assert first.seen + rest.seen == whole.seen
    assert first.validations + rest.validations == whole.validations


def test_more_epochs_follow_the_earlier_ones(shapes, tmp_path):
    whole = train(shapes, tmp_path, max_epochs=4)
    first = train(shapes, tmp_path, max_epochs=2)
    rest = train(shapes, tmp_path, tmp_path / "end.ckpt", max_epochs=4)
    assert first.seen + rest.seen == whole.seen
    assert first.rates + rest.rates == whole.rates
    assert len(set(whole.rates)) == 3


@pytest.mark.parametrize("option", ["val_check_interval", "limit_train_batches"])
def test_nothing_ends_within_a_step(shapes, tmp_path, option):
    with pytest.raises(UserError, match=f"trainer.{option} is 3 batches, within a step of 2"):
        train(shapes, tmp_path, max_epochs=1, accumulate_grad_batches=2, **{option: 3})
