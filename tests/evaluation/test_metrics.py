import math

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from pspnet.errors import UserError
from pspnet.evaluation.metrics import (
    SegmentationMetrics,
    accuracy_per_class,
    confusion_matrix,
    group_iou,
    iou_per_class,
    mean_accuracy,
    mean_iou,
    merge_classes,
    pixel_accuracy,
)
from pspnet.evaluation.summary import summary

CLASSES = 6
# worked out by hand: IoU 6/10, 2/7, nan, 0/1; accuracy 6/8, 2/5, nan, nan
HAND = torch.tensor([[6, 2, 0, 0], [2, 2, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])


def batch(seed: int, *, ignored: float = 0.2):
    """Prediction, target and weights, (3, 5, 7); class 4 never occurs, 5 is never a target."""
    draw = np.random.default_rng(seed)
    preds = draw.choice([0, 1, 2, 3, 5], (3, 5, 7))
    target = np.where(draw.random(preds.shape) < 0.5, preds, draw.integers(0, 4, preds.shape))
    target[target == 5] = 0
    target[draw.random(target.shape) < ignored] = 255
    # multiples of 1/8: their sums are exact, so they do not depend on the order
    weight = draw.integers(0, 17, target.shape) / 8
    return torch.from_numpy(preds), torch.from_numpy(target), torch.from_numpy(weight).float()


def counted(preds, target, weight=None) -> np.ndarray:
    """The confusion matrix, pixel by pixel."""
    matrix = np.zeros((CLASSES, CLASSES))
    for index in np.ndindex(*target.shape):
        if target[index] != 255:
            matrix[target[index], preds[index]] += 1 if weight is None else weight[index]
    return matrix


def reference_ious(preds, target, weight=None) -> list[float]:
    """IoU by sets of pixels, not by a matrix."""
    counts = (target != 255).double() * (1 if weight is None else weight)
    ious = []
    for index in range(CLASSES):
        both = (((preds == index) & (target == index)) * counts).sum().item()
        either = (((preds == index) | (target == index)) * counts).sum().item()
        ious.append(both / either if either else math.nan)
    return ious


@pytest.mark.parametrize("seed", range(3))
def test_matrix_is_the_count_of_pixels(seed):
    preds, target, weight = batch(seed)
    plain = confusion_matrix(preds, target, num_classes=CLASSES)
    assert plain.dtype == torch.int64
    np.testing.assert_array_equal(plain, counted(preds, target))
    weighted = confusion_matrix(preds, target, num_classes=CLASSES, weight=weight)
    assert weighted.dtype == torch.float64
    np.testing.assert_array_equal(weighted, counted(preds, target, weight))


def test_matrix_takes_bytes_too():
    preds, target, _ = batch(0)
    matrix = confusion_matrix(preds.byte(), target.byte(), num_classes=CLASSES)
    np.testing.assert_array_equal(matrix, counted(preds, target))


def test_matrix_with_another_ignored_label():
    preds, target, _ = batch(0)
    other = torch.where(target == 255, CLASSES, target)
    matrix = confusion_matrix(preds, other, num_classes=CLASSES, ignore_index=CLASSES)
    np.testing.assert_array_equal(matrix, counted(preds, target))


def test_what_is_predicted_at_ignored_pixels_does_not_matter():
    preds, target, weight = batch(1)
    other = torch.where(target == 255, 255, preds)
    strange = torch.where(target == 255, math.nan, weight)
    for weights in ((None, None), (weight, strange)):
        expected = confusion_matrix(preds, target, num_classes=CLASSES, weight=weights[0])
        got = confusion_matrix(other, target, num_classes=CLASSES, weight=weights[1])
        assert torch.equal(got, expected)


@pytest.mark.parametrize(
    ("preds", "target", "message"),
    [
        (2, 1, "target 1 and prediction 2 with 2 classes"),
        (255, 0, "target 0 and prediction 255"),
        (0, 2, "target 2 and prediction 0"),
        (1, 254, "target 254 and prediction 1"),
    ],
)
def test_ids_of_no_class_are_refused(preds, target, message):
    all_preds, all_targets = torch.zeros(1, 2, 2).long(), torch.zeros(1, 2, 2).long()
    all_preds[0, 1, 1], all_targets[0, 1, 1] = preds, target
    with pytest.raises(UserError, match=message):
        confusion_matrix(all_preds, all_targets, num_classes=2)


def test_logits_and_wrong_weights_are_refused():
    target = torch.zeros(1, 2, 2).long()
    with pytest.raises(UserError, match=r"preds \(1, 3, 2, 2\) and target \(1, 2, 2\).*argmax"):
        confusion_matrix(torch.zeros(1, 3, 2, 2), target, num_classes=3)
    with pytest.raises(UserError, match=r"weight \(1,\) and target \(1, 2, 2\)"):
        confusion_matrix(target, target, num_classes=3, weight=torch.ones(1))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"num_classes": 0}, "num_classes=0"),
        ({"num_classes": 256}, "num_classes=256"),
        ({"num_classes": 5, "ignore_index": 4}, "ignore_index=4: give 5 to 255"),
        ({"num_classes": 5, "ignore_index": -1}, "ignore_index=-1"),
    ],
)
def test_wrong_numbers_are_refused(numbers, message):
    with pytest.raises(UserError, match=message):
        SegmentationMetrics(**numbers)


def missed(preds, target, *, value: int = 255):
    """The prediction, with about a fifth of its pixels of no class, and the target."""
    draw = np.random.default_rng(7)
    return torch.where(torch.from_numpy(draw.random(target.shape) < 0.2), value, preds), target


@pytest.mark.parametrize("value", [255, 200])
def test_predictions_of_no_class_are_the_last_column(value):
    preds, target = missed(*batch(0)[:2], value=value)
    matrix = confusion_matrix(preds, target, num_classes=CLASSES, no_class=value)
    assert matrix.shape == (CLASSES, CLASSES + 1)
    own = torch.where(target == 255, False, preds < CLASSES)
    np.testing.assert_array_equal(
        matrix[:, :-1], counted(preds[own][None, None], target[own][None, None])
    )
    lost = [((preds == value) & (target == index)).sum().item() for index in range(CLASSES)]
    assert matrix[:, -1].tolist() == lost
    assert min(lost[:3]) > 0
    with pytest.raises(UserError, match=f"prediction {value} with 6 classes"):
        confusion_matrix(preds, target, num_classes=CLASSES)
    preds[0, 0, 0], target[0, 0, 0] = 201, 0
    with pytest.raises(UserError, match="target 0 and prediction 201"):
        confusion_matrix(preds, target, num_classes=CLASSES, no_class=value)


def test_pixels_of_no_class_are_missed_by_their_class():
    preds, target = missed(*batch(0)[:2])
    matrix = confusion_matrix(preds, target, num_classes=CLASSES, no_class=255)
    ious = reference_ious(preds, target)
    np.testing.assert_allclose(iou_per_class(matrix), ious)
    found = [(preds == target)[target == index].double().mean() for index in range(CLASSES)]
    np.testing.assert_allclose(accuracy_per_class(matrix), found)
    assert mean_iou(matrix).item() == pytest.approx(np.nanmean(ious))
    seen = target != 255
    assert pixel_accuracy(matrix).item() == pytest.approx((preds == target)[seen].double().mean())
    assert group_iou(matrix, [0, 5]).item() == pytest.approx((ious[0] + ious[5]) / 2)
    share = summary(matrix, names="abcdef", groups={})["share"]
    assert share["b"] == pytest.approx((target[seen] == 1).double().mean())


@pytest.mark.parametrize("no_class", [None, 255])
def test_merging_classes_counts_the_pixels_of_the_merged_classes(no_class):
    """Classes {0, 3}, {1, 2, 5} and {4}, renamed in the images themselves."""
    preds, target, _ = batch(3)
    if no_class is not None:
        preds, target = missed(preds, target)
    matrix = confusion_matrix(preds, target, num_classes=CLASSES, no_class=no_class)
    renamed = torch.full((256,), 255)
    renamed[torch.arange(CLASSES)] = torch.tensor([0, 1, 1, 0, 2, 1])
    expected = confusion_matrix(renamed[preds], renamed[target], num_classes=3, no_class=no_class)
    assert torch.equal(merge_classes(matrix, [[0, 3], [5, 1, 2], [4]]), expected)


def test_scores_by_class_by_hand():
    nan = math.nan
    np.testing.assert_allclose(iou_per_class(HAND), [6 / 10, 2 / 7, nan, 0])
    np.testing.assert_allclose(accuracy_per_class(HAND), [6 / 8, 2 / 5, nan, nan])


def test_means_by_hand():
    assert mean_iou(HAND, absent="skip").item() == pytest.approx((6 / 10 + 2 / 7) / 3)
    assert mean_iou(HAND, absent="zero").item() == pytest.approx((6 / 10 + 2 / 7) / 4)
    assert mean_accuracy(HAND, absent="skip").item() == pytest.approx((6 / 8 + 2 / 5) / 2)
    assert mean_accuracy(HAND, absent="zero").item() == pytest.approx((6 / 8 + 2 / 5) / 4)
    assert pixel_accuracy(HAND).item() == pytest.approx(8 / 13)
    assert group_iou(HAND, [1, 2], absent="skip").item() == pytest.approx(2 / 7)
    assert group_iou(HAND, [1, 2], absent="zero").item() == pytest.approx(1 / 7)


def test_counts_above_float32_stay_exact():
    matrix = torch.tensor([[2**40 + 1, 0], [1, 2**40]])
    assert iou_per_class(matrix)[1].item() == 2**40 / (2**40 + 1)
    assert pixel_accuracy(matrix).item() < 1


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("absent", ["skip", "zero"])
def test_miou_is_of_the_whole_set_not_of_batches(absent, weighted):
    metric = SegmentationMetrics(CLASSES, absent=absent)
    batches = [batch(seed, ignored=0.1 + 0.4 * seed) for seed in range(3)]
    for preds, target, weight in batches:
        metric.update(preds, target, weight if weighted else None)
    preds, target, weight = (torch.cat(part) for part in zip(*batches, strict=True))
    ious = reference_ious(preds, target, weight if weighted else None)
    assert math.isnan(ious[4])  # absent from both
    assert ious[5] == 0  # predicted, never a target
    expected = np.nanmean(ious) if absent == "skip" else np.nan_to_num(ious).mean()
    value = metric.compute()
    assert value.shape == ()
    assert value.item() == pytest.approx(expected, rel=1e-6)
    assert metric.total().dtype == (torch.float64 if weighted else torch.int64)


@pytest.mark.parametrize("seed", range(5))
def test_skipping_absent_classes_is_torchmetrics_macro_average(seed):
    ours = SegmentationMetrics(CLASSES, absent="skip")
    theirs = MulticlassJaccardIndex(CLASSES, average="macro", ignore_index=255)
    for step, ignored in enumerate((0.0, 0.5, 1.0)):
        preds, target, _ = batch(10 * seed + step, ignored=ignored)
        ours.update(preds, target)
        theirs.update(preds, target)
    torch.testing.assert_close(ours.compute(), theirs.compute())


def test_only_ignored_pixels():
    preds, target, _ = batch(0, ignored=1.0)
    skip, zero = SegmentationMetrics(CLASSES), SegmentationMetrics(CLASSES, absent="zero")
    theirs = MulticlassJaccardIndex(CLASSES, average="macro", ignore_index=255)
    for metric in (skip, zero, theirs):
        metric.update(preds, target)
    assert skip.compute().isnan()
    assert theirs.compute().isnan()
    assert zero.compute() == 0


def test_reset_forgets_pixels_and_weights():
    metric = SegmentationMetrics(CLASSES)
    preds, target, weight = batch(0)
    metric.update(preds, target, weight)
    metric.reset()
    metric.update(preds, target)
    assert metric.total().dtype == torch.int64
    np.testing.assert_array_equal(metric.total(), counted(preds, target))


def test_weights_of_one_change_nothing():
    plain, weighted = SegmentationMetrics(CLASSES), SegmentationMetrics(CLASSES)
    preds, target, _ = batch(0)
    plain.update(preds, target)
    weighted.update(preds, target, torch.ones(target.shape))
    assert weighted.total().tolist() == plain.total().tolist()
    assert weighted.compute() == plain.compute()


class WithoutFloat64(torch.Tensor):
    """A tensor as on Apple's MPS: it cannot be float64 before it is moved to the CPU."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        result = super().__torch_function__(func, types, args, kwargs or {})
        if func is torch.Tensor.cpu:
            return result.as_subclass(torch.Tensor)
        if isinstance(result, cls) and result.dtype == torch.float64:
            raise TypeError("MPS has no float64")
        return result


@pytest.mark.parametrize("weighted", [False, True])
def test_no_float64_outside_the_cpu(weighted):
    preds, target, weight = batch(0)
    expected, metric = SegmentationMetrics(CLASSES), SegmentationMetrics(CLASSES)
    metric.confmat = metric.confmat.as_subclass(WithoutFloat64)
    for _ in range(2):
        expected.update(preds, target, weight if weighted else None)
        there = [tensor.as_subclass(WithoutFloat64) for tensor in (preds, target, weight)]
        metric.update(there[0], there[1], there[2] if weighted else None)
    assert metric.compute() == expected.compute()
    assert metric.total().tolist() == expected.total().tolist()
    with pytest.raises(TypeError, match="MPS"):
        there[2].double()
