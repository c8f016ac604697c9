"""Named scores worked out by hand, and their table."""

import json

import pytest
import torch

from pspnet.evaluation.summary import format_table, summary

# worked out by hand: IoU 6/10, 2/7, nan, 0/1; accuracy 6/8, 2/5, nan, nan
HAND = torch.tensor([[6, 2, 0, 0], [2, 2, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]])


def hand_summary(absent="skip"):
    names = ("road", "pole", "sky", "car")
    groups = {"things": ("pole", "car"), "far": ("sky",)}
    return summary(HAND, names=names, groups=groups, absent=absent)


def test_summary_is_plain_json():
    scores = hand_summary()
    assert json.loads(json.dumps(scores, allow_nan=False)) == scores
    assert scores["absent"] == "skip"
    assert scores["miou"] == pytest.approx((6 / 10 + 2 / 7) / 3)
    assert scores["mean_accuracy"] == pytest.approx((6 / 8 + 2 / 5) / 2)
    assert scores["pixel_accuracy"] == pytest.approx(8 / 13)
    assert scores["iou"] == {"road": 0.6, "pole": pytest.approx(2 / 7), "sky": None, "car": 0}
    assert scores["accuracy"] == {"road": 0.75, "pole": 0.4, "sky": None, "car": None}
    assert scores["share"] == pytest.approx({"road": 8 / 13, "pole": 5 / 13, "sky": 0, "car": 0})
    assert scores["groups"] == {"things": pytest.approx(1 / 7), "far": None}
    assert (scores["categories"], scores["category_miou"]) == ({}, None)


def test_summary_with_absent_classes_as_zero():
    scores = hand_summary("zero")
    assert scores["absent"] == "zero"
    assert scores["miou"] == pytest.approx((6 / 10 + 2 / 7) / 4)
    assert scores["groups"] == {"things": pytest.approx(1 / 7), "far": 0}
    assert scores["iou"]["sky"] is None  # the class itself has no score


def with_categories(absent="skip"):
    categories = {"things": ("pole", "car"), "flat": ("road",), "sky": ("sky",)}
    names = ("road", "pole", "sky", "car")
    return summary(HAND, names=names, groups={}, categories=categories, absent=absent)


def test_summary_with_categories():
    """Taken together, pole and car have 3 of 7: a pole taken for a car is right."""
    scores = with_categories()
    assert scores["categories"] == pytest.approx({"things": 3 / 7, "flat": 6 / 10, "sky": None})
    assert scores["category_miou"] == pytest.approx((3 / 7 + 6 / 10) / 2)
    assert with_categories("zero")["category_miou"] == pytest.approx((3 / 7 + 6 / 10) / 3)
    assert scores["iou"] == hand_summary()["iou"]
    json.dumps(scores, allow_nan=False)


def test_summary_of_no_pixels():
    scores = summary(torch.zeros(2, 2).long(), names=("a", "b"), groups={})
    json.dumps(scores, allow_nan=False)
    assert scores["miou"] is None
    assert scores["share"] == {"a": None, "b": None}
    assert format_table(scores).splitlines()[-1].split()[-2:] == ["–", "–"]


def test_summary_needs_a_name_for_each_class():
    with pytest.raises(ValueError, match="argument 2 is longer"):
        summary(HAND, names=("a", "b", "c"), groups={})


def test_table():
    assert format_table(hand_summary()).splitlines() == [
        "class                     IoU %  accuracy %    pixels %",
        "───────────────────────────────────────────────────────",
        "road                      60.00       75.00       61.54",
        "pole                      28.57       40.00       38.46",
        "sky                           –           –        0.00",
        "car                        0.00           –        0.00",
        "───────────────────────────────────────────────────────",
        "all pixels                            61.54",
        "mean of things            14.29",
        "mean of far                   –",
        "mean (absent: skip)       29.52       57.50",
    ]


def test_table_with_categories():
    lines = format_table(with_categories()).splitlines()
    assert lines[6:] == [
        "─" * len(lines[0]),
        "category things           42.86",
        "category flat             60.00",
        "category sky                  –",
        "─" * len(lines[0]),
        "all pixels                            61.54",
        "mean of categories        51.43",
        "mean (absent: skip)       29.52       57.50",
    ]


def test_table_keeps_its_columns_under_long_names():
    names = ("sky", "screen door, screen, or some other name of many words")
    lines = format_table(summary(torch.eye(2), names=names, groups={})).splitlines()
    assert lines[2].split() == ["sky", "100.00", "100.00", "50.00"]
    assert lines[3].removeprefix(names[1]).split() == ["100.00", "100.00", "50.00"]
    assert len({len(line) for line in lines[:5]}) == 1


def test_wide_letters_take_two_columns_of_a_table():
    lines = format_table(summary(torch.eye(2), names=("天空", "road"), groups={})).splitlines()
    assert lines[2].index("100.00") + 2 == lines[3].index("100.00")
