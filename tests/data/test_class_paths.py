"""A data set and an augmentation from a user's own module, by class path in YAML."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from jsonargparse import ActionConfigFile, ArgumentError
from layouts import put_image, put_label, put_text
from lightning.pytorch.cli import LightningArgumentParser

from pspnet.data import Augmentation, AugmentationBase
from pspnet.data.datamodule import SegmentationData
from pspnet.errors import UserError

MODULE = '''
from dataclasses import dataclass
from pathlib import Path

import albumentations as A

from pspnet.data import Augmentation, AugmentationBase, Classes, Sample, Source


class Halves(Source):
    """Images in root/images, labels in root/labels; the first half is for training."""

    def __init__(self, root: str, suffix: str = ".png") -> None:
        self.root, self.suffix = Path(root), suffix

    @property
    def classes(self):
        return Classes(names=("sky", "sea"), colors=((90, 160, 250), (0, 0, 120)))

    def samples(self, split):
        images = sorted(self.root.glob(f"images/*{self.suffix}"))
        middle = len(images) // 2
        chosen = images[:middle] if split == "train" else images[middle:]
        return [Sample(path.stem, path, self.root / "labels" / path.name) for path in chosen]


class White(AugmentationBase):
    """Crops from the top left corner, painted white."""

    def __init__(self, level: int = 255) -> None:
        self.level = level

    def build(self, crop_size, mean):
        paint = A.Lambda(image=lambda image, **_: image * 0 + self.level, p=1)
        return A.Compose([A.Crop(0, 0, crop_size[1], crop_size[0]), paint])


@dataclass(frozen=True)
class Inverted(Augmentation):
    """The published augmentation, and an inversion."""

    inverted: float = 1.0

    def extra_transforms(self):
        return [*super().extra_transforms(), A.InvertImg(p=self.inverted)]
'''


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of four images, with the user's module importable as `my_module`."""
    (tmp_path / "my_module.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_module", raising=False)
    for number in range(4):
        put_image(tmp_path / f"images/{number}.png", size=(20, 30))
        put_label(tmp_path / f"labels/{number}.png", [0, 1, 255], size=(20, 30))
    return tmp_path


def parse(root: Path, *options: str, **data: Any) -> tuple[SegmentationData, str]:
    """Parse YAML and options as LightningCLI does; return the data and its resolved YAML."""
    parser = LightningArgumentParser(exit_on_error=False)
    parser.add_lightning_class_args(SegmentationData, "data")
    source = {"class_path": "my_module.Halves", "init_args": {"root": str(root)}}
    values = {"source": source, "crop_size": 16, "batch_size": 2, "workers": 0, **data}
    path = root / "config.yaml"
    path.write_text(yaml.safe_dump({"data": values}))
    parser.add_argument("--config", action=ActionConfigFile)
    config = parser.parse_args([f"--config={path}", *options])
    return parser.instantiate_classes(config).data, parser.dump(config)


def batch_of(data: SegmentationData) -> dict[str, Any]:
    data.setup("fit")
    return data.on_after_batch_transfer(next(iter(data.train_dataloader())), 0)


def test_a_data_set_of_the_users_own(root: Path) -> None:
    data, _ = parse(root)
    assert data.classes.names == ("sky", "sea")
    batch = batch_of(data)
    assert batch["image"].shape == (2, 3, 16, 16)
    assert sorted(batch["name"]) == ["0", "1"]
    assert set(batch["label"].unique().tolist()) <= {0, 1, 255}
    assert [batch["name"] for batch in data.val_dataloader()] == [["2"], ["3"]]


@pytest.mark.parametrize("missing", ["classes", "samples"])
def test_a_data_set_without_a_method_is_refused_by_name(root: Path, missing: str) -> None:
    (given,) = {"classes", "samples"} - {missing}
    lines = ("class Half(Source):", f"    {given} = None")
    put_text(root / "half_module.py", "from pspnet.data import Source", *lines)
    with pytest.raises(ArgumentError, match=f"Half must define '{missing}'"):
        parse(root, source={"class_path": "half_module.Half"})
    sys.modules.pop("half_module", None)


@pytest.mark.parametrize("level", [255, 0])
def test_an_augmentation_of_the_users_own(root: Path, level: int) -> None:
    init = {"class_path": "my_module.White", "init_args": {"level": level}}
    data, _ = parse(root, augmentation=init, mean=[0, 0, 0], std=[1, 1, 1])
    assert isinstance(data.augmentation, AugmentationBase)
    assert not isinstance(data.augmentation, Augmentation)
    batch = batch_of(data)
    assert batch["image"].unique().tolist() == [level / 255]
    np.testing.assert_array_equal(batch["label"][0, 0, :4], [0, 1, 255, 0])


def test_options_of_a_class_path_and_of_its_base(root: Path) -> None:
    data, text = parse(
        root,
        *("--data.augmentation=my_module.Inverted", "--data.augmentation.scale=[1,1]"),
        *("--data.augmentation.inverted=0.25", "--data.augmentation.blur=0"),
    )
    assert type(data.augmentation).__name__ == "Inverted"
    assert vars(data.augmentation) == {
        **vars(Augmentation(scale=(1.0, 1.0), blur=0.0)),
        "inverted": 0.25,
    }
    names = [type(each).__name__ for each in data.augmentation.build((9, 9), (0, 0, 0))]
    assert names[1] == "InvertImg"
    again, _ = parse(root, **yaml.safe_load(text)["data"])  # as from a checkpoint
    assert again.augmentation == data.augmentation


@pytest.mark.parametrize("flat", [True, False])
def test_options_without_a_class_path_are_the_published_ones(root: Path, flat: bool) -> None:
    options = ["--data.augmentation.rotation=5", "--data.augmentation.scale=[0.75,1.5]"]
    given = {"fit": [20, 10], "mirror": 0}
    if flat:
        options += [f"--data.augmentation.{key}={value}" for key, value in given.items()]
        data, text = parse(root, *options)
    else:
        data, text = parse(root, *options, augmentation=given)
    expected = Augmentation(scale=(0.75, 1.5), rotation=5.0, fit=(20, 10), mirror=0.0)
    assert data.augmentation == expected
    assert batch_of(data)["image"].shape == (2, 3, 16, 16)
    again, _ = parse(root, **yaml.safe_load(text)["data"])
    assert again.augmentation == expected


def test_an_augmentation_that_is_not_given_is_the_published_one(root: Path) -> None:
    data, _ = parse(root)
    assert data.augmentation == Augmentation()


@pytest.mark.parametrize(
    ("option", "named"),
    [
        ("--data.augmentation.scale=[2,0.5]", r"scale=\(2.0, 0.5\): give two factors"),
        ("--data.augmentation.scales=1", "scales"),
        ("--data.augmentation=my_module.Halves", "my_module.Halves .*AugmentationBase"),
    ],
)
def test_wrong_options_are_refused_by_name(root: Path, option: str, named: str) -> None:
    with pytest.raises((UserError, ArgumentError), match=named):
        parse(root, option)


def test_the_examples_of_the_documentation(
    root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page = (Path(__file__).parents[2] / "docs/DATA.md").read_text("utf-8")
    blocks = re.findall(r"```(python|yaml)\n(.*?)```", page, re.DOTALL)
    code = "\n".join(text for kind, text in blocks if kind == "python")
    (root / "my_module.py").write_text(code)
    given = [yaml.safe_load(text) for kind, text in blocks if kind == "yaml"]
    options = {key: value for each in given for key, value in each.get("data", {}).items()}
    channels = {key: options.pop(key) for key in ("channels", "mean", "std")}
    assert set(options) == {"source", "augmentation"}
    for split, number in (("train", 0), ("train", 1), ("val", 2)):
        put_image(tmp_path / f"data/sea/{split}/{number}.jpg", size=(12, 30))
        put_label(tmp_path / f"data/sea/{split}/{number}.png", [0, 1], size=(12, 30))
    monkeypatch.chdir(tmp_path)
    data, _ = parse(root, **options)
    batch = batch_of(data)
    assert batch["image"].shape == (2, 3, 16, 16)
    assert batch["label"].unique().tolist() == [0, 1, 255]
    assert (data.classes.names, data.augmentation.p) == (("sky", "sea"), 0.3)
    data, _ = parse(root, source=options["source"], **channels)
    assert data.channels.bands == (3, 2, 1, 8)
