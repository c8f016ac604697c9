"""Measure the CPU time until something happens, beside a plain LightningCLI script of ten lines.

python -m benchmarks.startup --rounds 5

Each command runs in a process of its own, in turns; CPU seconds of user and system. The plain
script trains smp's PSPNet on random images.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PLAIN = """
import lightning, segmentation_models_pytorch as smp, torch
from lightning.pytorch.cli import LightningCLI
class Task(lightning.LightningModule):
    def __init__(self, encoder: str = "resnet18"):
        super().__init__()
        self.network = smp.PSPNet(encoder, encoder_weights=None, classes=14)
    def training_step(self, batch, _): return self.network(batch[0]).mean()
    def configure_optimizers(self): return torch.optim.SGD(self.parameters(), lr=0.01)
class Data(lightning.LightningDataModule):
    def train_dataloader(self): return torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(torch.randn(16, 3, 64, 192)), batch_size=8)
LightningCLI(Task, Data, save_config_callback=None)
"""
STEP = ["--trainer.max_steps=1", "--trainer.limit_val_batches=0", "--trainer.accelerator=cpu"]
SCENES = [
    *("--config=configs/base.yaml", "--config=configs/experiment/scenes_pspnet.yaml"),
    *("--data.source.train=16", "--data.source.val=2", "--data.workers=0", "--wandb=off"),
    "--model.lr_scheduler.warmup_steps=0",
]
ROWS = {
    "fit --help": (["fit", "--help"], ["fit", "--help"]),
    "an option that is refused": (["fit", "--wrong=1"], ["fit", "--wrong=1"]),
    "the first step": (
        ["fit", *STEP, "--trainer.logger=false", "--trainer.enable_checkpointing=false"],
        ["fit", *SCENES, *STEP],
    ),
    "score --help": (["fit", "--help"], ["score", "--help"]),
    "--help": (["fit", "--help"], ["--help"]),
}


@contextmanager
def _folders() -> Iterator[tuple[Path, list[str]]]:
    """Yield the plain script, and the options that keep our runs in a temporary folder."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "plain.py")
        script.write_text(PLAIN)
        yield script, [f"--data.source.root={folder}/scenes", f"--logs={folder}/logs"]


def cpu_seconds(command: list[str], *, status: set[int]) -> float:
    """Run a command and return its CPU seconds.

    Raises:
        RuntimeError: if it ends with another status, with its last lines.
    """
    before = os.times()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    after = os.times()
    if done.returncode not in status:
        raise RuntimeError(f"{command} ended with {done.returncode}: {done.stderr[-2000:]}")
    return sum(after[2:4]) - sum(before[2:4])


def main() -> None:
    """Print a table of medians and their ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="runs of each command")
    rounds = parser.parse_args().rounds
    print("| until | plain script, CPU s | ours, CPU s | ratio |")
    print("|---|--:|--:|--:|")
    with _folders() as (script, options):
        for name, (plain, own) in ROWS.items():
            status = {2} if "--wrong=1" in own else {0}
            times: tuple[list[float], list[float]] = [], []
            ours = [sys.executable, "-m", "pspnet", *own, *(options if SCENES[0] in own else [])]
            for _ in range(rounds):
                for command, into in zip(
                    ([sys.executable, str(script), *plain], ours), times, strict=True
                ):
                    into.append(cpu_seconds(command, status=status))
            one, other = map(statistics.median, times)
            print(f"| {name} | {one:.2f} | {other:.2f} | {other / one:.2f} |", flush=True)


if __name__ == "__main__":
    main()
