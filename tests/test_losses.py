import numpy as np
import pytest
import torch
from jsonargparse import ArgumentError, ArgumentParser
from torch.nn import functional as F

from pspnet.data.datasets.classes import IGNORE as IGNORE_IN_DATA
from pspnet.errors import UserError
from pspnet.losses import IGNORE, CrossEntropy, CrossEntropyDice, Loss, OhemCrossEntropy
from pspnet.ops.loss_forms import why_not_chunked

ALL = [
    CrossEntropy(),
    CrossEntropy(class_weights=[0.5, 2, 0, 1, 3]),
    OhemCrossEntropy(threshold=0.5, min_kept=7),
    OhemCrossEntropy(threshold=0.5, min_kept=7, class_weights=[0.5, 2, 0, 1, 3]),
    CrossEntropy(average="all"),
    OhemCrossEntropy(threshold=None, min_kept=7, average="labeled"),
    CrossEntropyDice(),
    CrossEntropyDice(dice_weight=0.3, class_weights=[0.5, 2, 0, 1, 3]),
]


def batch(seed: int = 0, *, classes: int = 5, ignored: float = 0.2):
    """Logits (2, C, 6, 7), and a label in which class 3 never occurs."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (2, classes, 6, 7)).astype(np.float32)
    label = draw.integers(0, classes, (2, 6, 7))
    label[label == 3] = 1
    label[draw.random(label.shape) < ignored] = 255
    return torch.from_numpy(logits), torch.from_numpy(label)


def probabilities(logits: torch.Tensor) -> np.ndarray:
    """Softmax in float64, (C, N·H·W)."""
    flat = logits.double().numpy().transpose(1, 0, 2, 3).reshape(logits.shape[1], -1)
    grown = np.exp(flat - flat.max(0))
    return grown / grown.sum(0)


def reference_cross_entropy(logits, label, *, weights=None, kept=None) -> float:
    p, truth = probabilities(logits), label.numpy().ravel()
    upper = lower = 0.0
    for pixel, true in enumerate(truth):
        if true == 255 or (kept is not None and pixel not in kept):
            continue
        weight = 1.0 if weights is None else weights[true]
        upper -= weight * np.log(p[true, pixel])
        lower += weight
    return upper / lower


def reference_kept(logits, label, *, threshold, min_kept) -> set[int]:
    p, truth = probabilities(logits), label.numpy().ravel()
    valid = [pixel for pixel, true in enumerate(truth) if true != 255]
    by_hardness = sorted(valid, key=lambda pixel: p[truth[pixel], pixel])
    return {i for i in valid if p[truth[i], i] < threshold} | set(by_hardness[:min_kept])


def reference_dice(logits, label) -> float:
    p, truth = probabilities(logits), label.numpy().ravel()
    valid = truth != 255
    losses = []
    for index in np.unique(truth[valid]):
        y = (truth == index)[valid]
        q = p[index][valid]
        losses.append(1 - 2 * (q * y).sum() / (q.sum() + y.sum()))
    return float(np.mean(losses))


def test_the_ignored_label_is_the_data_sets():
    assert IGNORE == IGNORE_IN_DATA


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 0.0, 1.0, 3.0]])
@pytest.mark.parametrize("seed", range(3))
def test_cross_entropy(weights, seed):
    logits, label = batch(seed)
    loss = CrossEntropy(class_weights=weights)(logits, label)
    assert loss.shape == ()
    assert loss.item() == pytest.approx(
        reference_cross_entropy(logits, label, weights=weights), rel=1e-5
    )
    weight = None if weights is None else torch.tensor(weights)
    ours = F.cross_entropy(logits, label, weight=weight, ignore_index=255)
    torch.testing.assert_close(loss, ours)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 0.25, 1.0, 3.0]])
@pytest.mark.parametrize(
    ("threshold", "min_kept"),
    [(0.7, 1), (0.05, 1), (0.01, 30), (0.3, 60), (1e-6, 1), (0.7, 100_000), (1.0, 1)],
)
def test_ohem_keeps_pixels_below_the_threshold_and_the_hardest(threshold, min_kept, weights):
    logits, label = batch(1)
    kept = reference_kept(logits, label, threshold=threshold, min_kept=min_kept)
    loss = OhemCrossEntropy(threshold=threshold, min_kept=min_kept, class_weights=weights)
    assert loss(logits, label).item() == pytest.approx(
        reference_cross_entropy(logits, label, weights=weights, kept=kept), rel=1e-5
    )


def test_ohem_cases_above_differ_from_each_other():
    logits, label = batch(1)
    sizes = [
        len(reference_kept(logits, label, threshold=threshold, min_kept=min_kept))
        for threshold, min_kept in [(1e-6, 1), (0.05, 1), (0.01, 30), (0.7, 1), (1.0, 1)]
    ]
    assert sizes == sorted(set(sizes))
    assert sizes[0] == 1  # only through min_kept
    assert sizes[2] == 30


def test_ohem_gives_gradients_to_kept_pixels_only():
    logits, label = batch(2)
    logits.requires_grad_()
    OhemCrossEntropy(threshold=0.2, min_kept=10)(logits, label).backward()
    moved = logits.grad.abs().sum(1).flatten().nonzero().flatten().tolist()
    kept = reference_kept(logits.detach(), label, threshold=0.2, min_kept=10)
    assert set(moved) == kept
    assert len(kept) < (label != 255).sum()


def test_ohem_over_equally_easy_pixels_is_not_nan():
    logits = torch.zeros(1, 2, 4, 4)
    logits[:, 0] = 10  # every pixel is right with the same probability
    label = torch.zeros(1, 4, 4, dtype=torch.int64)
    loss = OhemCrossEntropy(min_kept=3)(logits, label)
    assert loss.item() == pytest.approx(np.log1p(np.exp(-10)), rel=1e-3)


def mmsegmentation_loss(logits, label, *, weights, ohem, avg_non_ignore) -> float:
    """Its CrossEntropyLoss (0.30) with its OHEMPixelSampler (threshold, min_kept), per pixel."""
    p, truth = probabilities(logits), label.numpy().ravel()
    valid = [pixel for pixel, true in enumerate(truth) if true != 255]
    kept = dict.fromkeys(valid, 1.0)
    if ohem is not None:
        threshold, min_kept = ohem
        number = min_kept * len(label)  # per image
        right = sorted(p[truth[pixel], pixel] for pixel in valid)
        bound = right[min(number, len(right) - 1)]
        bound = bound if threshold is None else max(bound, threshold)
        kept = {pixel: float(p[truth[pixel], pixel] < bound) for pixel in valid}
    weight = np.ones(5) if weights is None else np.array(weights)
    summed = sum(-weight[truth[i]] * np.log(p[truth[i], i]) * kept[i] for i in valid)
    return summed / (len(valid) if avg_non_ignore else len(truth))


@pytest.mark.parametrize("avg_non_ignore", [False, True])
@pytest.mark.parametrize("ohem", [None, (None, 4), (None, 11), (0.3, 4), (0.01, 11)])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 0.25, 1.0, 3.0]])
def test_losses_of_mmsegmentation(weights, ohem, avg_non_ignore):
    logits, label = batch(5)
    expected = mmsegmentation_loss(
        logits, label, weights=weights, ohem=ohem, avg_non_ignore=avg_non_ignore
    )
    options = {"class_weights": weights, "average": "labeled" if avg_non_ignore else "all"}
    loss: Loss = CrossEntropy(**options)
    if ohem is not None:
        loss = OhemCrossEntropy(ohem[0], ohem[1] * len(label), **options)
    assert loss(logits, label).item() == pytest.approx(expected, rel=1e-5)
    assert abs(expected / reference_cross_entropy(logits, label, weights=weights) - 1) > 0.01 or (
        weights is None and ohem is None and avg_non_ignore  # torch's own mean
    )


@pytest.mark.parametrize("loss", ALL)
def test_the_form_in_chunks_gives_the_same_loss(loss):
    if hasattr(loss, "chunked"):
        assert why_not_chunked(loss, 5) is None


@pytest.mark.parametrize("dice_weight", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 0.0, 1.0, 3.0]])
def test_cross_entropy_dice(dice_weight, weights):
    logits, label = batch(3)
    loss = CrossEntropyDice(dice_weight=dice_weight, class_weights=weights)(logits, label)
    expected = reference_cross_entropy(logits, label, weights=weights)
    expected += dice_weight * reference_dice(logits, label)
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_dice_of_a_sure_prediction():
    _, label = batch(4, ignored=0)
    right = 100 * F.one_hot(label, 5).permute(0, 3, 1, 2).float()
    wrong = 100 * F.one_hot((label + 1) % 5, 5).permute(0, 3, 1, 2).float()
    dice = CrossEntropyDice(dice_weight=1), CrossEntropyDice(dice_weight=0)
    parts = [(dice[0](logits, label) - dice[1](logits, label)).item() for logits in (right, wrong)]
    assert parts == pytest.approx([0, 1], abs=1e-5)


@pytest.mark.parametrize("loss", ALL)
def test_a_batch_of_ignored_pixels_gives_zero_and_zero_gradients(loss):
    logits = torch.randn(2, 5, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((2, 4, 4), 255))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", ALL)
def test_ignored_pixels_neither_count_nor_train(loss):
    logits, label = batch(5)
    other = torch.where((label == 255)[:, None], logits + 3 * torch.randn_like(logits), logits)
    logits.requires_grad_()
    value = loss(logits, label)
    value.backward()
    torch.testing.assert_close(loss(other, label), value.detach())
    ignored = (label == 255)[:, None].expand_as(logits)
    assert (logits.grad[ignored] == 0).all()
    assert (logits.grad[~ignored] != 0).any()


@pytest.mark.parametrize("loss", ALL)
def test_gradient_is_the_slope(loss):
    logits, label = batch(6)
    logits.requires_grad_()
    loss(logits, label).backward()
    toward = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        rise = loss(logits + 5e-3 * toward, label) - loss(logits - 5e-3 * toward, label)
    assert (logits.grad * toward).sum().item() == pytest.approx(rise.item() / 1e-2, rel=0.02)


@pytest.mark.parametrize("loss", ALL)
@pytest.mark.parametrize("autocast", [False, True])
def test_half_precision_logits_are_computed_in_float32(loss, autocast):
    logits, label = batch(7)
    logits = logits.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        value = loss(logits, label)
    assert value.dtype == torch.float32
    torch.testing.assert_close(value, loss(logits.float(), label))


@pytest.mark.parametrize("loss", ALL)
def test_large_logits_stay_finite(loss):
    logits, label = batch(8)
    logits = (1e4 * logits).requires_grad_()
    value = loss(logits, label)
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("kind", [CrossEntropy, OhemCrossEntropy, CrossEntropyDice])
def test_class_weights_need_one_for_each_class(kind):
    with pytest.raises(UserError, match=r"class_weights has 3 weights, .* 5 classes"):
        kind(class_weights=[1.0, 1.0, 1.0])(*batch())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: CrossEntropy(class_weights=[1, -2]), r"class_weights\[1\]=-2"),
        (lambda: CrossEntropy(class_weights=[float("nan")]), r"class_weights\[0\]=nan"),
        (lambda: OhemCrossEntropy(threshold=0), "threshold=0"),
        (lambda: OhemCrossEntropy(threshold=1.5), "threshold=1.5"),
        (lambda: OhemCrossEntropy(min_kept=0), "min_kept=0"),
        (lambda: CrossEntropy(average="mean"), "average=mean: give one of weights, labeled, all"),
        (lambda: CrossEntropyDice(dice_weight=-1), "dice_weight=-1"),
    ],
)
def test_wrong_numbers_are_refused_at_construction(build, message):
    with pytest.raises(UserError, match=message):
        build()


def test_class_weights_stay_out_of_checkpoints():
    assert CrossEntropy(class_weights=[1.0, 2.0]).state_dict() == {}


def test_a_loss_is_chosen_by_its_name():
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Loss, "loss")
    flags = ["--loss=OhemCrossEntropy", "--loss.min_kept=5", "--loss.class_weights=[1, 2]"]
    chosen = parser.parse_args(flags).loss
    assert chosen.class_path == "pspnet.losses.OhemCrossEntropy"
    expected = {"threshold": 0.7, "min_kept": 5, "class_weights": [1.0, 2.0], "average": "weights"}
    assert vars(chosen.init_args) == expected
    with pytest.raises(ArgumentError, match="min_keep"):
        parser.parse_args(["--loss=OhemCrossEntropy", "--loss.min_keep=5"])
