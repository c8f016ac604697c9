"""Confusion matrices of label maps, against counts pixel by pixel."""

import math

import numpy as np
import pytest
import torch
from label_maps import CLASSES, batch, counted, missed

from pspnet.errors import UserError
from pspnet.evaluation.confusion_matrix import confusion_matrix, counts_on_device
from pspnet.evaluation.metrics import merge_classes


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


@pytest.mark.parametrize("seed", range(3))
def test_the_count_without_waits_is_that_of_pixels(seed):
    preds, target, _ = batch(seed)
    matrix, wrong = counts_on_device(preds, target, num_classes=CLASSES, ignore_index=255)
    assert matrix.dtype == torch.int64
    np.testing.assert_array_equal(matrix, counted(preds, target))
    assert wrong == 0
    flat = (preds.flatten(), target.flatten())
    assert torch.equal(counts_on_device(*flat, num_classes=CLASSES, ignore_index=255)[0], matrix)
    preds[0, 0, :2], target[0, 0, :2] = CLASSES, 0
    target[0, 1, :3] = torch.tensor([CLASSES, 254, -1])
    preds[0, 2, 0], target[0, 2, 0] = -1, 1
    _, wrong = counts_on_device(preds, target, num_classes=CLASSES, ignore_index=255)
    assert wrong == 6


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
