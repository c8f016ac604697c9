"""Training steps, schedule and checkpoints, without the command line."""

import math
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging, ModelCheckpoint
from torch import nn

from pspnet import PSPNet
from pspnet.callbacks.run_state import RandomState
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.folder import Folder
from pspnet.data.transforms.augmentation import Augmentation
from pspnet.errors import UserError
from pspnet.losses import CrossEntropy
from pspnet.lr_schedules import poly
from pspnet.ops.arriving import Arriving
from pspnet.task import Segmentation

CLASSES = Classes(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)), {"some": ("a", "c")})


def sgd(**options):
    """The paper's optimizer with other numbers."""
    given = {"lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4, **options}
    return lambda params: torch.optim.SGD(params, **given)


def small(**options) -> Segmentation:
    torch.manual_seed(0)
    network = PSPNet(3, encoder="tu-test_resnet", decoder_channels=16, dropout=0.0)
    return Segmentation(network, CLASSES, **options)


def data(root, **options) -> SegmentationData:
    plain = Augmentation(scale=(1.0, 1.0), rotation=0.0, blur=0.0, mirror=0.5)
    given = {"crop_size": 41, "batch_size": 5, "workers": 0, "augmentation": plain, **options}
    return SegmentationData(Folder(root), **given)


class Rates(lightning.Callback):
    """The learning rates that each optimizer step was made with."""

    def __init__(self) -> None:
        self.seen: list[list[float]] = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer) -> None:
        self.seen.append([group["lr"] for group in optimizer.param_groups])


def trainer(folder, **options) -> lightning.Trainer:
    return lightning.Trainer(
        accelerator="cpu",
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        **options,
    )


def test_the_loss_is_main_plus_weighted_auxiliary(shapes):
    task = small(auxiliary_weight=0.4, optimizer=sgd(lr=1e-3))
    logged = {}
    task.log = lambda name, value, **_: logged.update({name: value})
    task.log_dict = lambda values, **_: logged.update(values)
    task._current_lr = lambda: 0.0
    task.trainer = trainer(None)
    batch = {"image": torch.randn(2, 3, 41, 41), "label": torch.randint(0, 3, (2, 41, 41))}
    task.train()
    loss = task.training_step(batch, 0)
    logits, auxiliary = task.network(batch["image"])
    cross_entropy = torch.nn.functional.cross_entropy
    main, extra = cross_entropy(logits, batch["label"]), cross_entropy(auxiliary, batch["label"])
    torch.testing.assert_close(loss, main + 0.4 * extra, rtol=1e-4, atol=1e-5)
    assert logged["train/loss_main"].item() == pytest.approx(main.item(), rel=1e-4)


def test_rates_follow_poly_every_step_and_go_on_after_a_resume(shapes, tmp_path):
    rates = Rates()
    first = trainer(tmp_path, max_epochs=4, callbacks=[rates], limit_val_batches=0)
    first.fit(small(), data(shapes))
    expected = [[0.01 * poly(step, total=8), 0.1 * poly(step, total=8)] for step in range(8)]
    np.testing.assert_allclose(rates.seen, expected, rtol=1e-12)

    half, rest = Rates(), Rates()
    saved = ModelCheckpoint(tmp_path, save_last=True)
    stopped = trainer(tmp_path, max_epochs=4, callbacks=[half, saved, Stop(2)], limit_val_batches=0)
    stopped.fit(small(), data(shapes))
    resumed = trainer(tmp_path, max_epochs=4, callbacks=[rest], limit_val_batches=0)
    resumed.fit(small(), data(shapes), ckpt_path=tmp_path / "last.ckpt")
    np.testing.assert_allclose(half.seen + rest.seen, expected, rtol=1e-12)


def test_a_run_resumed_with_another_end_is_on_its_curve_from_the_first_step(shapes, tmp_path):
    saved = ModelCheckpoint(tmp_path / "saved", save_last=True)
    trainer(tmp_path, max_epochs=2, callbacks=[saved], limit_val_batches=0).fit(
        small(), data(shapes)
    )
    rest = Rates()
    longer = trainer(tmp_path, max_epochs=5, callbacks=[rest], limit_val_batches=0)
    longer.fit(small(), data(shapes), ckpt_path=tmp_path / "saved" / "last.ckpt")
    expected = [[0.01 * poly(step, total=10), 0.1 * poly(step, total=10)] for step in range(4, 10)]
    np.testing.assert_allclose(rest.seen, expected, rtol=1e-12)


def test_a_training_that_makes_activations_anew_learns_the_same(shapes, tmp_path):
    learned = []
    for recompute in (False, True):
        torch.manual_seed(0)
        network = PSPNet(3, encoder="resnet18", decoder_channels=16, dropout=0.0)
        task = Segmentation(network, CLASSES, recompute=recompute)
        trainer(tmp_path, max_epochs=1, limit_val_batches=0).fit(task, data(shapes))
        learned.append(task.network.state_dict())
    kept, made = learned
    assert all(torch.equal(kept[name], made[name]) for name in kept)


def test_recompute_and_compile_are_refused_together():
    with pytest.raises(UserError, match=r"model\.recompute=true with model\.compile=true"):
        small(recompute=True, compile=True)


class Stop(lightning.Callback):
    """Ends a run early without changing what it was planned as."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def test_accumulated_batches_make_one_step_of_the_schedule(shapes, tmp_path):
    rates = Rates()
    run = trainer(
        tmp_path, max_epochs=3, accumulate_grad_batches=2, callbacks=[rates], limit_val_batches=0
    )
    run.fit(small(), data(shapes, batch_size=10))
    expected = [[0.01 * poly(step, total=3), 0.1 * poly(step, total=3)] for step in range(3)]
    np.testing.assert_allclose(rates.seen, expected, rtol=1e-12)


class Twice(nn.Module):
    """A loss of somebody's own around one of the package's."""

    def __init__(self):
        super().__init__()
        self.inner = CrossEntropy("median_frequency")

    def forward(self, logits, target):
        return 2 * self.inner(logits, target)


def test_class_weights_by_formula_are_of_the_training_labels_and_kept(shapes, tmp_path):
    task, source = small(loss=Twice()), data(shapes)
    run = trainer(tmp_path, max_steps=1, limit_val_batches=1, callbacks=[EMAWeightAveraging()])
    run.fit(task, source)
    found = task.loss.inner.class_weights
    labels = [source.source.read_label(sample) for sample in source.train_set.samples]
    shares = []
    for train_id in range(3):  # of a class in the labeled pixels of the images that have it
        having = [label[label != 255] for label in labels if (label == train_id).any()]
        shares.append(np.mean(np.concatenate(having) == train_id))
    expected = np.median(shares) / np.array(shares)
    expected /= expected.mean()
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    run.save_checkpoint(tmp_path / "a.ckpt")
    run.validate(task, source, ckpt_path=tmp_path / "a.ckpt")  # beside an average of the network
    again = small(loss=Twice())  # to evaluate needs no training labels
    path = tmp_path / "a.ckpt"
    trainer(tmp_path, limit_val_batches=1).validate(again, data(shapes), ckpt_path=path)
    assert torch.equal(again.loss.inner.class_weights, found)
    Segmentation.load_from_checkpoint(path)  # with the loss of its defaults
    with pytest.raises(UserError, match="give weights, or one of inverse_frequency, log_fr"):
        CrossEntropy("rare")


def test_it_learns_and_a_checkpoint_rebuilds_it(shapes, tmp_path):
    task = small(optimizer=sgd(lr=0.02))
    saved = ModelCheckpoint(tmp_path, save_last=True)
    run = trainer(tmp_path, max_epochs=15, callbacks=[saved])
    run.validate(task, data(shapes), verbose=False)
    before = run.callback_metrics["val/miou"].item()
    run.fit(task, data(shapes))
    after = run.callback_metrics["val/miou"].item()
    assert after > before + 0.2
    assert task.scores()["miou"] == pytest.approx(after, abs=1e-6)
    assert run.callback_metrics["val/iou/a"].item() == pytest.approx(task.scores()["iou"]["a"])
    some = (task.scores()["iou"]["a"] + task.scores()["iou"]["c"]) / 2
    assert run.callback_metrics["val/miou/some"].item() == pytest.approx(some)

    again = Segmentation.load_from_checkpoint(tmp_path / "last.ckpt")
    assert again.classes == CLASSES
    image = torch.randn(1, 3, 41, 41)
    with torch.no_grad():
        assert torch.equal(again.eval().network(image), task.eval().network(image))
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["epoch"] == 14


def test_a_resumed_run_draws_the_dropout_that_it_would_have(shapes, tmp_path):
    def dropped() -> Segmentation:
        torch.manual_seed(0)
        network = PSPNet(3, encoder="tu-test_resnet", decoder_channels=16, dropout=0.5)
        return Segmentation(network, CLASSES, optimizer=sgd(lr=0.02))

    options = {"max_epochs": 2, "limit_val_batches": 0}
    whole, resumed = dropped(), dropped()
    trainer(tmp_path, callbacks=[RandomState()], **options).fit(whole, data(shapes))
    half = ModelCheckpoint(tmp_path / "half", save_last=True)
    stopped = trainer(tmp_path, callbacks=[RandomState(), half, Stop(1)], **options)
    stopped.fit(dropped(), data(shapes))
    torch.manual_seed(7)  # what another process would begin with
    trainer(tmp_path, callbacks=[RandomState()], **options).fit(
        resumed, data(shapes), ckpt_path=tmp_path / "half" / "last.ckpt"
    )
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_an_infinite_loss_stops_with_its_step(shapes, tmp_path):
    with pytest.raises(UserError, match=r"the loss is (nan|inf) at step \d+; lower"):
        trainer(tmp_path, max_epochs=30).fit(small(optimizer=sgd(lr=1e6)), data(shapes))


def test_an_infinite_loss_that_arrives_late_stops_before_a_checkpoint(monkeypatch):
    class Late(Arriving):
        is_late = True

    monkeypatch.setattr("pspnet.task.Arriving", Late)
    task = small()
    task._trainer = SimpleNamespace(global_step=7)
    monkeypatch.setattr(task, "log", lambda *_, **__: None)
    monkeypatch.setattr(task, "_current_lr", lambda: 0.1)
    task._log_losses(torch.tensor([math.nan]))  # its step goes on
    task._trainer.global_step = 8
    checkpoint = {}
    with pytest.raises(UserError, match=r"the loss is nan at step 8; lower"):
        task.on_save_checkpoint(checkpoint)
    assert checkpoint == {}
    task._log_losses(torch.tensor([1.0]))
    task._log_losses(torch.tensor([math.inf]))
    with pytest.raises(UserError, match=r"the loss is inf at step 9"):
        task._log_losses(torch.tensor([1.0]))


def test_a_schedule_without_an_end_is_refused(shapes, tmp_path):
    with pytest.raises(UserError, match="max_steps or max_epochs"):
        trainer(tmp_path, max_epochs=-1).fit(small(), data(shapes))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"new_layer_factor": -1}, "model.new_layer_factor=-1"),
        ({"auxiliary_weight": -0.4}, "model.auxiliary_weight=-0.4"),
        ({"loss": CrossEntropy([1.0, 2.0])}, "2 weights, but the logits have 3 classes"),
    ],
)
def test_options_out_of_range_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        small(**options)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"lr": 0}, "model.optimizer.lr=0"), ({"momentum": -1}, "model.optimizer: Invalid momentum")],
)
def test_an_optimizer_out_of_range_is_refused(shapes, tmp_path, options, message):
    with pytest.raises(UserError, match=message):
        trainer(tmp_path, max_epochs=1).fit(small(optimizer=sgd(**options)), data(shapes))


def test_a_class_table_of_another_length_is_refused():
    with pytest.raises(UserError, match="3 classes for a network of 2; set num_classes=3"):
        Segmentation(PSPNet(2, encoder="tu-test_resnet"), CLASSES, loss=CrossEntropy())
