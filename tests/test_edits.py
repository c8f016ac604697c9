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
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError
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
    task.on_fit_start()
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
        prediction = task.predict_step({"image": image}, 0)
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
    from pspnet.losses import CrossEntropy

    lines = CrossEntropy.forward
    monkeypatch.setattr(CrossEntropy, "forward", lambda *args: 3 * lines(*args))
    target = torch.randint(3, (2, 65, 73))
    task = task_of(network().train())
    task.on_fit_start()
    assert not task.chunked
    logits, auxiliary = plain(copy.deepcopy(task.network), image)
    expected = 3 * (F.cross_entropy(logits, target) + 0.4 * F.cross_entropy(auxiliary, target))
    loss = task.training_step({"image": image, "label": target}, 0)
    torch.testing.assert_close(loss, expected, **EXACT)


def test_without_an_edit_the_fast_forms_run(image):
    built = network()
    task = task_of(built.train())
    task.on_fit_start()
    features = built.encoder(image)[-1]
    assert built.fuses(features)
    assert task.chunked
    assert type(built) is PSPNet
