from pathlib import Path

import pytest
from layouts import labels, put_image, put_label, put_text

from pspnet.data.datasets.base import Source, Split
from pspnet.data.datasets.folder import Folder
from pspnet.errors import UserError

STEMS = [f"{folder}{number:02}" for folder in ("", "x/", "x/y/") for number in range(10)]


def make(root: Path, stems: list[str] = STEMS) -> Path:
    put_text(root / "classes.yaml", "names: [background, cat, dog]", "ignore: [9]")
    for stem in stems:
        put_image(root / f"images/{stem}.jpg")
        put_label(root / f"masks/{stem}.png", [0, 2, 9, 255])
    return root


def names(source: Source, split: Split) -> list[str]:
    return [sample.name for sample in source.samples(split)]


# splits


@pytest.mark.parametrize("fraction", [0.2, 0.5, 0.001, 0.999])
def test_every_image_is_in_one_split(tmp_path: Path, fraction: float) -> None:
    source = Folder(make(tmp_path), val_fraction=fraction)
    train, val = names(source, "train"), names(source, "val")
    assert sorted(train + val) == sorted(STEMS)
    assert len(val) == {0.2: 6, 0.5: 15, 0.001: 1, 0.999: 29}[fraction]
    assert labels(source, "val") == [[0, 2, 255]] * len(val)
    with pytest.raises(UserError, match=r"test.txt is missing"):
        source.samples("test")


def test_division_depends_on_the_seed_alone(tmp_path: Path) -> None:
    make(tmp_path / "a")
    make(tmp_path / "b", STEMS[::-1])
    val = names(Folder(tmp_path / "a"), "val")
    assert val == sorted(names(Folder(tmp_path / "b"), "val"))
    assert val != names(Folder(tmp_path / "a", seed=1), "val")
    make(tmp_path / "a", ["new"])
    assert len(set(val) & set(names(Folder(tmp_path / "a"), "val"))) >= len(val) - 1


def test_lists(tmp_path: Path) -> None:
    make(tmp_path)
    put_text(tmp_path / "train.txt", "x/01", "00")
    put_text(tmp_path / "val.txt", "x/y/02")
    source = Folder(tmp_path)
    assert names(source, "train") == ["x/01", "00"]
    (sample,) = source.samples("val")
    assert sample.image == tmp_path / "images/x/y/02.jpg"
    assert sample.label == tmp_path / "masks/x/y/02.png"


def test_test_list_is_held_out_of_the_division(tmp_path: Path) -> None:
    make(tmp_path)
    put_text(tmp_path / "test.txt", *STEMS[:20])
    source = Folder(tmp_path)
    assert names(source, "test") == STEMS[:20]
    assert sorted(names(source, "train") + names(source, "val")) == STEMS[20:]


def test_test_split_without_any_mask_has_no_labels(tmp_path: Path) -> None:
    make(tmp_path)
    put_text(tmp_path / "test.txt", "t", "u")
    for stem in "tu":
        put_image(tmp_path / f"images/{stem}.WEBP")
    assert [sample.label for sample in Folder(tmp_path).samples("test")] == [None, None]
    put_label(tmp_path / "masks/t.png")
    with pytest.raises(UserError, match=r"masks/u.png is missing: expected the label of"):
        Folder(tmp_path).samples("test")


@pytest.mark.parametrize("suffix", [".jpg", ".JPEG", ".png", ".bmp", ".tif", ".tiff", ".webp"])
def test_suffixes(tmp_path: Path, suffix: str) -> None:
    make(tmp_path, ["a", "b.1"])
    (tmp_path / "images/a.jpg").unlink()
    put_image(tmp_path / f"images/a{suffix}")
    (tmp_path / "images/._a.jpg").touch()  # as macOS leaves them
    (tmp_path / "images/Thumbs.db").touch()
    source = Folder(tmp_path)
    assert sorted(names(source, "train") + names(source, "val")) == ["a", "b.1"]
    assert labels(source, "train") == [[0, 2, 255]]


def test_linked_folders_are_followed(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", ["a", "b"])
    make(tmp_path, ["c"])
    for folder in ("images", "masks"):
        (tmp_path / folder / "linked").symlink_to(tmp_path / "elsewhere" / folder)
    source = Folder(tmp_path)
    found = names(source, "train") + names(source, "val")
    assert sorted(found) == ["c", "linked/a", "linked/b"]


def test_wrong_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"images is missing"):
        Folder(tmp_path).samples("train")
    make(tmp_path, ["a"])
    with pytest.raises(UserError, match=r"has 1 images .* at least 2 are needed"):
        Folder(tmp_path).samples("train")
    make(tmp_path, ["a", "s/b"])
    source = Folder(tmp_path, val_fraction=0.5)
    put_label(tmp_path / "masks/s/stray.png")
    with pytest.raises(UserError, match=r"masks/s/stray.png has no image .*images/s/stray \("):
        source.samples("val")
    (tmp_path / "masks/s/stray.png").rename(tmp_path / "masks/s/b.png")
    put_image(tmp_path / "images/s/b.png")
    with pytest.raises(UserError, match=r"s/b.jpg and .*s/b.png have one stem"):
        source.samples("val")
    (tmp_path / "images/s/b.png").unlink()
    for mask in ("a", "s/b"):
        (tmp_path / f"masks/{mask}.png").unlink()
    with pytest.raises(UserError, match=r"masks/.*.png is missing: expected the label of"):
        source.samples("val")


def test_wrong_lists_are_named(tmp_path: Path) -> None:
    source = Folder(make(tmp_path))
    put_text(tmp_path / "train.txt", "00", "01.gif")
    with pytest.raises(UserError, match=r"val.txt is missing: .*both or neither"):
        source.samples("train")
    put_text(tmp_path / "val.txt", "02")
    with pytest.raises(UserError, match=r"train.txt names '01.gif', but there is no such image"):
        source.samples("train")
    put_text(tmp_path / "train.txt", "00", "00")
    with pytest.raises(UserError, match=r"train.txt names '00' 2 times"):
        source.samples("train")
    put_text(tmp_path / "train.txt", "00", "02")
    for split in ("train", "val"):
        with pytest.raises(UserError, match=r"train.txt names '02', as does val.txt"):
            source.samples(split)
    put_text(tmp_path / "val.txt", "03")
    put_text(tmp_path / "test.txt", "02", "03")
    with pytest.raises(UserError, match=r"train.txt names '02', as does test.txt"):
        source.samples("test")


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 20.0, float("nan")])
def test_fraction_is_checked_at_construction(fraction: float) -> None:
    with pytest.raises(UserError, match=f"val_fraction={fraction}: give a share"):
        Folder(val_fraction=fraction)
