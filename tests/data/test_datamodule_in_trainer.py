"""The data module in a Trainer: samplers, precision, checkpoints, prediction, options."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.cli import LightningCLI
from PIL import Image
from tiny import TinySource, build, two_epochs

from pspnet.data.datamodule import SegmentationData
from pspnet.data.samplers import EvaluationSampler, TrainingSampler
from pspnet.data.transforms.augmentation import Augmentation


class Recorder(lightning.LightningModule):
    """Keeps names, pixel sums and types of the batches it gets, epoch by epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.types: set[tuple[torch.dtype, ...]] = set()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: dict[str, list[Any]] = {"train": [], "val": [], "test": [], "predict": []}
        self.samplers: list[type] = []

    def keep(self, stage: str, batch: dict[str, Any]) -> None:
        self.seen[stage].append((self.current_epoch, batch["name"], float(batch["image"].sum())))
        self.types.add(tuple(batch[key].dtype for key in ("image", "label") if key in batch))

    def on_train_start(self) -> None:
        self.samplers = [type(self.trainer.train_dataloader.sampler)]
        if self.trainer.val_dataloaders:
            self.samplers.append(type(self.trainer.val_dataloaders.sampler))

    def training_step(self, batch: dict[str, Any], index: int) -> torch.Tensor:
        self.keep("train", batch)
        return self.weight.sum()

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        self.keep("val", batch)

    def predict_step(self, batch: dict[str, Any], index: int) -> None:
        self.keep("predict", batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(tmp_path: Path, **values: Any) -> lightning.Trainer:
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    return lightning.Trainer(
        accelerator="cpu",
        devices=1,
        default_root_dir=tmp_path,
        log_every_n_steps=1,
        **quiet,
        **values,
    )


def test_fit_keeps_the_samplers_and_tells_them_the_epoch(tmp_path: Path) -> None:
    model, data = Recorder(), build(TinySource(str(tmp_path / "data")), workers=1)
    trainer(tmp_path, max_epochs=2, enable_checkpointing=False).fit(model, data)
    assert model.samplers == [TrainingSampler, EvaluationSampler]
    expected = two_epochs(build(data.source))
    assert [names for _, names, _ in model.seen["train"]] == [batch["name"] for batch in expected]
    sums = [float(data.on_after_batch_transfer(batch, 0)["image"].sum()) for batch in expected]
    assert [total for _, _, total in model.seen["train"]] == sums
    whole = [names for epoch, names, _ in model.seen["val"] if epoch == 1]
    assert whole == [[f"val{number}"] for number in range(5)]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.parametrize(
    ("precision", "expected"),
    [("32-true", torch.float32), ("bf16-true", torch.bfloat16), ("64-true", torch.float64)],
)
def test_every_step_sees_images_in_the_precision_of_the_run(
    tmp_path: Path, precision: str, expected: torch.dtype
) -> None:
    model, data = Recorder(), build(TinySource(str(tmp_path / "data")))
    run = trainer(tmp_path, max_epochs=1, precision=precision, enable_checkpointing=False)
    run.fit(model, data)
    assert model.types == {(expected, torch.int64)}
    run.predict(model, data)
    assert model.types == {(expected, torch.int64), (expected,)}


def test_overfitting_repeats_its_batches(tmp_path: Path) -> None:
    model, data = Recorder(), build(TinySource(str(tmp_path / "data")))
    with pytest.warns(UserWarning, match="overfit"):
        trainer(tmp_path, max_epochs=2, overfit_batches=1, enable_checkpointing=False).fit(
            model, data
        )
    first, second = model.seen["train"]
    assert first[1:] == second[1:]


def test_prediction_on_images_does_without_the_source(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    for name, size in (("a.png", (5, 4)), ("sub/a.jpg", (70, 50))):
        Image.new("RGB", size, (200, 0, 0)).save(folder / name)
    source = TinySource(str(tmp_path / "absent"))
    model = Recorder()
    trainer(tmp_path).predict(model, build(source, images=folder))
    assert [names for _, names, _ in model.seen["predict"]] == [["a"], ["sub/a"]]
    assert not source.root.exists()


def test_checkpoints_load_as_plain_weights(tmp_path: Path) -> None:
    data = build(TinySource(str(tmp_path / "data")), images=tmp_path)
    run = trainer(tmp_path, max_epochs=1, limit_val_batches=0)
    run.fit(Recorder(), data)
    run.save_checkpoint(tmp_path / "last.ckpt")
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 1


def test_the_constructor_is_the_configuration(tmp_path: Path) -> None:
    arguments = ["--data.source=tiny.TinySource", "--data.source.root=here"]
    arguments += ["--data.crop_size=[713,473]", "--data.images=some"]
    arguments += ["--data.augmentation.rotation=0", "--data.augmentation.scale=[0.75,1.5]"]
    arguments += ["--data.augmentation.extra=own.yaml", "--data.cache=kept"]
    arguments += [f"--trainer.default_root_dir={tmp_path}", "--trainer.logger=false"]
    data = LightningCLI(
        Recorder, SegmentationData, args=arguments, run=False, save_config_callback=None
    ).datamodule
    assert data.augmentation == Augmentation(scale=(0.75, 1.5), rotation=0, extra="own.yaml")
    assert data.crop_size == (713, 473)
    assert data.images == Path("some")
    assert data.cache == Path("kept")
    assert data.classes.names == ("wall", "sky")
