"""docs/EXTENDING.md: every recipe trains, and is at most twenty lines long."""

import re
import sys
from pathlib import Path

import pytest
import torch

from pspnet.cli import main
from pspnet.task import Segmentation

PAGE = Path(__file__).parents[1] / "docs" / "EXTENDING.md"
BLOCK = re.compile(r"^```(python|yaml)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def recipes() -> dict[str, tuple[str, str]]:
    """Python and YAML by heading; a second YAML block is a recipe of its own."""
    found = {}
    for section in PAGE.read_text("utf-8").split("\n## ")[1:]:
        title, _, text = section.partition("\n")
        blocks = BLOCK.findall(text)
        python = "".join(code for kind, code in blocks if kind == "python")
        for number, (_, code) in enumerate([b for b in blocks if b[0] == "yaml"]):
            found[f"{title} {number}" if number else title] = (python, code)
    return found


RECIPES = recipes()
QUICK = ("A loss", "A module in place of the pyramid", "Callbacks and loggers")


def test_there_is_a_recipe_per_part():
    parts = ("loss", "Optimizer", "pyramid", "decoder", "encoder", "Augment", "Freez", "Callback")
    for part in (*parts, "finders"):
        assert any(part in title for title in RECIPES), part
    for kind, code in BLOCK.findall(PAGE.read_text("utf-8")):
        assert code.count("\n") <= 20, (kind, code)


@pytest.fixture
def trained(request, shapes, tmp_path, monkeypatch):
    """The folder of a run with a recipe, and the recipe's module."""
    python, yaml = RECIPES[request.param]
    (tmp_path / "my_module.py").write_text(python)
    (tmp_path / "mine.yaml").write_text(yaml)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "my_module", raising=False)
    small = ["--model.network.encoder=tu-resnet10n"] if "tu-" not in yaml else []
    main(
        [
            *("fit", "--data.source=Folder", f"--data.source.root={shapes}", "--data.crop_size=41"),
            *("--data.batch_size=5", "--data.workers=0", "--model.network.decoder_channels=8"),
            *("--model.network.auxiliary_channels=8", *small, f"--config={tmp_path / 'mine.yaml'}"),
            *("--trainer.max_epochs=2", "--trainer.accelerator=cpu", "--wandb=off", "--name=run"),
            *("--trainer.enable_progress_bar=false", "--trainer.log_every_n_steps=1"),
        ]
    )
    return Path("logs/run/version_0")


@pytest.mark.parametrize(
    "trained",
    [pytest.param(it, marks=[] if it in QUICK else [pytest.mark.slow]) for it in RECIPES],
    indirect=True,
)
def test_a_recipe_trains_and_its_checkpoint_loads(trained):
    assert (trained / "results.json").is_file()
    task = Segmentation.load_from_checkpoint(trained / "checkpoints" / "best.ckpt")
    with torch.no_grad():
        assert task.eval().network(torch.randn(1, 3, 41, 41)).shape == (1, 3, 41, 41)
