"""Fine-tuning to other classes beside random heads: the scenes with some classes merged.

    python -m benchmarks.fine_tuning logs/scenes_pspnet/version_0/checkpoints/best.ckpt OUT

Both sides train on 120 new scenes with the encoder's weights of CKPT. `--init_from` also takes
pyramid, decoder and the rows of classes that kept their names, and trains a quarter of the steps.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from pspnet.__main__ import main as pspnet
from pspnet.data import Scenes
from pspnet.data.datasets.base import Split
from pspnet.data.label_io import write_label

MERGED: dict[str, dict[str, tuple[str, ...]]] = {
    "two": {"building": ("farm", "city"), "animal": ("sheep", "hare")},
    "four": {
        "land": ("hill", "beach", "meadow"),
        "building": ("barn", "farm", "city"),
        "vehicle": ("boat", "car"),
        "animal": ("sheep", "hare"),
    },
}
STEPS = {"two": 20, "four": 40}  # of fine-tuning; random heads train four times as many
SEEDS = (0, 1, 2)


def write_merged(source: Scenes, merged: dict[str, tuple[str, ...]], out: Path) -> None:
    """Write scenes as a folder of one's own with some classes merged into new ones."""
    news = {name: new for new, names in merged.items() for name in names}
    kept = [name for name in source.classes.names if name not in news]
    names = [*merged, *kept]
    table = np.full(256, 255, np.uint8)
    for train_id, name in enumerate(source.classes.names):
        table[train_id] = names.index(news.get(name, name))
    for part in ("images", "masks"):
        (out / part).mkdir(parents=True)
    splits: tuple[Split, ...] = ("train", "val")
    for split in splits:
        samples = source.samples(split)
        for sample in samples:
            shutil.copy(sample.image, out / f"images/{sample.name}{sample.image.suffix}")
            label = np.array(Image.open(str(sample.label)))
            write_label(out / f"masks/{sample.name}.png", table[label], None)
        (out / f"{split}.txt").write_text("".join(f"{sample.name}\n" for sample in samples))
    (out / "classes.yaml").write_text(yaml.safe_dump({"names": names}))


def train(root: Path, *, start: str, steps: int, seed: int, logs: Path) -> float:
    """Train on a folder, and return the mIoU on its val split."""
    name = f"{root.name}_{start.partition('=')[0].strip('-').replace('.', '_')}"
    options = {
        "name": name,
        "version": f"seed_{seed}",
        "logs": str(logs),
        "seed_everything": seed,
        "data.source": "Folder",
        "data.source.root": str(root),
        "data.workers": 0,
        "model.optimizer.lr": 0.01,
        "model.new_layer_factor": 10,  # the paper's
        "model.lr_scheduler.warmup_steps": 5,
        "trainer.max_epochs": -1,
        "trainer.max_steps": steps,
        "trainer.check_val_every_n_epoch": 1000,
        "trainer.enable_progress_bar": "false",
        "wandb": "off",
    }
    words = [f"--{key}={value}" for key, value in options.items()]
    pspnet(["fit", "-c", "base", "-c", "scenes_pspnet", *words, start])
    results = json.loads((logs / name / f"seed_{seed}" / "results.json").read_text())
    return float(results["miou"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path, help="a new folder")
    given = parser.parse_args()
    source = Scenes(given.out / "scenes", seed=7, train=120, val=60, test=1)
    source.prepare()
    starts = {"init_from": 1, "model.network.encoder_weights": 4}
    lines = []
    for kind, merged in MERGED.items():
        write_merged(source, merged, given.out / kind)
        for option, times in starts.items():
            steps = times * STEPS[kind]
            scores = [
                train(
                    given.out / kind,
                    start=f"--{option}={given.checkpoint}",
                    steps=steps,
                    seed=seed,
                    logs=given.out / "logs",
                )
                for seed in SEEDS
            ]
            shown = ", ".join(f"{100 * score:.2f}" for score in scores)
            lines.append(f"{kind} merged, --{option}, {steps} steps: mIoU {shown} %")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
