"""Look-alikes are alike in every window, and the bound that follows from that."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.scenes.dataset import Scenes
from pspnet.data.scenes.layout import (
    FEW,
    HOUSE_SLOTS,
    MANY,
    SMALLEST,
    WINDOW,
    PortableRandom,
    Scene,
    draw_scene,
)
from pspnet.data.scenes.local_bound import (
    LOOK_ALIKES,
    best_guess,
    expected_iou,
    local_bound,
    look_alikes,
    main,
)
from pspnet.data.scenes.render import CLASSES, render

REACH = WINDOW // 2
SEEDS = range(12)


def small(root: Path, **options: int) -> Scenes:
    return Scenes(root, **{"train": 4, "val": 2, "test": 1, **options})


def scene_of(seed: int, size: tuple[int, int] = SMALLEST) -> Scene:
    return draw_scene(PortableRandom(seed), size=size)


def is_class(label: np.ndarray, *names: str) -> np.ndarray:
    return np.isin(label, [CLASSES.names.index(name) for name in names])


def assert_told_from_afar(first: Scene, second: Scene, names: tuple[str, str]) -> None:
    """Objects of two names have equal pixels, equal windows around each, and other labels."""
    (image, label), (other_image, other_label) = render(first), render(second)
    mask = is_class(label, names[0]) & is_class(other_label, names[1])
    assert mask.any()
    changed = (image != other_image).any(2)
    assert changed.any()
    padded = np.pad(changed, REACH)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (WINDOW, WINDOW))
    assert not windows[mask].any()


@pytest.mark.parametrize("size", [SMALLEST, (97, 257)])
@pytest.mark.parametrize("seed", SEEDS)
def test_boat_and_car_are_one_thing_in_every_window(seed: int, size: tuple[int, int]) -> None:
    scene = scene_of(seed, size)
    boats, cars = replace(scene, end="water"), replace(scene, end="road")
    assert_told_from_afar(boats, cars, ("boat", "car"))
    count = [
        is_class(render(version)[1], *names).sum()
        for version, names in ((boats, ("boat",)), (cars, ("car",)))
    ]
    assert count[0] == count[1]


@pytest.mark.parametrize("size", [SMALLEST, (97, 257)])
@pytest.mark.parametrize("seed", SEEDS)
def test_farm_and_city_are_one_house_in_every_window(seed: int, size: tuple[int, int]) -> None:
    scene = next(s for s in (scene_of(1000 * seed + k, size) for k in range(99)) if s.many)
    for left_out in range(1, MANY):
        kept = (scene.houses[0], scene.houses[left_out])
        assert_told_from_afar(scene, replace(scene, many=False, houses=kept), ("city", "farm"))


@pytest.mark.parametrize("size", [SMALLEST, (97, 257)])
@pytest.mark.parametrize("pair", [("barn", "wood"), ("barn", "none"), ("wood", "none")])
@pytest.mark.parametrize("seed", range(8))
def test_patches_are_one_thing_in_every_window(
    seed: int, pair: tuple[str, str], size: tuple[int, int]
) -> None:
    meaning = {"barn": "sheep", "wood": "hare", "none": "meadow"}
    first, second = (replace(scene_of(seed, size), keepers=(k, k)) for k in pair)
    assert_told_from_afar(first, second, (meaning[pair[0]], meaning[pair[1]]))


def test_a_keeper_keeps_its_own_half_of_the_meadow() -> None:
    _, label = render(replace(scene_of(0), keepers=("barn", "wood")))
    middle = SMALLEST[1] // 2
    assert is_class(label[:, :middle], "sheep").any()
    assert not is_class(label[:, :middle], "hare").any()
    assert is_class(label[:, middle:], "hare").any()
    assert not is_class(label[:, middle:], "sheep").any()


def test_answers_do_not_follow_from_places() -> None:
    drawn = [scene_of(seed) for seed in range(3000)]
    slots = np.zeros((2, HOUSE_SLOTS))
    vehicles = {"water": [], "road": []}
    for scene in drawn:
        assert len(scene.houses) == (MANY if scene.many else FEW)
        for house in scene.houses:
            slots[int(scene.many), house.x * HOUSE_SLOTS // SMALLEST[1]] += 1
        vehicles[scene.end].append(len(scene.vehicles))
    np.testing.assert_allclose(slots / slots.sum(1, keepdims=True), 1 / HOUSE_SLOTS, atol=0.03)
    assert np.mean(vehicles["water"]) == pytest.approx(np.mean(vehicles["road"]), abs=0.12)
    assert slots[0].sum() == pytest.approx(slots[1].sum(), rel=0.1)


def test_best_guess_of_two_equal_members_is_even() -> None:
    inside, outside = np.array([50, 50]), np.array([0, 0])
    guess = best_guess(inside, outside)
    np.testing.assert_allclose(guess, 0.5, atol=1e-3)
    np.testing.assert_allclose(expected_iou(guess, inside, outside), 1 / 3, atol=1e-4)


@pytest.mark.parametrize(
    ("inside", "outside"),
    [((70, 30), (0, 0)), ((10, 90), (5, 0)), ((30, 40, 30), (0, 0, 4000)), ((1, 9, 5), (0, 7, 2))],
)
def test_best_guess_against_many_guesses(inside: tuple[int, ...], outside: tuple[int, ...]) -> None:
    known, elsewhere = np.array(inside), np.array(outside)
    best = expected_iou(best_guess(known, elsewhere), known, elsewhere).sum()
    others = np.random.default_rng(0).dirichlet(np.full(len(inside), 0.5), size=200_000)
    assert best >= expected_iou(others, known, elsewhere).sum(1).max() - 1e-9


def test_expected_iou_against_answers_drawn_by_chance() -> None:
    rng = np.random.default_rng(0)
    inside, outside, guess = np.array([40_000, 30_000]), np.array([0, 60_000]), np.array([0.3, 0.7])
    target = np.repeat([0, 1, 1], [40_000, 30_000, 60_000])
    answer = np.concatenate([rng.choice(2, size=70_000, p=guess), np.ones(60_000, int)])
    measured = [
        ((target == k) & (answer == k)).sum() / ((target == k) | (answer == k)).sum()
        for k in (0, 1)
    ]
    np.testing.assert_allclose(expected_iou(guess, inside, outside), measured, atol=5e-3)


def test_look_alikes_hold_every_pixel_of_their_classes() -> None:
    for seed in SEEDS:
        scene = scene_of(seed)
        _, label = render(scene)
        for names, mask in zip(LOOK_ALIKES, look_alikes(scene), strict=True):
            rare = [name for name in names if name != "meadow"]
            assert np.isin(
                label[mask & (label != IGNORE)], [CLASSES.names.index(name) for name in names]
            ).all()
            assert not (is_class(label, *rare) & ~mask).any()


def test_bound_is_one_for_what_stands_alone_and_low_for_look_alikes(tmp_path: Path) -> None:
    bound = local_bound(Scenes(tmp_path, train=60), "train")
    iou = dict(zip(CLASSES.names, bound.iou, strict=True))
    assert all(iou[name] == 1 for name in ("sky", "hill", "beach", "water", "road", "barn", "wood"))
    for names in CLASSES.groups.values():
        assert 0.15 < np.mean([iou[name] for name in names]) < 0.5
    assert 0.9 < iou["meadow"] < 1
    assert bound.miou == pytest.approx(np.mean(list(iou.values())))


def test_the_entry_prints_each_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = small(tmp_path / "scenes", seed=3)
    source.prepare()
    main([str(tmp_path / "scenes")])
    printed = capsys.readouterr().out
    assert f"train: mIoU at most {local_bound(source, 'train').miou:.4f}" in printed
    assert printed.count("mismatched relationship") == 3
    with pytest.raises(SystemExit) as stopped:
        main([str(tmp_path / "nowhere")])
    assert stopped.value.code == 1
    assert "is missing" in capsys.readouterr().err
