import math
from datetime import timedelta

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassJaccardIndex

from pspnet.errors import UserError
from pspnet.evaluation.metrics import (
    SegmentationMetrics,
    accuracy_per_class,
    confusion,
    group_iou,
    iou_per_class,
    mean_accuracy,
    mean_iou,
    merged,
    pixel_accuracy,
)
from pspnet.evaluation.summary import summary

CLASSES = 6
# worked out by hand: IoU 6/10, 2/7, nan, 0/1; accuracy 6/8, 2/5, nan, nan
HAND = torch.tensor([[6, 2, 0, 0], [2, 2, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])


def batch(seed: int, *, ignored: float = 0.2):
    """Prediction, label and weights of (3, 5, 7) pixels; class 4 never occurs, 5 is never true."""
    draw = np.random.default_rng(seed)
    pred = draw.choice([0, 1, 2, 3, 5], (3, 5, 7))
    label = np.where(draw.random(pred.shape) < 0.5, pred, draw.integers(0, 4, pred.shape))
    label[label == 5] = 0
    label[draw.random(label.shape) < ignored] = 255
    # multiples of 1/8: their sums are exact, so they do not depend on the order
    weight = draw.integers(0, 17, label.shape) / 8
    return torch.from_numpy(pred), torch.from_numpy(label), torch.from_numpy(weight).float()


def counted(pred, label, weight=None) -> np.ndarray:
    """The confusion matrix, pixel by pixel."""
    matrix = np.zeros((CLASSES, CLASSES))
    for index in np.ndindex(*label.shape):
        if label[index] != 255:
            matrix[label[index], pred[index]] += 1 if weight is None else weight[index]
    return matrix


def reference_ious(pred, label, weight=None) -> list[float]:
    """IoU by sets of pixels, not by a matrix."""
    counts = (label != 255).double() * (1 if weight is None else weight)
    ious = []
    for index in range(CLASSES):
        both = (((pred == index) & (label == index)) * counts).sum().item()
        either = (((pred == index) | (label == index)) * counts).sum().item()
        ious.append(both / either if either else math.nan)
    return ious


@pytest.mark.parametrize("seed", range(3))
def test_matrix_is_the_count_of_pixels(seed):
    pred, label, weight = batch(seed)
    plain = confusion(pred, label, num_classes=CLASSES)
    assert plain.dtype == torch.int64
    np.testing.assert_array_equal(plain, counted(pred, label))
    weighted = confusion(pred, label, num_classes=CLASSES, weight=weight)
    assert weighted.dtype == torch.float64
    np.testing.assert_array_equal(weighted, counted(pred, label, weight))


def test_matrix_takes_bytes_too():
    pred, label, _ = batch(0)
    matrix = confusion(pred.byte(), label.byte(), num_classes=CLASSES)
    np.testing.assert_array_equal(matrix, counted(pred, label))


def test_matrix_with_another_ignored_label():
    pred, label, _ = batch(0)
    other = torch.where(label == 255, CLASSES, label)
    matrix = confusion(pred, other, num_classes=CLASSES, ignore_index=CLASSES)
    np.testing.assert_array_equal(matrix, counted(pred, label))


def test_what_is_predicted_at_ignored_pixels_does_not_matter():
    pred, label, weight = batch(1)
    other = torch.where(label == 255, 255, pred)
    strange = torch.where(label == 255, math.nan, weight)
    for weights in ((None, None), (weight, strange)):
        expected = confusion(pred, label, num_classes=CLASSES, weight=weights[0])
        got = confusion(other, label, num_classes=CLASSES, weight=weights[1])
        assert torch.equal(got, expected)


@pytest.mark.parametrize(
    ("pred", "label", "message"),
    [
        (2, 1, "label 1 and prediction 2 with 2 classes"),
        (255, 0, "label 0 and prediction 255"),
        (0, 2, "label 2 and prediction 0"),
        (1, 254, "label 254 and prediction 1"),
    ],
)
def test_ids_of_no_class_are_refused(pred, label, message):
    preds, labels = torch.zeros(1, 2, 2).long(), torch.zeros(1, 2, 2).long()
    preds[0, 1, 1], labels[0, 1, 1] = pred, label
    with pytest.raises(UserError, match=message):
        confusion(preds, labels, num_classes=2)


def test_logits_and_wrong_weights_are_refused():
    label = torch.zeros(1, 2, 2).long()
    with pytest.raises(UserError, match=r"pred \(1, 3, 2, 2\) and label \(1, 2, 2\).*argmax"):
        confusion(torch.zeros(1, 3, 2, 2), label, num_classes=3)
    with pytest.raises(UserError, match=r"weight \(1,\) and label \(1, 2, 2\)"):
        confusion(label, label, num_classes=3, weight=torch.ones(1))


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


def missed(pred, label, *, value: int = 255):
    """The prediction, with about a fifth of its pixels of no class, and the label."""
    draw = np.random.default_rng(7)
    return torch.where(torch.from_numpy(draw.random(label.shape) < 0.2), value, pred), label


@pytest.mark.parametrize("value", [255, 200])
def test_predictions_of_no_class_are_the_last_column(value):
    pred, label = missed(*batch(0)[:2], value=value)
    matrix = confusion(pred, label, num_classes=CLASSES, no_class=value)
    assert matrix.shape == (CLASSES, CLASSES + 1)
    own = torch.where(label == 255, False, pred < CLASSES)
    np.testing.assert_array_equal(
        matrix[:, :-1], counted(pred[own][None, None], label[own][None, None])
    )
    lost = [((pred == value) & (label == index)).sum().item() for index in range(CLASSES)]
    assert matrix[:, -1].tolist() == lost
    assert min(lost[:3]) > 0
    with pytest.raises(UserError, match=f"prediction {value} with 6 classes"):
        confusion(pred, label, num_classes=CLASSES)
    pred[0, 0, 0], label[0, 0, 0] = 201, 0
    with pytest.raises(UserError, match="label 0 and prediction 201"):
        confusion(pred, label, num_classes=CLASSES, no_class=value)


def test_pixels_of_no_class_are_missed_by_their_class():
    pred, label = missed(*batch(0)[:2])
    matrix = confusion(pred, label, num_classes=CLASSES, no_class=255)
    ious = reference_ious(pred, label)
    np.testing.assert_allclose(iou_per_class(matrix), ious)
    found = [(pred == label)[label == index].double().mean() for index in range(CLASSES)]
    np.testing.assert_allclose(accuracy_per_class(matrix), found)
    assert mean_iou(matrix).item() == pytest.approx(np.nanmean(ious))
    seen = label != 255
    assert pixel_accuracy(matrix).item() == pytest.approx((pred == label)[seen].double().mean())
    assert group_iou(matrix, [0, 5]).item() == pytest.approx((ious[0] + ious[5]) / 2)
    share = summary(matrix, names="abcdef", groups={})["share"]
    assert share["b"] == pytest.approx((label[seen] == 1).double().mean())


@pytest.mark.parametrize("no_class", [None, 255])
def test_merged_is_the_count_of_pixels_of_merged_classes(no_class):
    """Classes {0, 3}, {1, 2, 5} and {4}, renamed in the images themselves."""
    pred, label, _ = batch(3)
    if no_class is not None:
        pred, label = missed(pred, label)
    matrix = confusion(pred, label, num_classes=CLASSES, no_class=no_class)
    renamed = torch.full((256,), 255)
    renamed[torch.arange(CLASSES)] = torch.tensor([0, 1, 1, 0, 2, 1])
    expected = confusion(renamed[pred], renamed[label], num_classes=3, no_class=no_class)
    assert torch.equal(merged(matrix, [[0, 3], [5, 1, 2], [4]]), expected)


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
    for pred, label, weight in batches:
        metric.update(pred, label, weight if weighted else None)
    pred, label, weight = (torch.cat(part) for part in zip(*batches, strict=True))
    ious = reference_ious(pred, label, weight if weighted else None)
    assert math.isnan(ious[4])  # absent from both
    assert ious[5] == 0  # predicted, never true
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
        pred, label, _ = batch(10 * seed + step, ignored=ignored)
        ours.update(pred, label)
        theirs.update(pred, label)
    torch.testing.assert_close(ours.compute(), theirs.compute())


def test_only_ignored_pixels():
    pred, label, _ = batch(0, ignored=1.0)
    skip, zero = SegmentationMetrics(CLASSES), SegmentationMetrics(CLASSES, absent="zero")
    theirs = MulticlassJaccardIndex(CLASSES, average="macro", ignore_index=255)
    for metric in (skip, zero, theirs):
        metric.update(pred, label)
    assert skip.compute().isnan()
    assert theirs.compute().isnan()
    assert zero.compute() == 0


def test_reset_forgets_pixels_and_weights():
    metric = SegmentationMetrics(CLASSES)
    pred, label, weight = batch(0)
    metric.update(pred, label, weight)
    metric.reset()
    metric.update(pred, label)
    assert metric.total().dtype == torch.int64
    np.testing.assert_array_equal(metric.total(), counted(pred, label))


def test_weights_of_one_change_nothing():
    plain, weighted = SegmentationMetrics(CLASSES), SegmentationMetrics(CLASSES)
    pred, label, _ = batch(0)
    plain.update(pred, label)
    weighted.update(pred, label, torch.ones(label.shape))
    assert weighted.total().tolist() == plain.total().tolist()
    assert weighted.compute() == plain.compute()


def fed(case: str, *, rank: int | None = None) -> SegmentationMetrics:
    """A metric that saw the batches of one process of two, or all of them."""
    metric = SegmentationMetrics(CLASSES)
    for seed in range(5):
        pred, label, weight = batch(seed)
        owner = 0 if case == "one process without data" else seed % 2
        if rank in (None, owner):
            metric.update(pred, label, None if case == "plain" else weight)
    return metric


CASES = ("plain", "weighted", "one process without data")


def in_process(rank: int, folder: str) -> None:
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/rendezvous",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=180),
    )
    try:
        results = {}
        for case in CASES:
            metric = fed(case, rank=rank)
            local = metric.confmat.clone()
            results[case] = metric.compute(), metric.total()
            assert torch.equal(metric.confmat, local)  # the process goes on with its own counts
        torch.save(results, f"{folder}/{rank}.pt")
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:The ``compute`` method")  # of the process without data
def test_two_processes_agree_with_one_exactly(tmp_path):
    # this process is the second one, because importing torchmetrics takes seconds
    other = torch.multiprocessing.spawn(in_process, (str(tmp_path),), nprocs=1, join=False)
    in_process(1, str(tmp_path))
    other.join()
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt")
        for case in CASES:
            miou, total = results[case]
            whole = fed(case)
            assert torch.equal(miou, whole.compute()), case
            assert torch.equal(total, whole.total()), case
            assert total.dtype == whole.total().dtype, case
