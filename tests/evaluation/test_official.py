"""Scores of files against the benchmarks' own scorers, or against counts pixel by pixel."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pspnet.evaluation.official import OFFICIAL_SCORERS
from pspnet.evaluation.summary import Summary, summary
from pspnet.tools.score import count_pixels, pair_files

Pairs = list[tuple[np.ndarray, np.ndarray]]  # stored values of prediction and target


def draw(seed: int, predicted: list[int], targets: list[int], *, images: int = 3) -> Pairs:
    """Random stored values, more than half of the predictions right where they can be."""
    generator = np.random.default_rng(seed)
    pairs = []
    for number in range(images):
        size = (40 + number, 50)
        target = generator.choice(np.array(targets, np.uint8), size)
        pred = generator.choice(np.array(predicted, np.uint8), size)
        right = (generator.random(size) < 0.6) & np.isin(target, predicted)
        pairs.append((np.where(right, target, pred), target))
    return pairs


def put(tmp_path: Path, pairs: Pairs, *, pred: str = "{}", target: str = "{}") -> None:
    for folder in ("predictions", "target"):
        (tmp_path / folder).mkdir()
    for number, (prediction, label) in enumerate(pairs):
        Image.fromarray(prediction).save(tmp_path / "predictions" / f"{pred.format(number)}.png")
        Image.fromarray(label).save(tmp_path / "target" / f"{target.format(number)}.png")


def scored(tmp_path: Path, dataset: str) -> Summary:
    scorer = OFFICIAL_SCORERS[dataset]
    pairs = pair_files(tmp_path / "predictions", tmp_path / "target", scorer=scorer)
    classes = scorer.source.classes
    return summary(
        count_pixels(pairs, scorer=scorer),
        names=classes.names,
        groups={},
        categories=classes.categories,
        absent=scorer.absent,
    )


ALL = list(range(34))  # every label id, those that are ignored too


@pytest.mark.parametrize(
    ("predicted", "targets", "nowhere"),
    [
        (ALL, ALL, 0),
        ([*range(7, 31)], [0, *range(7, 28)], 3),
        ([7, 8, 9, 23], [4, 7, 8, 11, 23], 15 + 4),
    ],
    ids=["all ids", "some classes nowhere", "some categories nowhere"],
)
def test_cityscapes_scores_are_its_scripts(tmp_path, predicted, targets, nowhere):
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official

    frame = "bad-ulm_000000_{:06}"
    pairs = draw(len(predicted), predicted, targets)
    put(tmp_path, pairs, pred=frame + "_leftImg8bit", target=frame + "_gtFine_labelIds")
    files = [sorted(map(str, (tmp_path / f).iterdir())) for f in ("predictions", "target")]
    options = {"evalInstLevelScore": False, "evalPixelAccuracy": False, "JSONOutput": False}
    expected = official.evaluateImgLists(*files, SimpleNamespace(quiet=True, **options))
    scores = scored(tmp_path, "cityscapes")
    for ours, theirs in (("iou", "classScores"), ("categories", "categoryScores")):
        for name, score in scores[ours].items():
            reference = expected[theirs].pop(name)
            assert (score is None) == np.isnan(reference)
            assert score is None or score == pytest.approx(reference, rel=1e-12)
        assert np.isnan([*expected[theirs].values()]).all()  # ids that do not count
    assert scores["miou"] == pytest.approx(expected["averageScoreClasses"], rel=1e-12)
    assert scores["category_miou"] == pytest.approx(expected["averageScoreCategories"], rel=1e-12)
    absent = sum(score is None for part in ("iou", "categories") for score in scores[part].values())
    assert absent == nowhere
    ranking = OFFICIAL_SCORERS["cityscapes"].ranking_scores(scores)
    assert ranking == {"class IoU": scores["miou"], "category IoU": scores["category_miou"]}


def test_voc_is_the_mean_over_21_classes(tmp_path):
    """The development kit's rule: pixels of 255 are left out, the rest counts."""
    pairs = draw(1, [*range(21)], [*range(21), 255])
    put(tmp_path, pairs, pred="2007_{:06}", target="2007_{:06}")
    ious = []
    for index in range(21):
        right = wrong = lost = 0
        for pred, target in pairs:
            for said, true in zip(pred.flat, target.flat, strict=True):
                right += true == index == said
                wrong += true not in (index, 255) and said == index
                lost += true == index != said
        ious.append(right / (right + wrong + lost))
    scores = scored(tmp_path, "voc")
    assert [*scores["iou"].values()] == pytest.approx(ious, rel=1e-12)
    assert OFFICIAL_SCORERS["voc"].ranking_scores(scores) == {
        "mIoU": pytest.approx(np.mean(ious), rel=1e-12)
    }


@pytest.mark.parametrize("classes", [150, 97])
def test_ade20k_is_the_mean_of_miou_and_pixel_accuracy(tmp_path, classes):
    """The challenge's rule: 0 in the target is left out, 0 in a prediction is wrong."""
    pairs = draw(2, [*range(classes + 1)], [*range(classes + 1)], images=6)
    put(tmp_path, pairs, pred="ADE_val_{:08}", target="ADE_val_{:08}")
    both, predicted, true = (np.zeros(151) for _ in range(3))
    for pred, target in pairs:
        counted = target > 0
        for index in range(1, 151):
            both[index] += ((pred == index) & (target == index)).sum()
            predicted[index] += ((pred == index) & counted).sum()
            true[index] += (target == index).sum()
    ious = (both / (np.finfo(float).eps + predicted + true - both))[1:]
    accuracy = both.sum() / true[1:].sum()
    scores = scored(tmp_path, "ade20k")
    assert [iou or 0 for iou in scores["iou"].values()] == pytest.approx(ious)
    assert (ious == 0).sum() == 150 - classes
    ranking = OFFICIAL_SCORERS["ade20k"].ranking_scores(scores)
    assert ranking == pytest.approx(
        {
            "mIoU": ious.mean(),
            "pixel accuracy": accuracy,
            "mean of both": (ious.mean() + accuracy) / 2,
        }
    )


def test_ade20k_without_a_counted_pixel_has_no_score(tmp_path):
    put(tmp_path, [(np.ones((2, 2), np.uint8), np.zeros((2, 2), np.uint8))])
    ranking = OFFICIAL_SCORERS["ade20k"].ranking_scores(scored(tmp_path, "ade20k"))
    assert ranking == {"mIoU": 0, "pixel accuracy": None, "mean of both": None}


def test_camvid_leaves_void_out_and_counts_predicted_void_as_wrong(tmp_path):
    pairs = draw(3, [*range(12)], [*range(12), 255])
    put(tmp_path, pairs)
    ious = []
    for index in range(11):
        counts = [(g[t < 11] == index, t[t < 11] == index) for g, t in pairs]
        ious.append(sum((g & t).sum() for g, t in counts) / sum((g | t).sum() for g, t in counts))
    scores = scored(tmp_path, "camvid")
    assert [*scores["iou"].values()] == pytest.approx(ious, rel=1e-12)
    assert OFFICIAL_SCORERS["camvid"].ranking_scores(scores) == {
        "mIoU": pytest.approx(np.mean(ious))
    }


@pytest.mark.parametrize(
    ("dataset", "stored", "others"),
    [
        ("voc", range(21), []),
        ("cityscapes", [7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33], [0, 9, 30]),
        ("ade20k", range(1, 151), [0]),
        ("camvid", range(11), [11]),
    ],
)
def test_train_ids_and_stored_values_mean_the_same(dataset, stored, others):
    scorer = OFFICIAL_SCORERS[dataset]
    by_value, by_id = (scorer.predicted_code(kind).values for kind in ("stored", "train"))
    assert by_value[list(stored)].tolist() == list(range(len(stored)))
    assert by_id[: len(stored)].tolist() == list(range(len(stored)))
    assert set(by_id[len(stored) : 255]) == {-1}
    assert {*by_value[others], by_id[255]} == ({255} if others else {-1})
    accepted = {*stored, *others} if dataset != "cityscapes" else set(range(34))
    assert {value for value in range(256) if by_value[value] >= 0} == accepted
