"""The command line, and a signal to itself at a moment that is named; for the kill matrix alone.

    KILL="step:SIGKILL" python -m reliability.killed fit …

KILL_RANK is the process that is signaled, KILL_NOTE a file for the number of its steps so far.
"""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from pspnet.files.writing import DRAFT

RESULTS, TASK = "pspnet.callbacks.results", "pspnet.task:Segmentation"
CHECKPOINTS, IO = "pspnet.callbacks.checkpoints", "pspnet.checkpoints.writing"
FIGURES = ("draw_curves", "draw_iou_bars", "draw_confusion_matrix", "draw_prediction_grid")
# moment: the function before whose N-th call the signal comes. A run has 3 epochs of 5 steps, each
# with a validation of 5 batches, and writes last.ckpt after steps 1, 3, 5, …
MOMENTS: dict[str, tuple[str, str, int]] = {
    "start": ("pspnet.cli:PSPNetCLI", "instantiate_trainer", 1),
    "setup": ("pspnet.data.datamodule:SegmentationData", "setup", 1),
    "first step": (TASK, "training_step", 1),
    "second step": (TASK, "training_step", 2),
    "forward": (TASK, "training_step", 9),
    "optimizer": ("torch.optim:SGD", "step", 7),
    "step end": ("pspnet.callbacks.costs:Costs", "on_train_batch_end", 8),
    "last step of an epoch": ("pspnet.callbacks.costs:Costs", "on_train_batch_end", 10),
    "metrics": ("pspnet.callbacks.metrics_file:MetricsWriter", "save", 4),
    "half a draft": ("pathlib:Path", "write_bytes", 3),
    "draft": (IO, "check_archive", 4),
    "rename": ("pathlib:Path", "replace", 4),
    "renamed": ("pspnet.files.writing", "_sync", 6),
    "validation start": (TASK, "on_validation_epoch_start", 2),
    "validation": (TASK, "validation_step", 8),
    "validation end": (TASK, "on_validation_epoch_end", 2),
    "best.ckpt": ("lightning.pytorch:Trainer", "save_checkpoint", 1),
    "epoch end": (f"{CHECKPOINTS}:LastCheckpoint", "on_train_epoch_end", 2),
    "train end": ("pspnet.callbacks.costs:Costs", "on_train_end", 1),
    "curves": (RESULTS, "draw_curves", 1),
    "closing evaluation": (TASK, "validation_step", 18),
    "pictures": (RESULTS, "draw_confusion_matrix", 1),
}


def main(words: list[str]) -> None:
    """Run the command line without figures, which take most of a small run's time."""
    from pspnet import cli

    for name in FIGURES:
        setattr(import_module(RESULTS), name, lambda *args, **options: None)
    import_module(RESULTS)._log_images = lambda *args, **options: None
    cli.default_precision = lambda device: "32-true"
    steps = _count("torch.optim:SGD", "step")
    moment, _, name = os.environ.get("KILL", "").partition(":")
    if moment and os.environ.get("LOCAL_RANK", "0") == os.environ.get("KILL_RANK", "0"):
        path, function, nth = MOMENTS[moment]
        if moment == "closing evaluation" and "--trainer.devices=2" in words:
            nth = 11  # a process has three of five images
        _kill_before(path, function, nth, number=getattr(signal, name), steps=steps)
    cli.main(words)


def _owner(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name) if name else import_module(module)


def _count(path: str, name: str) -> list[int]:
    owner, count = _owner(path), [0]
    function = getattr(owner, name)

    def counted(*args: Any, **options: Any) -> Any:
        result = function(*args, **options)
        count[0] += 1
        return result

    setattr(owner, name, counted)
    return count


def _kill_before(path: str, name: str, nth: int, *, number: int, steps: list[int]) -> None:
    owner, calls = _owner(path), [0]
    function: Callable[..., Any] = getattr(owner, name)

    def killed(*args: Any, **options: Any) -> Any:
        if path == "pathlib:Path" and not args[0].name.startswith(DRAFT):
            return function(*args, **options)
        calls[0] += 1
        if calls[0] == nth:
            if name == "write_bytes":
                function(args[0], bytes(args[1])[:1000])
            Path(os.environ["KILL_NOTE"]).write_text(str(steps[0]))
            os.kill(os.getpid(), number)
        return function(*args, **options)

    setattr(owner, name, killed)


if __name__ == "__main__":
    main(sys.argv[1:])
