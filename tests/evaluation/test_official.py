"""Scores of written predictions against the benchmarks' own scorers, or counts of their making."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pspnet.evaluation.official import BENCHMARKS
from pspnet.evaluation.summary import Summary, summary
from pspnet.tools.score import count, pair

Pictures = list[tuple[np.ndarray, np.ndarray]]  # prediction and truth, as stored


def draw(seed: int, guesses: list[int], truths: list[int], *, images: int = 3) -> Pictures:
    """Random stored values, more than half of the predictions right where they can be."""
    generator = np.random.default_rng(seed)
    pictures = []
    for number in range(images):
        size = (40 + number, 50)
        truth = generator.choice(np.array(truths, np.uint8), size)
        guess = generator.choice(np.array(guesses, np.uint8), size)
        right = (generator.random(size) < 0.6) & np.isin(truth, guesses)
        pictures.append((np.where(right, truth, guess), truth))
    return pictures


def put(tmp_path: Path, pictures: Pictures, *, guess: str = "{}", truth: str = "{}") -> None:
    for folder in ("predictions", "truth"):
        (tmp_path / folder).mkdir()
    for number, (prediction, label) in enumerate(pictures):
        Image.fromarray(prediction).save(tmp_path / "predictions" / f"{guess.format(number)}.png")
        Image.fromarray(label).save(tmp_path / "truth" / f"{truth.format(number)}.png")


def scored(tmp_path: Path, dataset: str) -> Summary:
    benchmark = BENCHMARKS[dataset]
    pairs = pair(tmp_path / "predictions", tmp_path / "truth", benchmark=benchmark)
    classes = benchmark.source.classes
    return summary(
        count(pairs, benchmark=benchmark),
        names=classes.names,
        groups={},
        categories=classes.categories,
        absent=benchmark.absent,
    )


ALL = list(range(34))  # every label id, those that are ignored too


@pytest.mark.parametrize(
    ("guesses", "truths", "nowhere"),
    [
        (ALL, ALL, 0),
        ([*range(7, 31)], [0, *range(7, 28)], 3),
        ([7, 8, 9, 23], [4, 7, 8, 11, 23], 15 + 4),
    ],
    ids=["all ids", "some classes nowhere", "some categories nowhere"],
)
def test_cityscapes_scores_are_its_scripts(tmp_path, guesses, truths, nowhere):
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official

    frame = "bad-ulm_000000_{:06}"
    pictures = draw(len(guesses), guesses, truths)
    put(tmp_path, pictures, guess=frame + "_leftImg8bit", truth=frame + "_gtFine_labelIds")
    files = [sorted(map(str, (tmp_path / f).iterdir())) for f in ("predictions", "truth")]
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
    figures = BENCHMARKS["cityscapes"].figures(scores)
    assert figures == {"class IoU": scores["miou"], "category IoU": scores["category_miou"]}


def test_voc_is_the_mean_over_21_classes(tmp_path):
    """The development kit's rule: pixels of 255 are left out, the rest counts."""
    pictures = draw(1, [*range(21)], [*range(21), 255])
    put(tmp_path, pictures, guess="2007_{:06}", truth="2007_{:06}")
    ious = []
    for index in range(21):
        right = wrong = lost = 0
        for guess, truth in pictures:
            for said, true in zip(guess.flat, truth.flat, strict=True):
                right += true == index == said
                wrong += true not in (index, 255) and said == index
                lost += true == index != said
        ious.append(right / (right + wrong + lost))
    scores = scored(tmp_path, "voc")
    assert [*scores["iou"].values()] == pytest.approx(ious, rel=1e-12)
    assert BENCHMARKS["voc"].figures(scores) == {"mIoU": pytest.approx(np.mean(ious), rel=1e-12)}


@pytest.mark.parametrize("classes", [150, 97])
def test_ade20k_is_the_mean_of_miou_and_pixel_accuracy(tmp_path, classes):
    """The challenge's rule: 0 in the truth is left out, 0 in a prediction is wrong."""
    pictures = draw(2, [*range(classes + 1)], [*range(classes + 1)], images=6)
    put(tmp_path, pictures, guess="ADE_val_{:08}", truth="ADE_val_{:08}")
    both, guessed, true = (np.zeros(151) for _ in range(3))
    for guess, truth in pictures:
        counted = truth > 0
        for index in range(1, 151):
            both[index] += ((guess == index) & (truth == index)).sum()
            guessed[index] += ((guess == index) & counted).sum()
            true[index] += (truth == index).sum()
    ious = (both / (np.finfo(float).eps + guessed + true - both))[1:]
    accuracy = both.sum() / true[1:].sum()
    scores = scored(tmp_path, "ade20k")
    assert [iou or 0 for iou in scores["iou"].values()] == pytest.approx(ious)
    assert (ious == 0).sum() == 150 - classes
    figures = BENCHMARKS["ade20k"].figures(scores)
    assert figures == pytest.approx(
        {
            "mIoU": ious.mean(),
            "pixel accuracy": accuracy,
            "mean of both": (ious.mean() + accuracy) / 2,
        }
    )


def test_ade20k_without_a_counted_pixel_has_no_score(tmp_path):
    put(tmp_path, [(np.ones((2, 2), np.uint8), np.zeros((2, 2), np.uint8))])
    figures = BENCHMARKS["ade20k"].figures(scored(tmp_path, "ade20k"))
    assert figures == {"mIoU": 0, "pixel accuracy": None, "mean of both": None}


def test_camvid_leaves_void_out_and_counts_predicted_void_as_wrong(tmp_path):
    pictures = draw(3, [*range(12)], [*range(12), 255])
    put(tmp_path, pictures)
    ious = []
    for index in range(11):
        counts = [(g[t < 11] == index, t[t < 11] == index) for g, t in pictures]
        ious.append(sum((g & t).sum() for g, t in counts) / sum((g | t).sum() for g, t in counts))
    scores = scored(tmp_path, "camvid")
    assert [*scores["iou"].values()] == pytest.approx(ious, rel=1e-12)
    assert BENCHMARKS["camvid"].figures(scores) == {"mIoU": pytest.approx(np.mean(ious))}


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
    benchmark = BENCHMARKS[dataset]
    by_value, by_id = benchmark.predicted_ids("stored"), benchmark.predicted_ids("train")
    assert by_value[list(stored)].tolist() == list(range(len(stored)))
    assert by_id[: len(stored)].tolist() == list(range(len(stored)))
    assert set(by_id[len(stored) : 255]) == {-1}
    assert {*by_value[others], by_id[255]} == ({255} if others else {-1})
    accepted = {*stored, *others} if dataset != "cityscapes" else set(range(34))
    assert {value for value in range(256) if by_value[value] >= 0} == accepted
