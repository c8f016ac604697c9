"""An edit takes effect: in training, validation, prediction, export, counts and checkpoints."""

import copy
import warnings

import lightning
import pytest
import torch
import torch.nn.functional as F
from edits import EDITS, network, plain
from torch.utils.flop_counter import FlopCounterMode

from pspnet import PSPNet, PyramidPooling
from pspnet.callbacks.costs import count_flops
from pspnet.data import Folder
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError
from pspnet.losses import CrossEntropy
from pspnet.ops.loss_forms import why_not_chunked as why_loss_not_chunked
from pspnet.task import Segmentation

CLASSES = Classes(("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))
EXACT = {"rtol": 1e-9, "atol": 1e-9}


@pytest.fixture(params=EDITS)
def edited(request):
    return EDITS[request.param]()


@pytest.fixture(scope="module")
def image():
    return torch.randn(2, 3, 65, 73, generator=torch.Generator().manual_seed(1)).double()


def task_of(built):
    """A task that logs nothing, as it is after `on_fit_start`."""
    task = Segmentation(built, CLASSES)
    task.log = task.log_dict = lambda *_, **__: None
    task._current_lr = lambda: 0.0
    task.trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False)
    return task


def start(task):
    """What the trainer calls before the first step."""
    task.on_fit_start()
    task.on_train_epoch_start()


def sees_the_edit(found, image):
    """Whether an output differs from that of the network without the edit."""
    with torch.no_grad():
        return not torch.allclose(found, plain(network().eval(), image), rtol=1e-3, atol=1e-3)


def test_training_sees_it(edited, image):
    """Loss and gradients of a step are those of torch's own cross-entropy on the plain network."""
    target = torch.randint(3, (2, 65, 73), generator=torch.Generator().manual_seed(2))
    target[:, :9] = 255
    reference = copy.deepcopy(edited).train()
    logits, auxiliary = plain(reference, image)
    losses = [F.cross_entropy(x, target, ignore_index=255) for x in (logits, auxiliary)]
    expected = losses[0] + 0.4 * losses[1]
    expected.backward()
    task = task_of(edited.train())
    start(task)
    loss = task.training_step({"image": image, "label": target}, 0)
    loss.backward()
    torch.testing.assert_close(loss, expected, **EXACT)
    for (name, one), other in zip(edited.named_parameters(), reference.parameters(), strict=True):
        assert (one.grad is None) == (other.grad is None), name
        if one.grad is not None:
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-6, atol=1e-9, msg=name)


def test_validation_and_prediction_see_it(edited, image, request):
    expected = plain(edited.eval(), image)
    task = task_of(edited).eval()
    task.on_validation_epoch_start()
    with torch.no_grad():
        padded_to_itself, scores = task._predict(image)  # 65 and 73 are 8n + 1
        logits = scores if isinstance(scores, torch.Tensor) else scores.upsample()
        prediction, _ = task.predict_step({"image": image}, 0)
    torch.testing.assert_close(logits, expected, rtol=1e-7, atol=1e-7)
    assert torch.equal(padded_to_itself, expected.argmax(1).byte())
    assert torch.equal(prediction, expected.argmax(1).byte())
    if "frozen_stages" not in request.node.callspec.id:  # which changes the training alone
        assert sees_the_edit(logits, image)


def test_the_count_of_operations_sees_it(edited, image):
    edited.eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        edited(image[:1])
    assert count_flops(edited, size=(65, 73)) == counter.get_total_flops()


def test_export_sees_it(edited, image):
    edited.eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch's own code
        program = torch.export.export(edited, (image,))
        found = program.module()(image)
        torch.testing.assert_close(found, plain(edited, image), **EXACT)


def test_a_checkpoint_keeps_it_or_refuses_to_lose_it(edited, image, tmp_path, request):
    """Options come back; what was replaced on the object is asked for."""
    task = task_of(edited)
    checkpoint = {
        "pytorch-lightning_version": lightning.__version__,
        "state_dict": task.state_dict(),
        "epoch": 0,
        "global_step": 0,
    }
    task.on_save_checkpoint(checkpoint)
    torch.save(checkpoint, path := tmp_path / "a.ckpt")
    edit = request.node.callspec.id
    if edit in ("frozen_stages", "added_option"):
        again = Segmentation.load_from_checkpoint(path)
    elif edit in ("forward_hook", "forward_pre_hook"):
        return  # no part of any checkpoint, as torch has it
    else:
        with pytest.raises((UserError, RuntimeError), match=r"edited|state_dict"):
            Segmentation.load_from_checkpoint(path)
        torch.manual_seed(5)
        blank = EDITS[edit]()
        for parameter in blank.parameters():
            parameter.data.zero_()
        again = Segmentation.load_from_checkpoint(path, network=blank)
    with torch.no_grad():
        found = again.double().eval().network(image)
    # the rebuilt network took the weights in float32
    torch.testing.assert_close(found, plain(edited.eval(), image), rtol=1e-3, atol=1e-4)


def test_an_edit_of_the_lines_of_the_pyramid_takes_effect(image, monkeypatch):
    """As when somebody edits `PyramidPooling.forward` in its file."""
    lines = PyramidPooling.forward
    monkeypatch.setattr(PyramidPooling, "forward", lambda self, x: 0 * lines(self, x))
    built = network().eval()
    task = task_of(built).eval()
    task.on_validation_epoch_start()
    with torch.no_grad():
        torch.testing.assert_close(built(image), plain(built, image), **EXACT)
        _, scores = task._predict(image)
        torch.testing.assert_close(scores.upsample(), plain(built, image), rtol=1e-7, atol=1e-7)
    assert "computes something else" in built.why_not_fused()


def test_an_edit_of_the_lines_of_a_loss_takes_effect(image, monkeypatch):
    lines = CrossEntropy.forward
    monkeypatch.setattr(CrossEntropy, "forward", lambda *args: 3 * lines(*args))
    target = torch.randint(3, (2, 65, 73))
    task = task_of(network().train())
    start(task)
    assert not task.chunked
    logits, auxiliary = plain(copy.deepcopy(task.network), image)
    expected = 3 * (F.cross_entropy(logits, target) + 0.4 * F.cross_entropy(auxiliary, target))
    loss = task.training_step({"image": image, "label": target}, 0)
    torch.testing.assert_close(loss, expected, **EXACT)


def test_without_an_edit_the_fast_forms_run(image):
    built = network()
    task = task_of(built.train())
    start(task)
    features = built.encoder(image)[-1]
    assert built.fuses(features)
    assert task.chunked
    assert type(built) is PSPNet


def test_a_line_after_the_upsampling_takes_effect(image, monkeypatch):
    lines = PSPNet.forward

    def forward(self, image, upsample=True):
        output = lines(self, image, upsample)
        if not upsample:
            return output
        return tuple(2 * x for x in output) if isinstance(output, tuple) else 2 * output

    monkeypatch.setattr(PSPNet, "forward", forward)
    task = task_of(network().train())
    start(task)
    assert not task.chunked
    task.eval().on_validation_epoch_start()
    with torch.no_grad():
        _, logits = task._predict(image)
        torch.testing.assert_close(logits, 2 * plain(task.network.eval(), image), rtol=1e-7, atol=0)


@pytest.mark.parametrize("level", [1, 6])
def test_an_edit_of_one_level_of_the_pyramid_takes_effect(image, level, monkeypatch):
    from pspnet.models import pyramid_pooling

    pool = F.adaptive_avg_pool2d
    monkeypatch.setattr(
        pyramid_pooling.F,
        "adaptive_avg_pool2d",
        lambda x, side: F.adaptive_max_pool2d(x, side) if side == level else pool(x, side),
    )
    lines = PyramidPooling.forward
    monkeypatch.setattr(PyramidPooling, "forward", lambda self, x: lines(self, x))
    built = network().eval()
    with torch.no_grad():
        torch.testing.assert_close(built(image), plain(built, image), **EXACT)


def test_a_scale_that_starts_at_0_is_trained(image, monkeypatch):
    """As DANet's: equal to the plain pyramid at first, and not after a step."""
    build, lines = PyramidPooling.__init__, PyramidPooling.forward

    def with_scale(self, *args, **options):
        build(self, *args, **options)
        self.scale = torch.nn.Parameter(torch.zeros(()))

    monkeypatch.setattr(PyramidPooling, "__init__", with_scale)
    monkeypatch.setattr(
        PyramidPooling, "forward", lambda self, x: lines(self, x) * (1 + self.scale)
    )
    built = network().train()
    built(image)[0].sum().backward()
    assert built.pyramid.scale.grad.abs() > 0


def test_export_sees_edited_lines(image, monkeypatch):
    lines = PyramidPooling.forward
    monkeypatch.setattr(PyramidPooling, "forward", lambda self, x: 0.5 * lines(self, x))
    built = network().eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        found = torch.export.export(built, (image,)).module()(image)
        torch.testing.assert_close(found, plain(built, image), **EXACT)


def test_options_of_a_loss_decide_on_its_chunked_form():
    class Smoothed(CrossEntropy):
        def __init__(self, smoothing: float) -> None:
            super().__init__()
            self.smoothing = smoothing

        def forward(self, logits, target):
            smooth = self.smoothing
            return F.cross_entropy(logits, target, ignore_index=255, label_smoothing=smooth)

        def chunked(self, logits, target, *, align_corners):
            return CrossEntropy.chunked(self, logits, target, align_corners=align_corners)

    assert why_loss_not_chunked(Smoothed(0.0), 3) is None
    assert "differs from its forward" in why_loss_not_chunked(Smoothed(0.5), 3)


def test_a_hook_of_an_object_sees_the_evaluation(image):
    class Watcher:
        def __init__(self):
            self.seen = []

        def note(self, module, inputs, output):
            self.seen.append(output.shape)

    watcher, built = Watcher(), network().eval()
    built.decoder[4].register_forward_hook(watcher.note)
    task = task_of(built).eval()
    task.on_validation_epoch_start()
    watcher.seen.clear()
    with torch.no_grad():
        task._predict(image)
    assert watcher.seen == [(2, 3, 9, 10)]


@pytest.mark.parametrize("edit", ["hook", "forward"])
def test_recomputed_gradients_see_an_edited_normalization(image, edit):
    def gradients(recompute):
        built = network().train()
        norm = built.decoder[1]
        if edit == "hook":
            norm.register_forward_hook(lambda module, inputs, output: 0.5 * output - 0.1)
        else:
            norm.forward = lambda x: 0.5 * torch.nn.BatchNorm2d.forward(norm, x) - 0.1
        task = Segmentation(built, CLASSES, recompute=recompute)
        with task._recomputing():
            loss = built(image)[0].square().mean()
        loss.backward()
        return [p.grad for p in built.parameters() if p.grad is not None]

    for one, other in zip(gradients(True), gradients(False), strict=True):
        assert torch.equal(one, other)


def test_frozen_parts_keep_their_statistics_in_a_fit(shapes, tmp_path):
    """Lightning does not call `train()`."""
    built = PSPNet(3, encoder="tu-resnet10n", decoder_channels=8, frozen_stages=2, norm_eval=True)
    before = {n: b.clone() for n, b in built.encoder.named_buffers() if "running" in n}
    first = built.encoder.get_parameter("model.conv1.0.weight").clone()
    data = SegmentationData(Folder(shapes), crop_size=41, batch_size=5, workers=0)
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, max_epochs=1, enable_checkpointing=False,
        default_root_dir=tmp_path, limit_val_batches=0, enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(Segmentation(built, CLASSES), data)
    assert all(torch.equal(before[n], built.encoder.get_buffer(n)) for n in before)
    assert torch.equal(first, built.encoder.get_parameter("model.conv1.0.weight"))


def test_a_loss_with_weights_of_its_own_is_trained_and_left_out_of_other_tasks(shapes, tmp_path):
    class Learned(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = torch.nn.Parameter(torch.ones(()))

        def forward(self, logits, target):
            return F.cross_entropy(self.scale * logits, target, ignore_index=255)

    task = Segmentation(PSPNet(3, encoder="tu-resnet10n", decoder_channels=8), CLASSES, Learned())
    data = SegmentationData(Folder(shapes), crop_size=41, batch_size=5, workers=0)
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, max_epochs=1, default_root_dir=tmp_path,
        limit_val_batches=0, enable_progress_bar=False,
    )  # fmt: skip
    trainer.fit(task, data)
    assert task.loss.scale.item() != 1
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    Segmentation.load_from_checkpoint(tmp_path / "a.ckpt")
