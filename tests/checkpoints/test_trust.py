"""What of a configuration of unknown origin is taken."""

import sys
import types
from pathlib import Path

import pytest
import yaml
from lightning.pytorch import Trainer

from pspnet.checkpoints.trust import Vetting, check_hyper_parameters
from pspnet.command_line.starts.checkpoint_config import user_vetting
from pspnet.data.datamodule import SegmentationData
from pspnet.errors import UserError
from pspnet.files.text import check_text, path_part
from pspnet.models.pspnet import PSPNet
from pspnet.task import Segmentation

EXPERIMENTS = sorted(Path(__file__).parents[2].glob("configs/experiment/*.yaml"))
LIGHTNING = "lightning.pytorch"
KINDS = {"data": SegmentationData, "model": Segmentation, "trainer": Trainer}
SCENES = "pspnet.data.Scenes"


def refused(part: str, options: object, *words: str) -> list[str]:
    look = user_vetting([*words])
    look.options(KINDS[part], options, part)
    return look.refused


def cls(path: str, **options: object) -> dict[str, object]:
    return {"class_path": path, "init_args": options}


@pytest.mark.parametrize(
    ("part", "options"),
    [
        ("model", {"optimizer": cls("torch.optim.AdamW", lr=0.1, betas=[0.9, 0.99])}),
        ("model", {"lr_scheduler": cls("torch.optim.lr_scheduler.StepLR", step_size=3)}),
        ("model", {"loss": cls("torch.nn.CrossEntropyLoss", reduction="mean"), "absent": "zero"}),
        ("model", {"loss": cls("pspnet.losses.OhemCrossEntropy", class_weights="log_frequency")}),
        ("model", {"loss": cls("segmentation_models_pytorch.losses.LovaszLoss", ignore_index=255)}),
        ("model", {"network": cls("pspnet.PSPNet", bins=[1, 3], encoder="tu-resnet50.a1_in1k")}),
        ("model", {"inference": {"scales": [1.0], "average": "scores"}, "protocol": "paper-ms"}),
        ("data", {"source": cls("pspnet.data.Cityscapes", root="/data/city")}),
        ("data", {"source": cls(SCENES, root="data/scenes"), "crop_size": [65, 65]}),
        ("data", {"source": cls("pspnet.data.VOC", train_split="train_aug")}),
        ("data", {"augmentation": cls("pspnet.data.Augmentation", scale=[0.5, 2.0])}),
        ("trainer", {"max_time": "00:12:00:00", "strategy": "ddp", "precision": "bf16-mixed"}),
        (
            "trainer",
            {"callbacks": [cls("lightning.pytorch.callbacks.EarlyStopping", monitor="a/b")]},
        ),
    ],
)
def test_the_options_of_a_plain_run_are_taken(part, options):
    look = Vetting()
    assert look.options(KINDS[part], options, part) == options
    assert look.refused == []


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_options_of_every_experiment_are_taken(path):
    """But the network's weights, which no checkpoint's configuration names."""
    model = yaml.safe_load(path.read_text())["model"]
    model.get("network", {}).pop("encoder_weights", None)
    assert refused("model", model) == []


@pytest.mark.parametrize(
    ("part", "options", "named"),
    [
        ("model", {"loss": cls("my_module.Focal")}, "model.loss=my_module.Focal"),
        ("model", {"loss": "my_module.Focal"}, "model.loss=my_module.Focal"),
        ("model", {"loss": cls("torch.hub.load")}, "model.loss=torch.hub.load"),
        ("model", {"loss": cls("segmentation_models_pytorch.losses._functional.to_tensor")}, "to_"),
        ("model", {"loss": cls("pspnet.models.options.ArgumentParser")}, "model.loss=pspnet.m"),
        ("model", {"network": "/some/file"}, "model.network=/some/file"),
        ("model", {"network": cls("pspnet.PSPNet", bins="list.yaml")}, "model.network.bins=list"),
        ("model", {"optimizer": cls("os.system")}, "model.optimizer=os.system"),
        ("model", {"lr_scheduler": cls("torch.optim.lr_scheduler.LambdaLR", lr_lambda="os.nice")},
         "model.lr_scheduler.lr_lambda=os.nice"),
        ("data", {"cache": "out"}, "data.cache=out"),
        ("data", {"augmentation": cls("pspnet.data.Augmentation", extra="a.yaml")}, "extra=a.yaml"),
        ("data", {"source": cls(SCENES, root="new")}, "data.source.root=new"),
        ("data", {"source": cls(SCENES, root="data/../new")}, "data.source.root=data/../new"),
        ("data", {"source": cls(SCENES, root="/data/new")}, "data.source.root=/data/new"),
        ("data", {"source": cls("pspnet.data.Folder", seed=10**30)}, "data.source.seed=1"),
        ("trainer", {"logger": cls(f"{LIGHTNING}.loggers.CSVLogger", save_dir="a")}, "CSVLogger"),
        ("trainer", {"callbacks": [cls(f"{LIGHTNING}.callbacks.ModelCheckpoint", dirpath="a")]},
         "trainer.callbacks.dirpath=a"),
        ("trainer", {"callbacks": [cls("lightning.pytorch.callbacks.LambdaCallback")]}, "Lambda"),
        ("trainer", {"default_root_dir": "a"}, "trainer.default_root_dir=a"),
    ],
)  # fmt: skip
def test_code_files_and_places_are_refused(part, options, named, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (found,) = refused(part, options)
    assert named in found
    assert refused(part, options, "--trust") == ([found] if "seed" in named else [])


def test_what_the_user_names_is_trusted(tmp_path):
    loss = {"loss": cls("my_module.Focal", gamma=2)}
    module = types.ModuleType("my_module")
    module.Focal = type("Focal", (), {"__init__": lambda self, gamma: None})
    sys.modules["my_module"] = module
    try:
        (tmp_path / "mine.yaml").write_text("model: {loss: {class_path: my_module.Focal}}\n")
        assert refused("model", loss, "-c", str(tmp_path / "mine.yaml")) == []
        assert refused("model", loss, "--model.loss=my_module.Focal") == []
        assert refused("model", loss, "--model.loss.gamma=2") != []
        nested = {"loss": cls("my_module.Focal", gamma=cls("os.system"))}
        assert refused("model", nested, "--model.loss=my_module.Focal", "--model.a=x") == []
    finally:
        del sys.modules["my_module"]


def test_what_the_user_gives_need_not_be_taken():
    look = user_vetting(["--model.loss=null", "--config={data: {cache: mine}}"])
    assert look.options(Segmentation, {"loss": cls("a.B"), "absent": "skip"}, "model") == {
        "absent": "skip"
    }
    assert look.options(SegmentationData, {"cache": "theirs"}, "data") == {}
    assert look.refused == []


def test_an_imported_network_is_trusted_and_no_other_class():
    class Mine(PSPNet):
        """Imported, as it is here."""

    module = types.ModuleType("mine_for_a_test")
    module.Mine, module.Other = Mine, dict
    sys.modules["mine_for_a_test"] = module
    try:
        for name, right in (("Mine", True), ("Other", False), ("Absent", False)):
            saved = {"network": cls(f"mine_for_a_test.{name}", num_classes=3)}
            if right:
                check_hyper_parameters(Segmentation, saved, path="a.ckpt", trust=False)
            else:
                with pytest.raises(UserError, match=r"a\.ckpt asks for hyper_parameters\.network"):
                    check_hyper_parameters(Segmentation, saved, path="a.ckpt", trust=False)
    finally:
        del sys.modules["mine_for_a_test"]


@pytest.mark.parametrize(
    "name",
    ["..", ".", "", "a/b", "/", "a\nb", "a\x1b[31m", "x" * 300, " a", "a\\b", "\u202eab", "a:b"],
)
def test_a_name_is_one_visible_part_of_a_path(name):
    with pytest.raises(UserError, match="name"):
        path_part(name, option="name")
    for good in ("run", "voc_pspnet-2", "größe", "試験", "a b"):
        assert path_part(good, option="name") == good


def test_texts_are_shown_as_they_are_or_as_escapes():
    assert check_text("نیم\u200cفاصله", what="name")
    error = UserError("a\x1b[31m\u202e\u2028b\udcff")
    assert str(error) == "a\\x1b[31m\\u202e\\u2028b\\udcff"
