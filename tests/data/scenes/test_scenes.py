"""The built-in scenes: their files and their pixels."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from color_vision import closest
from PIL import Image

from pspnet.data.datasets.classes import IGNORE
from pspnet.data.image_io import read_image
from pspnet.data.label_io import write_label
from pspnet.data.scenes import dataset as scenes
from pspnet.data.scenes.dataset import Scenes, load_scenes
from pspnet.data.scenes.layout import SMALLEST, PortableRandom, Scene, draw_scene
from pspnet.data.scenes.local_bound import LOOK_ALIKES
from pspnet.data.scenes.render import CLASSES, render
from pspnet.errors import UserError
from pspnet.plotting.style import WRONG

SEEDS = range(12)


def small(root: Path, **options: int) -> Scenes:
    return Scenes(root, **{"train": 4, "val": 2, "test": 1, **options})


def files(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()
    }


def scene_of(seed: int, size: tuple[int, int] = SMALLEST) -> Scene:
    return draw_scene(PortableRandom(seed), size=size)


def is_class(label: np.ndarray, *names: str) -> np.ndarray:
    return np.isin(label, [CLASSES.names.index(name) for name in names])


def test_objects_have_a_border_that_is_ignored() -> None:
    _, label = render(scene_of(3))
    objects = is_class(label, "boat", "car", "farm", "city", "sheep", "hare", "barn", "wood")
    ground = is_class(label, "sky", "hill", "water", "road")
    beside = objects[:, :-1] & ground[:, 1:] | ground[:, :-1] & objects[:, 1:]
    assert (label == IGNORE).any()
    assert not beside.any()
    assert not (objects[:-1] & ground[1:] | ground[:-1] & objects[1:]).any()


def test_pixels_are_these_everywhere() -> None:
    painted = render(draw_scene(PortableRandom(0, 0, 0), size=SMALLEST))
    digests = [hashlib.sha256(array.tobytes()).hexdigest()[:16] for array in painted]
    # a change of these changes the data set: count VERSION up
    assert digests == ["b6a6daf1e5330e11", "04c0e5018d017d18"]


def test_layout_is_voc(tmp_path: Path) -> None:
    source = small(tmp_path / "scenes")
    source.prepare()
    assert [len(source.samples(split)) for split in scenes.SPLITS] == [4, 2, 1]
    sample = source.samples("val")[1]
    root = tmp_path / "scenes"
    assert sample.image == root / "JPEGImages/val_0001.png"
    assert sample.label == root / "SegmentationClass/val_0001.png"
    image, label = read_image(sample.image), source.read_label(sample)
    expected = render(draw_scene(PortableRandom(0, 1, 1), size=SMALLEST))
    np.testing.assert_array_equal(image, expected[0])
    np.testing.assert_array_equal(label, expected[1])
    with Image.open(sample.label) as stored:
        colors = np.array(stored.convert("RGB"))
    np.testing.assert_array_equal(colors, source.classes.palette()[label])


def test_all_classes_occur_and_groups_partition_the_look_alikes() -> None:
    seen = np.unique([render(scene_of(seed))[1] for seed in SEEDS])
    assert seen.tolist() == [*range(len(CLASSES)), IGNORE]
    grouped = [set(names) for names in CLASSES.groups.values()]
    assert grouped == [set(names) - {"meadow"} for names in LOOK_ALIKES]


def test_same_options_same_bytes_other_seed_other_pixels(tmp_path: Path) -> None:
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        small(tmp_path / name, seed=seed).prepare()
    a, b, c = (files(tmp_path / name) for name in "abc")
    assert a == b
    images = [name for name in a if name.startswith("JPEGImages")]
    assert len({a[name] for name in images}) == len(images)
    assert all(a[name] != c[name] for name in images)


def test_prepare_leaves_what_is_there(tmp_path: Path) -> None:
    source = small(tmp_path / "scenes")
    source.prepare()
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "scenes").rglob("*")}
    source.prepare()
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "scenes").rglob("*")}


def test_other_options_are_refused_with_both_named(tmp_path: Path) -> None:
    small(tmp_path / "scenes").prepare()
    with pytest.raises(UserError, match=r"train=4.*train=5.*delete") as caught:
        small(tmp_path / "scenes", train=5).prepare()
    assert "\n" not in str(caught.value)


def test_a_broken_marker_is_refused(tmp_path: Path) -> None:
    small(tmp_path / "scenes").prepare()
    (tmp_path / "scenes/scenes.yaml").write_text("{")
    with pytest.raises(UserError, match="nothing readable"):
        small(tmp_path / "scenes").prepare()
    with pytest.raises(UserError, match="nothing readable"):
        load_scenes(tmp_path / "scenes")


def test_foreign_files_are_never_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/photo.jpg").write_bytes(b"x")
    with pytest.raises(UserError, match="another folder"):
        small(tmp_path / "mine").prepare()
    (tmp_path / "file").write_bytes(b"y")
    with pytest.raises(UserError, match="another folder"):
        small(tmp_path / "file").prepare()
    assert files(tmp_path) == {"mine/photo.jpg": b"x", "file": b"y"}


def test_an_empty_folder_is_filled(tmp_path: Path) -> None:
    (tmp_path / "scenes").mkdir()
    small(tmp_path / "scenes").prepare()
    assert (tmp_path / "scenes/scenes.yaml").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]


def test_an_interrupted_run_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = []

    def fail(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
        drawn.append(scene)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return render(scene)

    monkeypatch.setattr(scenes, "render", fail)
    with pytest.raises(KeyboardInterrupt):
        small(tmp_path / "scenes").prepare()
    assert list(tmp_path.iterdir()) == []


def test_samples_before_prepare_name_the_list(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Segmentation/val\.txt"):
        small(tmp_path / "scenes").samples("val")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": -1}, "seed=-1"),
        ({"val": 0}, "val=0"),
        ({"size": (64, 193)}, r"size=\(64, 193\)"),
        ({"size": (65, 192)}, r"size=\(65, 192\)"),
    ],
)
def test_options_out_of_range(options: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Scenes("nowhere", **options)


def test_scenes_made_by_another_run_meanwhile_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = small(tmp_path / "scenes"), small(tmp_path / "scenes")
    write = Scenes._write

    def overtaken(self: Scenes, root: Path) -> None:
        write(self, root)
        monkeypatch.setattr(Scenes, "_write", write)
        second.prepare()

    monkeypatch.setattr(Scenes, "_write", overtaken)
    first.prepare()
    assert [path.name for path in tmp_path.iterdir()] == ["scenes"]
    assert len(first.samples("train")) == 4


def test_scenes_of_a_folder_are_found_again_or_refused(tmp_path: Path) -> None:
    small(tmp_path / "scenes", seed=7, val=3).prepare()
    found = load_scenes(tmp_path / "scenes")
    assert (found.seed, found.counts, found.size) == (
        7,
        {"train": 4, "val": 3, "test": 1},
        SMALLEST,
    )
    marker = tmp_path / "scenes/scenes.yaml"
    marker.write_text(marker.read_text().replace("version: 1", "version: 0"))
    with pytest.raises(UserError, match=r"version=0.*not of version"):
        load_scenes(tmp_path / "scenes")


def test_the_folder_follows_the_options() -> None:
    assert Scenes().root == Path("data/scenes")
    assert Scenes(train=64, seed=3).root == Path("data/scenes_seed3_train64")
    assert Scenes(size=(97, 257)).root == Path("data/scenes_size97x257")
    assert Scenes("here", train=64).root == Path("here")


def test_colors_differ_from_each_other_and_from_marks_to_color_blind_readers_too() -> None:
    assert closest(np.array([*CLASSES.colors, (255, 255, 255), WRONG])) >= 10


def test_labels_drawn_with_other_colors_are_read_alike(tmp_path: Path) -> None:
    source = small(tmp_path / "scenes")
    source.prepare()
    sample = source.samples("val")[0]
    expected = source.read_label(sample)
    palette = CLASSES.palette()
    palette[:14] = palette[13::-1]
    write_label(sample.label, expected, palette)
    np.testing.assert_array_equal(source.read_label(sample), expected)
