"""Trainings of semseg and mmsegmentation, continued here as they continue themselves."""

import copy
from types import SimpleNamespace

import lightning
import numpy as np
import pytest
import torch
from foreign import filled, from_mmsegmentation, from_semseg, mmsegmentation
from lightning.pytorch.plugins.precision import MixedPrecision
from published_trainings import SCALER, MmcvTraining, MmengineTraining, SemsegTraining, save

from pspnet.callbacks.checkpoints import Every, LastCheckpoint
from pspnet.checkpoints.continued_training import ContinuedTraining, progress
from pspnet.cli import main
from pspnet.models.published.training_state import TrainingState
from pspnet.runs.interruption import Signals
from pspnet.task import Segmentation

DONE, MORE = 3, 2  # steps there, and here


def command(shapes, tmp_path, path, *options):
    data = ["--data.source=pspnet.data.Folder", f"--data.source.root={shapes}"]
    data += ["--data.crop_size=33", "--data.batch_size=2", "--data.workers=0"]
    run = ["--trainer.accelerator=cpu", "--trainer.enable_progress_bar=false", "--wandb=off"]
    run += ["--trainer.limit_val_batches=0", "--failures=false", f"--logs={tmp_path / 'logs'}"]
    return ["fit", *data, *run, f"--continue_from={path}", *options]


@pytest.fixture
def taken(monkeypatch):
    """The steps that trainings of this package take: task, image, label and names."""
    steps, step = [], Segmentation.training_step

    def spy(self, batch, batch_idx):
        image, label = batch["image"].contiguous(), batch["label"].long()
        steps.append((self, image, label, batch["name"]))
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Segmentation, "training_step", spy)
    return steps


def own_name(theirs, state):
    """The name in this package of a tensor of theirs, by splitting it."""
    if theirs.startswith(("backbone", "decode_head", "auxiliary_head")):
        name = from_mmsegmentation(theirs)
        return name if name in state else name.replace("encoder.", "encoder.model.", 1)
    return from_semseg(theirs)


def check_close(found, expected, name):
    error = (found.double() - expected.double()).abs().max()
    assert error <= 1e-9 * expected.double().abs().max().clamp(min=1e-3), (name, error)


def names(taken):
    return [name for step in taken for name in step[3]]


def order(*, epoch):
    """The ten training images in the order of an epoch of this package."""
    return [f"{index:02}" for index in np.random.default_rng((0, epoch)).permutation(10)]


def continues(training, shapes, tmp_path, taken, *options):
    """Continue a training here and there, and compare weights, statistics and buffers."""
    training.train(DONE)
    content = copy.deepcopy(training.checkpoint())
    path = save(content, tmp_path / "theirs.pth")
    length = [f"--trainer.max_steps={DONE + MORE}", "--trainer.precision=64-true"]
    main(
        [
            *command(shapes, tmp_path, path, *length, *options),
            f"--model.optimizer.weight_decay={training.options['decay']}",
            f"--model.new_layer_factor={training.options.get('head', 1)}",
            "--model.network.dropout=0",
            # the file's network is taken, and nothing is fetched
            *("--model.network.encoder=resnet50", "--model.network.encoder_weights=imagenet"),
            "--trainer.enable_checkpointing=false",
        ]
    )
    path.unlink()  # some hundred MB, which pytest would keep
    assert len(taken) == MORE
    theirs = training.from_checkpoint(content, DONE)
    for _, image, label, _ in taken:
        theirs.step(image.double(), label)
    task = taken[0][0]
    assert task.global_step == DONE + MORE
    state, optimizer = task.network.state_dict(), task.trainer.optimizers[0]
    expected = theirs.network.state_dict()
    assert {own_name(key, state) for key in expected} == state.keys()
    for key, value in expected.items():
        check_close(state[own_name(key, state)], value, key)
    parameters = dict(task.network.named_parameters())
    for key, parameter in theirs.network.named_parameters():
        buffers, own = theirs.optimizer.state[parameter], parameters[own_name(key, state)]
        assert buffers.keys() == optimizer.state[own].keys() != set()
        for name, value in buffers.items():
            check_close(optimizer.state[own][name], value, f"{name} of {key}")


MMSEG = (
    "--model.loss=pspnet.losses.CrossEntropy",
    "--model.loss.average=all",
    "--model.optimizer.momentum=0.9",
)


@pytest.mark.slow
def test_mmsegmentation_0_continues(shapes, tmp_path, taken, capsys):
    training = MmcvTraining(lr=0.01, decay=5e-4, iters=20, head=10)  # a group per parameter
    options = ("--model.optimizer.lr=0.01", "--model.lr_scheduler.total_steps=20")
    continues(training, shapes, tmp_path, taken, *MMSEG, *options)
    assert names(taken) == order(epoch=0)[2 * DONE :]
    said = capsys.readouterr().err
    rates = [f"{lr * (1 - DONE / 20) ** 0.9:.6g}" for lr in (0.01, 0.1)]
    assert "at step 3 (epoch 0, step 3 of 5); the optimizer's state of 88 of 88" in said
    assert f"learning rates {rates[0]} and {rates[1]}\n" in said
    assert "differ" not in said


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["SGD", "AdamW"])
def test_mmsegmentation_1_continues(shapes, tmp_path, taken, capsys, kind):
    training = MmengineTraining(lr=0.002, decay=5e-4, iters=20, low=1e-4, kind=kind, amp=True)
    options = ["--model.lr_scheduler.floor=0.05", "--model.lr_scheduler.total_steps=19"]
    own = MMSEG if kind == "SGD" else (f"--model.optimizer=torch.optim.{kind}", *MMSEG[:2])
    continues(training, shapes, tmp_path, taken, *own, *options, "--model.optimizer.lr=0.002")
    said = capsys.readouterr().err
    rate = (0.002 - 1e-4) * (1 - DONE / 19) ** 0.9 + 1e-4
    assert f"learning rates {rate:.6g} and {rate:.6g}\n" in said
    assert "not taken: the order and augmentation of images, random states, the scale" in said
    assert "differ" not in said


@pytest.mark.slow
def test_semseg_continues(shapes, tmp_path, taken, capsys):
    training = SemsegTraining(lr=0.01, decay=1e-4, epochs=4, epoch_steps=DONE, head=10)
    options = (f"--trainer.limit_train_batches={DONE}", "--model.lr_scheduler.total_steps=12")
    continues(training, shapes, tmp_path, taken, *options, "--model.optimizer.lr=0.01")
    assert names(taken) == order(epoch=1)[:4]
    said = capsys.readouterr().err
    assert "at step 3 (epoch 1, step 0 of 3)" in said
    assert "random states, base learning rate and length" in said
    assert "differ" not in said


def test_a_continued_run_begins_with_the_files_weights_rate_and_momentum(
    shapes, tmp_path, monkeypatch, capsys
):
    averages = filled(mmsegmentation(18, 3), hollow=True)
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    keys = [key for key in averages if not key.endswith(statistics)]
    momentum = {
        place: {"momentum_buffer": torch.tensor(float(place)).expand(averages[key].shape)}
        for place, key in enumerate(keys)
    }
    group = {"lr": 0.004, "initial_lr": 0.01, "momentum": 0.9, "weight_decay": 1e-4}
    group["params"] = [*range(len(keys))]
    content = {"meta": {"iter": 3, "cfg": ""}, "state_dict": averages}
    content["optimizer"] = {"state": momentum, "param_groups": [group]}
    content["ema_state_dict"] = {f"module.{key}": averages[key] / 2 for key in keys}
    torch.save(content, tmp_path / "iter_3.pth")
    begun = []

    def spy(self, batch, batch_idx):
        (own,) = (p for n, p in self.network.named_parameters() if n == "decoder.4.bias")
        (optimizer,) = self.trainer.optimizers
        rates = [group["lr"] for group in optimizer.param_groups]
        buffer = optimizer.state[own]["momentum_buffer"]
        begun.append((self.global_step, rates, own.tolist(), buffer.tolist()))  # before the step
        return own.sum() * 0 + self.network.encoder.model.bn1.weight.sum()

    monkeypatch.setattr(Segmentation, "training_step", spy)
    options = ["--trainer.max_steps=4", "--trainer.enable_checkpointing=false"]
    options += ["--model.new_layer_factor=1", "--model.optimizer.lr=0.01"]
    main(command(shapes, tmp_path, tmp_path / "iter_3.pth", *options))
    ((step, rates, weight, buffer),) = begun
    bias = "decode_head.conv_seg.bias"
    assert step == 3
    assert set(rates) == {0.01 * (1 - 3 / 4) ** 0.9}
    assert weight == (averages[bias] / 2).tolist()
    assert buffer == [float(keys.index(bias))] * 3
    assert "the averages of its weights, which init_from takes" in capsys.readouterr().err


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A training of mmsegmentation 0.x after one of its 20 steps."""
    training = MmcvTraining(lr=0.01, decay=5e-4, iters=20)
    training.train(1, size=33)
    return save(training.checkpoint(), tmp_path_factory.mktemp("theirs") / "iter_1.pth")


def refusal(words, capsys):
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("error: ")]
    return lines[-1]


@pytest.mark.slow
def test_what_cannot_be_continued_is_refused(theirs, shapes, tmp_path, capsys):
    words = command(shapes, tmp_path, theirs)
    start = f"error: continue_from={theirs}: "
    line = refusal([*words, "--trainer.max_steps=9"], capsys)
    assert line == (
        f"{start}this run has new_layer_factor=10, optimizer.weight_decay=0.0001; to continue, "
        "give --model.new_layer_factor=1 --model.optimizer.weight_decay=0.0005"
    )
    given = line.rpartition("give ")[2].split()
    assert "its optimizer is SGD, and this run's is Adam" in refusal(
        [*words, "--trainer.max_steps=9", "--model.optimizer=torch.optim.Adam"], capsys
    )
    assert "has trained 1 of trainer.max_steps=1; give more" in refusal(
        [*words, *given, "--trainer.max_steps=1"], capsys
    )
    step = ["--model.lr_scheduler=torch.optim.lr_scheduler.StepLR"]
    step += ["--model.lr_scheduler.step_size=5", "--trainer.max_steps=9"]
    assert "the step of PolyLR alone is known" in refusal([*words, *step], capsys)
    assert "leave out init_from" in refusal([*words, f"--init_from={theirs}"], capsys)
    assert "take the weights by --init_from" in refusal([*words, "--find_lr"], capsys)
    assert "fit alone starts" in refusal(["validate", f"--continue_from={theirs}"], capsys)
    assert not [*tmp_path.glob("logs/pspnet/version_*")]  # no run has begun


@pytest.mark.parametrize(("steps", "epoch", "within"), [(0, 0, 0), (3, 0, 3), (5, 1, 0), (7, 1, 2)])
def test_loops_stand_between_two_steps(steps, epoch, within):
    trainer = lightning.Trainer(accelerator="cpu", logger=False, accumulate_grad_batches=2)
    loops = trainer.fit_loop
    state = progress(loops.state_dict(), steps, 5, trainer)
    # as Lightning writes them at the beginning of a batch
    assert state["epoch_progress"]["current"] == {
        **{"ready": epoch + 1, "started": epoch + 1, "processed": epoch, "completed": epoch}
    }
    loops.load_state_dict(state)
    assert (trainer.global_step, trainer.current_epoch) == (steps, epoch)
    batches = loops.epoch_loop.batch_progress
    for part, count in ((batches.total, 2 * steps), (batches.current, 2 * within)):
        counts = (part.ready, part.started, part.processed, part.completed)
        assert counts == (count,) * 4
    assert loops.epoch_loop.scheduler_progress.current.completed == within
    assert loops.epoch_loop._batches_that_stepped == steps


def test_the_scale_of_the_loss_is_taken_where_this_run_has_one():
    continued = object.__new__(ContinuedTraining)
    continued.training = TrainingState("", 9, None, {}, {}, rate_age=0, loss_scale=SCALER)
    plugin = MixedPrecision("16-mixed", "cpu", torch.amp.GradScaler("cpu"))
    assert continued._load_scale(SimpleNamespace(precision_plugin=plugin))
    assert plugin.scaler.state_dict() == SCALER
    plain = MixedPrecision("bf16-mixed", "cpu")
    assert not continued._load_scale(SimpleNamespace(precision_plugin=plain))
    huge = {**SCALER, "scale": 10**400}
    continued.training = TrainingState("", 9, None, {}, {}, rate_age=0, loss_scale=huge)
    assert not continued._load_scale(SimpleNamespace(precision_plugin=plugin))
    older = {"cur_scale": 512, "cur_iter": 9, "mode": "static"}  # of mmcv before torch had one
    continued.training = TrainingState("", 9, None, {}, {}, rate_age=0, loss_scale=older)
    assert not continued._load_scale(SimpleNamespace(precision_plugin=plugin))


def test_counters_of_any_kind_count_on_each_by_its_own():
    """torch has kept Adam's step as an integer, then as a tensor; in a file one may be shared."""
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(3)]
    shared = torch.tensor(7.0)
    average = {"exp_avg": torch.zeros(2), "exp_avg_sq": torch.zeros(2)}
    buffers = {str(at): {"step": it, **average} for at, it in enumerate((shared, 7, shared))}
    continued = object.__new__(ContinuedTraining)
    continued.training = TrainingState("", 9, None, buffers, {}, rate_age=0)
    optimizer = torch.optim.AdamW(weights, foreach=False)
    names = {id(weight): str(at) for at, weight in enumerate(weights)}
    assert continued._load_optimizer(optimizer, names) == (3, 3)
    for weight in weights:
        weight.grad = torch.ones(2)
    optimizer.step()
    assert [optimizer.state[weight]["step"].item() for weight in weights] == [8, 8, 8]


@pytest.mark.parametrize(("resumed", "due"), [(None, True), ("last.ckpt", False)])
def test_a_continued_training_is_saved_after_its_first_step_here(resumed, due):
    last = LastCheckpoint(Every("9 hours"), Signals())
    last.on_train_start(SimpleNamespace(global_step=3, ckpt_path=resumed), None)
    assert last._is_due(SimpleNamespace(global_step=4)) == due
