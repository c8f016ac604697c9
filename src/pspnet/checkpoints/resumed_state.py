"""The state of a training in a checkpoint, checked before Lightning restores it."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer

from pspnet.checkpoints.reading import VERSION, read_checkpoint
from pspnet.checkpoints.writing import VerifiedCheckpointIO
from pspnet.errors import UserError

ALIKE = (torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW)  # state in the parameters' shape
EVALUATED = ("state_dict", "structure", VERSION)
PROGRESS = {"fit_loop": {"epoch_progress": {"current": {"processed": 0}}}}
TRAINED = {"loops": PROGRESS, "callbacks": {}, "global_step": 0}  # and lists of states
LARGEST = 2**53


class CheckedIO(VerifiedCheckpointIO):
    """Reads checkpoints by `read_checkpoint`, and of their content what the command needs.

    Args:
        resumes: a training is resumed; otherwise the weights alone are handed on.
        folders: those that the run's own callbacks save to.
    """

    def __init__(self, *, resumes: bool, folders: Collection[Path] = ()) -> None:
        super().__init__()
        self.resumes, self.folders = resumes, folders

    def load_checkpoint(self, path: str | Path, *args: Any, **options: Any) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            UserError: if it is damaged, or its training cannot be resumed.
        """
        return read_state(path, resumes=self.resumes, folders=self.folders)


def read_state(
    path: str | Path, *, resumes: bool, folders: Collection[Path] = ()
) -> dict[str, Any]:
    """Read what Lightning restores of a checkpoint.

    A checkpoint names others, the best one among them, which may be read or removed. They are taken
    as files beside it, or in one of `folders`.

    Raises:
        UserError: if it is damaged, or its training cannot be resumed.
    """
    checkpoint = read_checkpoint(path, parts=("state_dict", VERSION))
    if not resumes:
        return {key: checkpoint[key] for key in EVALUATED}
    check_training(checkpoint, path=path)
    states = checkpoint["callbacks"]
    for state in states.values():
        if isinstance(state, dict):
            own = Path(str(state.get("dirpath"))).absolute()
            _keep_beside(state, own if own in folders else Path(path).absolute().parent)
    return checkpoint


def check_training(checkpoint: Mapping[str, Any], *, path: str | Path) -> None:
    """Refuse a checkpoint that tells no training's progress.

    Raises:
        UserError: naming the first entry that is missing or of another kind.
    """
    found = [*differences(checkpoint, TRAINED, "")]
    states = ("optimizer_states", "lr_schedulers")
    found += [f"{key} is no list" for key in states if not isinstance(checkpoint.get(key), list)]
    if found:
        raise UserError(f"{path}: {found[0]}; a damaged file, or one of weights alone")


def _keep_beside(state: dict[Any, Any], folder: Path) -> None:
    """Replace the paths in a ModelCheckpoint's state by those of the same names in a folder."""
    for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
        if key in state:
            state[key] = _beside(state[key], folder)
    if isinstance(state.get("dirpath"), str) and Path(state["dirpath"]).absolute() != folder:
        state["dirpath"] = str(folder)
    if isinstance(state.get("best_k_models"), dict):
        scores = {_beside(k, folder): v for k, v in state["best_k_models"].items()}
        state["best_k_models"] = {k: v for k, v in scores.items() if k and _is_number(v)}


def _beside(path: Any, folder: Path) -> str:
    if not isinstance(path, str) or "\0" in path:
        return ""
    if Path(path).absolute().parent == folder:
        return path
    moved = folder / Path(path).name
    return str(moved) if path and moved.is_file() else ""


class CheckedState(Callback):
    """Refuses a training's state that is not of the form of this run's own."""

    def __init__(self) -> None:
        self._saved: dict[str, Any] = {}

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        if trainer.state.fn != TrainerFn.FITTING:
            return
        self._saved = checkpoint
        own: dict[str, Any] = {"loops": {"fit_loop": trainer.fit_loop.state_dict()}}
        precision = trainer.precision_plugin
        own[type(precision).__qualname__] = precision.state_dict() or None
        own["callbacks"] = {
            callback.state_key: _form(callback.state_dict())
            for callback in trainer.callbacks  # type: ignore[attr-defined]
            if type(callback).__module__.startswith(("lightning.", "pspnet."))
            and checkpoint["callbacks"].get(callback.state_key)
        }
        self._check(differences(checkpoint, {k: v for k, v in own.items() if v}, ""), trainer)
        epoch = checkpoint["loops"]["fit_loop"]["epoch_progress"]["current"]["processed"]
        if trainer.max_epochs not in (None, -1) and epoch > trainer.max_epochs:
            raise UserError(
                f"trainer.max_epochs={trainer.max_epochs}: {trainer.ckpt_path} has trained {epoch} "
                "epochs; give more"
            )

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._saved:
            return
        saved, self._saved = self._saved, {}
        own = {
            "optimizer_states": [None] * len(trainer.optimizers),
            "lr_schedulers": [c.scheduler.state_dict() for c in trainer.lr_scheduler_configs],
        }
        self._check(differences(saved, own, ""), trainer)
        for optimizer, state in zip(trainer.optimizers, saved["optimizer_states"], strict=True):
            self._check(optimizer_differences(state, optimizer), trainer)

    def _check(self, found: Iterator[str], trainer: Trainer) -> None:
        for difference in found:
            raise UserError(f"{trainer.ckpt_path}: {difference}; a damaged file, or another run's")


def _form(state: dict[str, Any]) -> dict[str, Any]:
    """Return a callback's state without the entries of its mappings, which grow."""
    return {key: {} if isinstance(value, Mapping) else value for key, value in state.items()}


def differences(saved: Any, own: Any, place: str) -> Iterator[str]:
    """Yield the places where plain data is of another form than this run's own.

    Args:
        saved: the data of a file; it may have more entries than `own`.
        own: data of the form that is wanted; None stands for any.
        place: their name.
    """
    if own is None:
        return
    if isinstance(own, Mapping):
        if not isinstance(saved, Mapping):
            yield f"{place} is {type(saved).__name__}, not a mapping"
            return
        for key in own:
            below = f"{place}.{key}".lstrip(".")
            if key not in saved:
                yield f"{below} is missing"
            else:
                yield from differences(saved[key], own[key], below)
    elif isinstance(own, list | tuple):
        if not isinstance(saved, list | tuple):
            yield f"{place} is {type(saved).__name__}, not a list"
        elif len(saved) != len(own):
            yield f"{place} has {len(saved)} entries, not {len(own)}"
        else:
            for index, (one, other) in enumerate(zip(saved, own, strict=True)):
                yield from differences(one, other, f"{place}.{index}")
    elif isinstance(own, Tensor):
        if not (isinstance(saved, Tensor) and _is_like(saved, own)):
            yield f"{place} is no tensor of {tuple(own.shape)} {own.dtype}"
    elif isinstance(own, int | float):
        if not _is_number(saved):
            yield f"{place}={saved!r:.40}, not a number"
    elif isinstance(own, str) and not isinstance(saved, str):
        yield f"{place} is {type(saved).__name__}, not a text"


def optimizer_differences(saved: Any, optimizer: Optimizer) -> Iterator[str]:
    """Yield what an optimizer could not continue with in a state of a file."""
    own = optimizer.state_dict()
    groups = [
        {key: [0] * len(group["params"]) if key == "params" else None for key in group}
        for group in own["param_groups"]
    ]
    yield from differences(saved, {"state": {}, "param_groups": groups}, "optimizer_states")
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index, entries in saved["state"].items():
        place = f"optimizer_states.state.{index}"
        if not (isinstance(index, int) and 0 <= index < len(parameters)):
            yield f"{place} is of no parameter"
        elif not isinstance(entries, Mapping):
            yield f"{place} is {type(entries).__name__}, not a mapping"
        else:
            for name, value in entries.items():
                # counters are numbers, averages of gradients are like their parameter
                counts = value is None or (_is_number(value) and not isinstance(value, Tensor))
                scalar = isinstance(value, Tensor) and value.ndim == 0 and _is_plain(value)
                like = type(optimizer) not in ALIKE or _is_like(value, parameters[index].data)
                if not (counts or scalar or like):
                    yield f"{place}.{name} is not like its parameter"
                elif isinstance(value, Tensor) and not torch.isfinite(value).all():
                    yield f"{place}.{name} is not finite"


def _is_like(saved: Any, own: Tensor) -> bool:
    if not isinstance(saved, Tensor) or not _is_plain(saved, layout=own.layout):
        return False
    return saved.shape == own.shape and saved.is_floating_point() == own.is_floating_point()


def _is_plain(value: Tensor, *, layout: torch.layout = torch.strided) -> bool:
    unlike = value.is_meta or value.is_quantized or value.is_complex()
    return value.layout == layout and not unlike


def _is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1 and not value.is_meta and not value.is_complex()
    if isinstance(value, float) and not math.isfinite(value):
        return True
    return isinstance(value, int | float) and abs(value) <= LARGEST
