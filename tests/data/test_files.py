"""Folders that are searched, lists that are read, and samples that are checked."""

from __future__ import annotations

from pathlib import Path

import pytest
from layouts import put_image, put_label, put_text

from pspnet.data import ADE20K, Cityscapes, Folder
from pspnet.data.datasets.base import Sample
from pspnet.data.files import check_samples, find_files, read_list, read_stems
from pspnet.data.prediction_images import find_images
from pspnet.errors import UserError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def paths(folder: Path, *args: object, **options: object) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in find_files(folder, *args, **options)]


# folders


def test_files_are_found_by_ending_and_depth(tmp_path: Path) -> None:
    touch(tmp_path, "b.JPG", "a.png", "x/c.jpg", "x/y/d.jpeg", "x/.e.jpg", "x/notes.txt")
    touch(tmp_path, "x/.ipynb_checkpoints/c-checkpoint.jpg", ".hidden/f.jpg")
    (tmp_path / "folder.jpg").mkdir()
    assert paths(tmp_path, ".jpg") == ["b.JPG", "x/c.jpg"]
    assert paths(tmp_path, (".jpg", ".jpeg")) == ["b.JPG", "x/c.jpg", "x/y/d.jpeg"]
    assert paths(tmp_path, ".jpg", depth=0) == ["b.JPG"]
    assert paths(tmp_path, ".jpg", depth=1) == ["x/c.jpg"]


def test_linked_files_and_folders_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "a.png", "deep/b.png")
    (tmp_path / "top").mkdir()
    for name in ("one", "two"):  # two links to a folder are two places of its files
        (tmp_path / "top" / name).symlink_to(tmp_path / "elsewhere")
    (tmp_path / "top/c.png").symlink_to(tmp_path / "elsewhere/a.png")
    (tmp_path / "top/broken.png").symlink_to(tmp_path / "nowhere.png")
    # a link to nothing is refused later, as a file that is missing
    found = ["broken.png", "c.png", "one/a.png", "one/deep/b.png", "two/a.png", "two/deep/b.png"]
    assert paths(tmp_path / "top", ".png") == found
    assert paths(tmp_path / "top", ".png", depth=1) == ["one/a.png", "two/a.png"]


def test_a_folder_linked_into_itself_is_entered_once(tmp_path: Path) -> None:
    touch(tmp_path, "top/a.png", "top/x/b.png", "top/y/c.png")
    (tmp_path / "top/x/up").symlink_to(tmp_path / "top")
    (tmp_path / "top/itself").symlink_to(tmp_path / "top")
    assert paths(tmp_path / "top", ".png") == ["a.png", "x/b.png", "y/c.png"]


def test_folders_linked_into_each_other_end(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.png", "y/b.png")
    (tmp_path / "x/other").symlink_to(tmp_path / "y")
    (tmp_path / "y/other").symlink_to(tmp_path / "x")
    assert paths(tmp_path, ".png") == ["x/a.png", "x/other/b.png", "y/b.png", "y/other/a.png"]


def test_every_reader_follows_links_and_stops_at_loops(tmp_path: Path) -> None:
    put_image(tmp_path / "away/a.jpg")
    put_image(tmp_path / "away/b_0_0_leftImg8bit.png")
    (tmp_path / "away/loop").symlink_to(tmp_path / "away")
    put_text(tmp_path / "own/classes.yaml", "names: [a, b]")
    put_text(tmp_path / "own/test.txt", "linked/a")
    links = ("images/linked", "own/images/linked", "ade/images/testing")
    for link in (*links, "city/leftImg8bit/test/bonn"):
        (tmp_path / link).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / link).symlink_to(tmp_path / "away")
    names = {
        "predict": [sample.name for sample in find_images(tmp_path / "images")],
        "folder": [sample.name for sample in Folder(tmp_path / "own").samples("test")],
        "ade20k": [sample.name for sample in ADE20K(tmp_path / "ade").samples("test")],
        "cityscapes": [sample.name for sample in Cityscapes(tmp_path / "city").samples("test")],
    }
    assert names == {
        "predict": ["linked/a", "linked/b_0_0_leftImg8bit"],
        "folder": ["linked/a"],
        "ade20k": ["a"],
        "cityscapes": ["bonn/b_0_0"],
    }


# images to predict on


def test_images_are_found_in_subfolders_by_suffix(tmp_path: Path, capsys) -> None:
    touch(tmp_path, "b.JPG", "a.png", "sub/c.webp", "sub/deep/d.Tiff", "e.jpeg", "f.bmp", "g.tif")
    touch(tmp_path, "notes.txt", "a.txt", "c.HEIC", "sub/png", ".hidden")
    (tmp_path / "folder.png").mkdir()
    found = find_images(tmp_path)
    assert [sample.name for sample in found] == ["a", "b", "e", "f", "g", "sub/c", "sub/deep/d"]
    assert found[1].image == tmp_path / "b.JPG"
    assert {sample.label for sample in found} == {None}
    said = "note: data.images: 4 files were not read: 2 .txt, 1 .heic, 1 without suffix\n"
    assert sorted(capsys.readouterr().err.split()) == sorted(said.split())


def test_an_image_alone_is_found(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "x/b.jpg")
    assert find_images(tmp_path / "x" / "a.jpg") == [Sample("a", tmp_path / "x" / "a.jpg", None)]


def test_images_of_one_stem_keep_their_suffixes(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "b.png", "sub/a.png", "v1.0.png", "v1.1.png")
    names = [sample.name for sample in find_images(tmp_path)]
    assert names == ["a_jpg", "a_png", "b", "sub/a", "v1.0", "v1.1"]


def test_images_that_still_share_a_name_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "a_jpg.png")
    with pytest.raises(UserError, match=r"a\.jpg, a_jpg\.png .*'a_jpg'"):
        find_images(tmp_path)


def test_missing_images_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "empty/notes.md")
    with pytest.raises(UserError, match=r"nowhere: .*data\.images"):
        find_images(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"empty: no image"):
        find_images(tmp_path / "empty")
    with pytest.raises(UserError, match=r"notes\.md: not an image"):
        find_images(tmp_path / "empty" / "notes.md")


# lists and samples


def test_list_is_stripped(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\n\r\n  two \r\nthree")
    assert read_list(path) == ["one", "two", "three"]


def test_stems_of_two_path_lines(tmp_path: Path) -> None:
    path = put_text(tmp_path / "a.txt", "2007_1", "/JPEGImages/2008_2.jpg /SegmentationClass/2.png")
    assert read_stems(path) == ["2007_1", "2008_2"]


def test_bad_lists(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none.txt is missing: expected the split's list"):
        read_list(tmp_path / "none.txt")
    with pytest.raises(UserError, match="names no file"):
        read_list(put_text(tmp_path / "a.txt", "", "  "))
    (tmp_path / "b.txt").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(UserError, match="no UTF-8 text"):
        read_list(tmp_path / "b.txt")


def test_samples_are_checked(tmp_path: Path) -> None:
    image, label = put_image(tmp_path / "a.jpg"), put_label(tmp_path / "a.png")
    good = Sample("a", image, label)
    assert check_samples([good], tmp_path) == [good]
    with pytest.raises(UserError, match="holds no image"):
        check_samples([], tmp_path)
    with pytest.raises(UserError, match="names 'a' 2 times"):
        check_samples([good, Sample("b", image, None), good], tmp_path)
    with pytest.raises(UserError, match=r"b.png is missing: expected the label of .*a.jpg"):
        check_samples([good, Sample("b", image, tmp_path / "b.png")], tmp_path)
    with pytest.raises(UserError, match=r"c.jpg is missing: expected an image"):
        check_samples([Sample("c", tmp_path / "c.jpg", tmp_path / "c.png")], tmp_path)
