"""Scores worked out by hand, by sets of pixels, and by torchmetrics."""

import math

import numpy as np
import pytest
import torch
from label_maps import CLASSES, batch, counted, missed, reference_ious
from torchmetrics.classification import MulticlassJaccardIndex

from pspnet.errors import UserError
from pspnet.evaluation.confusion_matrix import confusion_matrix, counts_on_device
from pspnet.evaluation.metrics import (
    SegmentationMetrics,
    WeightedMean,
    accuracy_per_class,
    group_iou,
    iou_per_class,
    mean_accuracy,
    mean_iou,
    pixel_accuracy,
)
from pspnet.evaluation.summary import summary
from pspnet.ops.arriving import Arriving

# worked out by hand: IoU 6/10, 2/7, nan, 0/1; accuracy 6/8, 2/5, nan, nan
HAND = torch.tensor([[6, 2, 0, 0], [2, 2, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])


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


def test_ids_that_arrive_late_are_refused_with_the_next_batch():
    def on_device(target):
        """A metric whose batch's counts are on their way, as an accelerator's."""
        metric = SegmentationMetrics(2)
        preds = torch.zeros_like(target)
        matrix, wrong = counts_on_device(preds, target, num_classes=2, ignore_index=255)
        metric.confmat = metric.confmat + matrix
        metric._unchecked = (Arriving(wrong), preds, target)
        return metric

    right, wrong = torch.tensor([[[0, 1]]]), torch.tensor([[[0, 7]]])
    assert on_device(right).compute() == pytest.approx(0.25)
    message = "a pixel of target 7 and prediction 0 with 2 classes"
    for ask in (lambda metric: metric.update(right, right), lambda metric: metric.compute()):
        with pytest.raises(UserError, match=message):
            ask(on_device(wrong))
    metric = on_device(wrong)
    metric.reset()
    metric.update(right, right)
    assert metric.total().trace() == 2


def test_a_mean_by_weights():
    metric = WeightedMean()
    for value, weight in ((2.0, 3), (math.nan, 0), (5.0, 1)):
        metric.update(torch.tensor(value), torch.tensor(weight))
    assert metric.compute() == pytest.approx(11 / 4)
    metric.update(torch.tensor(math.nan), torch.tensor(1))
    assert metric.compute().isnan()
    metric.reset()
    metric.update(torch.tensor(1.5), torch.tensor(2))
    assert metric.compute() == 1.5
