"""Submissions in the servers' forms: complete or not at all, and nothing is overwritten."""

from __future__ import annotations

import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from pspnet.data import ADE20K, VOC, Cityscapes
from pspnet.data.datasets.base import Source
from pspnet.errors import UserError
from pspnet.evaluation.submission import Submission

# the colors of the development kit's first classes: background, aeroplane, bicycle, bird
VOC_COLORS = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]]
LABEL_IDS = [7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33]


def write_image(path: Path, size: tuple[int, int]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size[::-1], (90, 100, 120)).save(path)


def voc(root: Path, sizes: dict[str, tuple[int, int]]) -> VOC:
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "test.txt").write_text("\n".join(sizes))
    for stem, size in sizes.items():
        write_image(root / f"JPEGImages/{stem}.jpg", size)
    return VOC(root)


def ade20k(root: Path, count: int = 2) -> ADE20K:
    for number in range(1, count + 1):
        write_image(root / f"images/testing/ADE_test_{number:08}.jpg", (10 + number, 15))
    return ADE20K(root)


def cityscapes(root: Path, *, size: tuple[int, int] = (1024, 2048)) -> Cityscapes:
    for frame in ("berlin_000000_000019", "mainz_000001_000333"):
        city = frame.split("_")[0]
        write_image(root / f"leftImg8bit/test/{city}/{frame}_leftImg8bit.png", size)
    return Cityscapes(root)


def submit(source: Source, out_dir: Path) -> tuple[Submission, dict[str, np.ndarray]]:
    """A submission with a prediction of every class for every image, not packed."""
    samples = source.samples("test")
    submission = Submission(out_dir, source=source, samples=samples)
    submission.check()
    labels = {}
    for number, sample in enumerate(samples):
        width, height = Image.open(sample.image).size
        label = (np.arange(height * width) + number) % len(source.classes)
        labels[sample.name] = label.reshape(height, width).astype(np.uint8)
        submission.write(sample.name, labels[sample.name])
    return submission, labels


def test_voc_takes_a_tree_of_palette_pngs(tmp_path):
    source = voc(tmp_path / "data", {"2008_000006": (20, 30), "2008_000011": (25, 12)})
    submission, labels = submit(source, tmp_path)
    assert submission.pack() == tmp_path / "submission.tar.gz"
    with tarfile.open(tmp_path / "submission.tar.gz", "r:gz") as archive:
        members = {member.name: member for member in archive}
        folder = "results/VOC2012/Segmentation/comp6_test_cls"
        assert [*members] == [f"{folder}/{name}.png" for name in labels]
        assert {(m.isfile(), m.uname, m.uid) for m in members.values()} == {(True, "", 0)}
        for name, label in labels.items():
            image = Image.open(archive.extractfile(f"{folder}/{name}.png"))
            assert image.mode == "P"
            np.testing.assert_array_equal(np.array(image), label)
            colors = np.array(image.convert("RGB"))
            for index, color in enumerate(VOC_COLORS):
                assert (colors[label == index] == color).all()
    assert (tmp_path / "submission" / folder / "2008_000011.png").is_file()


def test_ade20k_takes_1_to_150(tmp_path):
    source = ade20k(tmp_path / "data")
    submission, labels = submit(source, tmp_path)
    assert submission.pack() == tmp_path / "submission.zip"
    with zipfile.ZipFile(tmp_path / "submission.zip") as archive:
        names = ["ADE_test_00000001.png", "ADE_test_00000002.png"]
        assert archive.namelist() == names
        for name, label in zip(names, labels.values(), strict=True):
            image = Image.open(archive.open(name))
            assert image.mode == "L"
            np.testing.assert_array_equal(np.array(image), label + 1)


def test_cityscapes_takes_label_ids_under_the_images_names(tmp_path):
    from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
    from cityscapesscripts.helpers.labels import trainId2label

    submission, labels = submit(cityscapes(tmp_path / "data"), tmp_path)
    with zipfile.ZipFile(submission.pack()) as archive:
        assert archive.namelist() == [
            "berlin_000000_000019_leftImg8bit.png",
            "mainz_000001_000333_leftImg8bit.png",
        ]
        archive.extractall(tmp_path / "there")
    args = SimpleNamespace(predictionPath=str(tmp_path / "there"), predictionWalk=None)
    for name, label in labels.items():
        truth = f"{name.split('/')[1]}_gtFine_labelIds.png"
        image = Image.open(official.getPrediction(args, truth))  # as the server finds it
        assert (image.mode, image.size) == ("L", (2048, 1024))
        values = np.array([trainId2label[index].id for index in range(19)])
        np.testing.assert_array_equal(np.array(image), values[label])
        assert values.tolist() == LABEL_IDS


def test_cityscapes_of_another_size_is_refused_before_anything_is_written(tmp_path):
    source = cityscapes(tmp_path / "data", size=(512, 1024))
    submission = Submission(tmp_path / "run", source=source, samples=source.samples("test"))
    with pytest.raises(
        ValueError, match=r"berlin_\S+ is 1024×512 pixels, .* accepts 2048×1024; give"
    ):
        submission.check()
    assert not (tmp_path / "run").exists()


def test_images_of_one_name_are_refused(tmp_path):
    source = cityscapes(tmp_path)
    write_image(
        tmp_path / "leftImg8bit/test/bonn/berlin_000000_000019_leftImg8bit.png", (1024, 2048)
    )
    submission = Submission(tmp_path / "run", source=source, samples=source.samples("test"))
    with pytest.raises(UserError, match="2 images are named 'berlin_000000_000019_leftImg8bit'"):
        submission.check()


def spoil(path: Path, kind: str) -> None:
    label = np.array(Image.open(path))
    if kind == "missing":
        path.unlink()
    elif kind == "cut":
        path.write_bytes(path.read_bytes()[:50])
    elif kind == "colors":
        Image.fromarray(label).convert("RGB").save(path)
    else:
        label = label[:-1] if kind == "size" else np.where(label == 3, int(kind), label)
        Image.fromarray(label.astype(np.uint8)).save(path)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"1 of 2 images have no prediction in .*submission, first 'ADE_test_00000002'"),
        ("cut", r"0002.png cannot be read"),
        ("colors", r"0002.png has pixels of mode RGB"),
        ("size", r"0002.png is 15×11 pixels, its image .*0002.jpg 15×12; test again"),
        ("0", r"0002.png holds the label values 0, but 1 to 150 are accepted"),
        ("151", r"0002.png holds the label values 151, but 1 to 150 are accepted"),
    ],
)
def test_what_the_server_would_refuse_is_not_packed(tmp_path, kind, message):
    submission, _ = submit(ade20k(tmp_path / "data"), tmp_path)
    spoil(tmp_path / "submission/ADE_test_00000002.png", kind)
    with pytest.raises(UserError, match=message) as error:
        submission.pack()
    assert "\n" not in str(error.value)
    assert not list(tmp_path.glob("*submission.zip*"))


def test_nothing_is_written_over(tmp_path):
    source = ade20k(tmp_path / "data")
    submission, labels = submit(source, tmp_path)
    with pytest.raises(UserError, match=r"submission exists; move it away, or give the run"):
        Submission(tmp_path, source=source, samples=source.samples("test")).check()
    (name, label), *_ = labels.items()
    with pytest.raises(UserError, match=f"{name}.png exists"):
        submission.write(name, label[::-1])
    np.testing.assert_array_equal(np.array(Image.open(submission.path(name))), label + 1)
    submission.archive.write_bytes(b"mine")
    with pytest.raises(UserError, match=r"submission\.zip exists"):
        submission.pack()
    submission.folder.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"submission\.zip exists"):
        submission.check()
    assert submission.archive.read_bytes() == b"mine"


def test_interrupted_packing_leaves_no_archive(tmp_path, monkeypatch):
    submission, _ = submit(ade20k(tmp_path / "data"), tmp_path)

    def interrupted(self: Path, content: bytes) -> None:
        with self.open("wb") as file:
            file.write(content[:100])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", interrupted)
    with pytest.raises(KeyboardInterrupt):
        submission.pack()
    assert {path.name for path in tmp_path.iterdir()} == {"data", "submission"}


def test_processes_write_into_one_submission(tmp_path):
    source = ade20k(tmp_path / "data", count=4)
    samples = source.samples("test")
    one, two = (Submission(tmp_path, source=source, samples=samples) for _ in range(2))
    one.check()
    two.check()
    for number, sample in enumerate(samples):
        width, height = Image.open(sample.image).size
        label = np.full((height, width), number, np.uint8)
        (one, two)[number % 2].write(sample.name, label)
    with zipfile.ZipFile(one.pack()) as archive:
        stored = [np.unique(Image.open(archive.open(name))).tolist() for name in archive.namelist()]
    assert stored == [[1], [2], [3], [4]]
