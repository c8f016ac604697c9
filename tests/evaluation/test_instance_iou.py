"""Cityscapes' iIoU of files, against its own script and against a loop over instances."""

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pspnet.errors import UserError
from pspnet.evaluation.instance_iou import SIZES, instance_iou

LABELS = {
    **{"person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28},
    **{"train": 31, "motorcycle": 32, "bicycle": 33},
}
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 24: 11, 25: 12, 26: 13, 28: 15, 31: 16}
FRAME = "bad-ulm_000000_{:06}"


def scene(seed: int, things: list[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Prediction, labels and instances: boxes of things, and a group."""
    generator = np.random.default_rng(seed)
    label = generator.choice(np.array([0, 7, 8, 11], np.uint8), (40, 60))
    instances = label.astype(np.uint16)
    for number, thing in enumerate(generator.choice(things, 9) if things else ()):
        top, left = generator.integers(0, 30), generator.integers(0, 50)
        box = np.s_[top : top + generator.integers(3, 12), left : left + generator.integers(3, 12)]
        label[box] = thing
        instances[box] = thing if number == 8 else 1000 * thing + number  # the last is a group
    other = generator.choice(np.array([0, 7, 8, 29, 30, *things], np.uint8), label.shape)
    return np.where(generator.random(label.shape) < 0.6, label, other), label, instances


def put(folder, scenes):
    """Write the files of scenes, and return pairs of prediction and ground truth."""
    pairs = []
    for number, (prediction, label, instances) in enumerate(scenes):
        frame = FRAME.format(number)
        paths = [folder / f"{frame}_pred.png", folder / f"{frame}_gtFine_labelIds.png"]
        Image.fromarray(prediction).save(paths[0])
        Image.fromarray(label).save(paths[1])
        Image.fromarray(instances).save(folder / f"{frame}_gtFine_instanceIds.png")
        pairs.append(tuple(paths))
    return pairs


@pytest.mark.parametrize(
    ("things", "undefined"),
    [
        (list(range(24, 34)), 0),
        ([24, 29, 30], 7),  # instances of caravan and trailer do not count
        ([], 8 + 2),
    ],
    ids=["all", "people", "none"],
)
def test_scores_are_the_scripts(tmp_path, monkeypatch, things, undefined):
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official

    monkeypatch.setattr(np, "in1d", np.isin, raising=False)  # as older numpy called it
    scenes = [scene(seed, things) for seed in range(3)]
    if not things:  # nor is one predicted
        scenes = [(np.full_like(label, 7), label, instances) for _, label, instances in scenes]
    pairs = put(tmp_path, scenes)
    options = {"evalPixelAccuracy": False, "JSONOutput": False, "quiet": True}
    sizes = official.args.avgClassSize
    arguments = SimpleNamespace(
        evalInstLevelScore=True, avgClassSize=sizes, exportFile=str(tmp_path / "x.json"), **options
    )
    files = [[str(pair[index]) for pair in pairs] for index in (0, 1)]
    expected = official.evaluateImgLists(*files, arguments)
    found = instance_iou(pairs, values="stored")
    for ours, theirs in (("classes", "classInstScores"), ("categories", "categoryInstScores")):
        reference = {k: v for k, v in expected[theirs].items() if k in found[ours]}
        plain = {k: np.nan if v is None else v for k, v in found[ours].items()}
        assert plain == pytest.approx(reference, rel=1e-12, nan_ok=True)
        others = [v for k, v in expected[theirs].items() if k not in found[ours]]
        assert np.isnan(others).all()
    means = [found["mean_of_classes"], found["mean_of_categories"]]
    references = [expected[f"averageScoreInst{kind}"] for kind in ("Classes", "Categories")]
    assert [np.nan if x is None else x for x in means] == pytest.approx(references, nan_ok=True)
    values = [*found["classes"].values(), *found["categories"].values()]
    assert sum(value is None for value in values) == undefined
    assert {k: v for k, v in sizes.items() if k in LABELS} == SIZES


def test_a_small_instance_weighs_as_much_as_a_large_one(tmp_path):
    """Pixel by pixel: a large car that is found, a small one that is missed, a false car."""
    label = np.full((40, 50), 7, np.uint8)
    instances = label.astype(np.uint16)
    label[:20, :20], instances[:20, :20] = 26, 26001
    label[30:32, 30:35], instances[30:32, 30:35] = 26, 26002
    prediction = label.copy()
    prediction[30:32, 30:35] = 28  # a bus: right as a vehicle
    prediction[35:38, :10] = 26
    found = instance_iou(put(tmp_path, [(prediction, label, instances)]), values="stored")
    right = missed = vehicles = 0.0
    for row, column in np.ndindex(label.shape):
        if instances[row, column] < 1000:
            continue
        weight = SIZES["car"] / (instances == instances[row, column]).sum()
        right += weight * (prediction[row, column] == 26)
        missed += weight * (prediction[row, column] != 26)
        vehicles += weight * (prediction[row, column] in (26, 28))
    assert right == pytest.approx(missed)  # whatever their sizes
    assert found["classes"]["car"] == pytest.approx(right / (right + missed + 30))
    assert found["classes"]["bus"] == 0  # ten pixels, and no instance
    assert found["categories"] == {
        "human": None,
        "vehicle": pytest.approx(vehicles / (vehicles + 30)),
    }
    assert found["mean_of_categories"] == found["categories"]["vehicle"]


def test_train_ids_and_label_ids_score_the_same(tmp_path):
    prediction, label, instances = scene(7, [24, 25, 26, 28, 31])
    prediction[np.isin(prediction, [29, 30])] = 0  # they have no train id
    stored = instance_iou(put(tmp_path, [(prediction, label, instances)]), values="stored")
    table = np.full(256, 255, np.uint8)
    table[[*TRAIN_IDS]] = [*TRAIN_IDS.values()]
    pairs = put(tmp_path, [(table[prediction], label, instances)])
    assert instance_iou(pairs, values="train") == stored


def test_files_of_instances_are_required(tmp_path):
    pairs = put(tmp_path, [scene(0, [26])])
    path = tmp_path / f"{FRAME.format(0)}_gtFine_instanceIds.png"
    Image.fromarray(np.zeros((40, 59), np.uint16)).save(path)
    with pytest.raises(UserError, match=r"instanceIds.png holds .*; --instances needs one channel"):
        instance_iou(pairs, values="stored")
    path.unlink()
    with pytest.raises(UserError, match=r"instanceIds.png is missing; --instances needs it beside"):
        instance_iou(pairs, values="stored")
