"""Count what a step asks of an accelerator: operators, and places where the host waits.

python -m benchmarks.device_traces

Needs no accelerator: steps of training and validation run on "meta" tensors, which have shapes and
no values, and stand for those on a device that computes while the host goes ahead. A wait is a
number or a shape that the host reads from the device, or a blocking copy between both.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import pspnet
from pspnet.data.datasets.classes import Classes
from pspnet.models.pspnet import PSPNet
from pspnet.task import Segmentation

DEVICE = torch.device("meta")
ROWS = [
    ("resnet18", 21, 473, 8),
    ("tu-resnet50s", 21, 473, 8),
    ("tu-resnet50s", 150, 473, 8),
    ("tu-resnet50s", 19, 713, 4),
    ("tu-tf_efficientnet_lite0", 21, 473, 8),
]
ATEN = torch.ops.aten
SOURCE = Path(pspnet.__file__).parent


class Trace(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count operators on the device, and waits by the line of this package that causes them."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operators, self.waits = Counter[str](), Counter[str]()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        inputs = [leaf for leaf in tree_leaves((args, given)) if isinstance(leaf, Tensor)]
        ours = any(tensor.device == DEVICE for tensor in inputs)
        if ours and func is ATEN._local_scalar_dense.default:
            self._wait("a number")
            return False if args[0].dtype == torch.bool else 1.0  # no check finds anything
        if ours and func is ATEN.bincount.default:
            self._wait("a shape")
            return args[0].new_zeros(args[2] if len(args) > 2 else given.get("minlength", 0))
        if ours and func is ATEN._to_copy.default and torch.device("cpu") == given.get("device"):
            self._wait("a copy to the host")
            return torch.zeros(args[0].shape, dtype=given.get("dtype") or args[0].dtype)
        result = func(*args, **given)
        outputs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if ours and func in (ATEN.nonzero.default, ATEN.masked_select.default):
            self._wait("a shape")
        moves = func in (ATEN._to_copy.default, ATEN.copy_.default)
        places = {tensor.device for tensor in (*inputs, *outputs)}
        if moves and len(places) > 1 and not given.get("non_blocking"):
            self._wait("a copy from the host")
        elif any(tensor.device == DEVICE for tensor in outputs) and not func.is_view:
            self.operators[str(func)] += 1
        return result

    def _wait(self, reads: str) -> None:
        lines = [
            line for line in traceback.extract_stack() if line.filename.startswith(str(SOURCE))
        ]
        last = lines[-1] if lines else None
        place = f"{Path(last.filename).relative_to(SOURCE)}:{last.lineno}" if last else "torch"
        self.waits[f"{reads}: {place}"] += 1


class _Late:
    """Stands for `ops.arriving.Arriving`, whose number is on its way until the next step."""

    is_late = True

    def __init__(self, value: Tensor) -> None:
        pass

    def item(self) -> float:
        return 0.0


def training_step(task: Segmentation, *, size: int, batch: int) -> Trace:
    """Trace one step: forward, both losses, scores of the crops, backward and optimizer."""
    optimizer = torch.optim.SGD(task.to(DEVICE).parameters(), lr=0.01, momentum=0.9)
    trace = Trace()
    with _attached(task.train(), optimizer):
        with Trace():  # waits once per epoch
            task.on_train_epoch_start()
        with trace:
            loss = task.training_step(_batch(size, batch), 0)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return trace


def validation_step(task: Segmentation, *, size: int, batch: int) -> Trace:
    """Trace one step: class ids, loss and counts of some images."""
    trace = Trace()
    with _attached(task.to(DEVICE).eval()), torch.inference_mode(), trace:
        task.validation_step(_batch(size, batch), 0)
    return trace


@contextmanager
def _attached(task: Segmentation, *optimizers: torch.optim.Optimizer) -> Iterator[None]:
    """Give a task what it asks of a trainer in a step."""
    trainer = SimpleNamespace(
        global_step=0,
        world_size=1,
        accumulate_grad_batches=1,
        is_last_batch=False,
        strategy=SimpleNamespace(reduce=lambda tensor, reduce_op: tensor),
        optimizers=[*optimizers],
        state=SimpleNamespace(fn=TrainerFn.FITTING),
    )
    task._trainer = trainer  # type: ignore[assignment]
    with (
        patch("pspnet.task.Arriving", _Late),
        patch("pspnet.evaluation.metrics.Arriving", _Late),
        patch.object(task, "log"),
        patch.object(task, "log_dict"),
    ):
        yield
    task._trainer = None


def _batch(size: int, batch: int) -> dict[str, Tensor]:
    return {
        "image": torch.zeros(batch, 3, size, size, device=DEVICE),
        "label": torch.zeros(batch, size, size, dtype=torch.int64, device=DEVICE),
        "seed": torch.zeros(batch, dtype=torch.int64, device=DEVICE),
    }


def task_of(encoder: str, *, classes: int) -> Segmentation:
    """Return a task of PSPNet with this encoder."""
    names = tuple(f"class {number}" for number in range(classes))
    colors = tuple((number, number, number) for number in range(classes))
    return Segmentation(PSPNet(classes, encoder=encoder), Classes(names, colors))


def main() -> None:
    """Print a table of the networks above, and every wait."""
    print("| step | encoder | classes | size | batch | operators | waits |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for encoder, classes, size, batch in ROWS:
        task = task_of(encoder, classes=classes)
        for name, step, images in (
            ("training", training_step, batch),
            ("validation", validation_step, 1),
        ):
            step(task, size=size, batch=images)  # what is kept from step to step is built
            trace = step(task, size=size, batch=images)
            counts = f"{trace.operators.total()} | {trace.waits.total()}"
            print(f"| {name} | {encoder} | {classes} | {size} | {images} | {counts} |")
            for place, count in trace.waits.most_common():
                print(f"  {count} × {place}")


if __name__ == "__main__":
    main()
