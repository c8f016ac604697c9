"""The batches of a training: parts of optimizer steps, from the step where a run stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader

from pspnet.data.samplers import TrainingSampler
from pspnet.errors import UserError
from pspnet.files.text import counted


@dataclass(frozen=True)
class StepSize:
    """The images of an optimizer step, divided among processes and accumulated batches.

    Raises:
        UserError: if they do not divide the images.
    """

    images: int
    processes: int
    accumulated: int

    def __post_init__(self) -> None:
        parts = self.processes * self.accumulated
        if self.images % parts:
            raise UserError(
                f"data.batch_size={self.images} is the total of a step, which {self.processes} "
                f"processes with trainer.accumulate_grad_batches={self.accumulated} do not divide; "
                f"give a multiple of {parts}, or other trainer.devices"
            )

    @property
    def share(self) -> int:
        """The images of one process."""
        return self.images // self.processes

    def __str__(self) -> str:
        return (
            f"{counted(self.images, 'image')} per step = {self.processes} process"
            f"{'es' if self.processes > 1 else ''} × {self.accumulated} accumulated × "
            f"{counted(self.share // self.accumulated, 'image')}"
        )


class TrainingLoader(DataLoader[dict[str, Any]]):
    """Loads a process's share of each optimizer step and yields it in `parts` batches.

    With more than one part a batch also holds `step_label`, the labels of the entire share, as a
    loss that is a mean over the step needs them before the step is complete.

    Args:
        position: returns the number of batches of the epoch that have been trained on.
        parts: batches per step, as many as gradients are accumulated over.
        sampler: a `TrainingSampler`; not where Lightning overfits and puts one of its own here.
        options: of torch's DataLoader; its `batch_size` is a process's share of a step.
    """

    def __init__(self, *args: Any, position: Callable[[], int], parts: int, **options: Any) -> None:
        super().__init__(*args, **options)
        self.position, self.parts = position, parts

    # A generator starts with its first batch. Lightning creates iterators before it tells the
    # sampler the epoch, and loading processes take their indices as soon as they are created.
    def __iter__(self) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        if isinstance(self.sampler, TrainingSampler):
            self.sampler.first_step = self.position() // self.parts
        for batch in super().__iter__():
            yield from [batch] if self.parts == 1 else split(batch, self.parts)

    def __len__(self) -> int:
        return super().__len__() * self.parts

    def state_dict(self) -> dict[str, Any]:
        """Return the size of a step: images of all processes, and batches.

        The position is in the trainer's own progress, which counts batches.
        """
        if not isinstance(self.sampler, TrainingSampler):
            return {}
        return {"images": self.sampler.batch_size, "parts": self.parts}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take nothing back; Lightning asks for this method."""


def split(batch: dict[str, Any], parts: int) -> list[dict[str, Any]]:
    """Split a batch of tensors (N, …) and lists of N into parts of N / `parts`.

    Each part also holds `step_label`, the entire batch's labels.
    """
    size = len(batch["label"]) // parts
    places = [slice(start, start + size) for start in range(0, size * parts, size)]
    return [
        {key: value[place] for key, value in batch.items()} | {"step_label": batch["label"]}
        for place in places
    ]
