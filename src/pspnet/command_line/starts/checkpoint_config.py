"""A checkpoint's configuration, laid under the command line as far as it is trusted."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer

from pspnet.checkpoints.reading import check_network
from pspnet.checkpoints.trust import Vetting
from pspnet.command_line.parsing.words import given_options
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError, note, visible
from pspnet.files.text import path_part
from pspnet.inference.numeric_precision import usable
from pspnet.models.pspnet import PSPNet
from pspnet.runs import folder as run_folder
from pspnet.task import Segmentation

PLACES = ("data.cache", "data.images", "trainer.default_root_dir", "trainer.model_registry")
TRAINING = ("data.augmentation", "model.optimizer", "model.lr_scheduler")
UNUSED = {"fit": (), "validate": TRAINING, "test": TRAINING, "predict": (*TRAINING, "model.loss")}
NOT_TAKEN = ("num_classes", "in_channels", "encoder_weights")  # linked; in the checkpoint itself
TRUST = "obey the checkpoint's configuration: import the classes and use the paths that it names"
REMEDY = "give them yourself, or --trust if you know where the file comes from"


def beneath(
    checkpoint: dict[str, Any], *, path: str, command: str, words: list[str]
) -> dict[str, Any]:
    """Return the options that a checkpoint gives where the command line does not.

    Numbers, words and known classes are taken, see `checkpoints.trust`. What names other classes or
    paths is refused unless the user gives it, too, or gives --trust. Places to write to are left
    out, and a line says so.

    Args:
        checkpoint: of `read_checkpoint`.
        path: the file.
        command: fit resumes the run; the others evaluate its network.
        words: the options of the command line.

    Raises:
        UserError: if converted weights are to be resumed, or a value is refused.
    """
    fit = command == "fit"
    if fit and "optimizer_states" not in checkpoint:
        raise UserError(
            f"ckpt_path={path}: converted weights have no optimizer to resume; "
            f"evaluate them, or start a run from them: --init_from={path}"
        )
    if fit and "trainer" not in checkpoint["config"]:
        raise UserError(
            f"ckpt_path={path}: was trained from Python, and does not hold its options; resume it "
            f"there, or start a run from its weights: --init_from={path}"
        )
    look = user_vetting(words)
    look.retired = None if fit else []
    saved = _needed(checkpoint["config"], unused=UNUSED[command])
    saved["model"] = {**saved["model"], "network": network_options(checkpoint)}
    left_out = [] if look.trusted is None else _leave_out(saved, given=look.given)
    if not fit:
        _check_source(saved["data"], look, command=command, path=path)
        _leave_out_loss(saved["model"], look, path=path)
    under: dict[str, Any] = {
        "data": look.options(SegmentationData, saved["data"], "data"),
        "model": look.options(Segmentation, saved["model"], "model"),
    }
    under |= _of_training(saved, look) if fit else _precision(saved["trainer"], look)
    run = run_folder.of_checkpoint(path) if fit else None
    if run is not None:
        under |= run_folder.place(run)
    elif saved["name"] is not None and "name" not in look.given:
        under["name"] = _name(saved["name"], look)
    if look.refused:
        listed = visible(", ".join(look.refused[:5])) + (", …" if look.refused[5:] else "")
        raise UserError(f"ckpt_path={path} asks for {listed}; {REMEDY}")
    check_network(checkpoint, path=f"ckpt_path={path}")
    if left_out:
        listed = visible(", ".join(left_out))
        sys.stderr.write(f"not taken from {path}: {listed}; {REMEDY}\n")
    if look.retired:
        note(f"{path}: options that this version lacks are left out: {', '.join(look.retired)}")
    return under


def _check_source(data: dict[str, Any], look: Vetting, *, command: str, path: str) -> None:
    """Refuse a missing data set, but for predictions on images, which read none."""
    if "source" in data or "data.source" in look.given:
        return
    if command != "predict" or "data.images" not in look.given:
        raise UserError(f"ckpt_path={path}: names no data set; give --data.source and its root")
    data["source"] = {"class_path": "pspnet.data.Folder"}


def _leave_out_loss(model: dict[str, Any], look: Vetting, *, path: str) -> None:
    """Leave out a loss that is not at hand: no score and no prediction depends on it."""
    loss = model.get("loss")
    if loss is None or "model.loss" in look.given or look.builds(Segmentation, "loss", loss):
        return
    del model["loss"]
    name = str(loss.get("class_path") if isinstance(loss, Mapping) else loss)[:80]
    note(
        f"{path}: its model.loss={name} is not at hand, so val/loss is cross-entropy; scores do not"
        f" depend on it; {REMEDY}"
    )


def _of_training(saved: dict[str, Any], look: Vetting) -> dict[str, Any]:
    """Return the options that a training continues with."""
    texts = dict.fromkeys(("checkpoint_every", "init_from", "continue_from"), str)
    kinds = {"seed_everything": int, **texts}
    plain = {key: saved.get(key) for key, kind in kinds.items() if isinstance(saved.get(key), kind)}
    return {"trainer": look.options(Trainer, saved["trainer"], "trainer"), **plain}


def _precision(trainer: Any, look: Vetting) -> dict[str, Any]:
    """Return the precision of the training, if this machine has it."""
    precision = trainer.get("precision") if isinstance(trainer, Mapping) else None
    if not isinstance(precision, str) or not (precision := usable(precision)):
        return {}
    return {"trainer": look.options(Trainer, {"precision": precision}, "trainer")}


def _needed(config: Mapping[str, Any], *, unused: tuple[str, ...]) -> dict[str, Any]:
    """Return the parts of a configuration that a command uses, with None for what is missing."""
    saved: dict[str, Any] = dict.fromkeys(("name", "seed_everything"))
    saved |= {"trainer": {}, **config}
    for part in ("data", "model"):
        kept = {k: v for k, v in saved[part].items() if f"{part}.{k}" not in unused}
        saved[part] = kept
    return saved | {"trainer": _without_finders(saved["trainer"])}


def _leave_out(saved: dict[str, Any], *, given: frozenset[str]) -> list[str]:
    """Remove the places to write to or to read from, and return those that were named."""
    named = []
    for place in PLACES:
        part, _, name = place.partition(".")
        if isinstance(saved[part], dict) and saved[part].pop(name, None) is not None:
            named += [place] if place not in given else []
    return named


def _name(value: Any, look: Vetting) -> str:
    try:
        return path_part(value if isinstance(value, str) else "", option="name")
    except UserError:
        look.refused.append(f"name={value!r:.40}")
        return ""


def user_vetting(words: list[str]) -> Vetting:
    """Return a look that trusts what the words and their files name, or all with --trust."""
    found = [*given_options(words)]
    trusts = any(word in ("--trust", "--trust=true", "--trust=True") for word in words)
    texts = frozenset(value for _, value in found if isinstance(value, str))
    return Vetting(None if trusts else texts, frozenset(key for key, _ in found))


def class_table(checkpoint: dict[str, Any]) -> Classes:
    """Return the classes that a checkpoint was trained on."""
    return Classes.from_plain(checkpoint["hyper_parameters"]["classes"])


def check_classes(classes: Classes, trained: Classes, *, path: str) -> None:
    """Refuse data of other classes than the checkpoint's.

    Raises:
        UserError: naming both.
    """
    if classes.names != trained.names:
        raise UserError(
            f"{path} was trained on {_count(trained)}, and the data has {_count(classes)}; "
            "give the data it was trained on, or another checkpoint"
        )


def class_path(kind: type) -> str:
    """Return the path by which a class is imported."""
    return f"{kind.__module__}.{kind.__qualname__}"


def network_options(checkpoint: Mapping[str, Any]) -> dict[str, Any]:
    """Return class and options of a checkpoint's network, without those linked to the data."""
    network: dict[str, Any] = checkpoint["hyper_parameters"]["network"]
    if "class_path" not in network:
        network = {"class_path": class_path(PSPNet), "init_args": network}
    options = network.get("init_args")
    if not isinstance(options, Mapping):
        return network  # refused by the look through it
    return {**network, "init_args": {k: v for k, v in options.items() if k not in NOT_TAKEN}}


def _without_finders(trainer: Any) -> Any:
    """Leave out Lightning's finders, which have done their work and would restart the training."""
    if not (isinstance(trainer, Mapping) and isinstance(trainer.get("callbacks"), list)):
        return trainer
    finders = ("LearningRateFinder", "BatchSizeFinder")
    kept = [
        callback
        for callback in trainer["callbacks"]
        if not (isinstance(callback, Mapping) and str(callback.get("class_path")).endswith(finders))
    ]
    return {**trainer, "callbacks": kept or None}


def _count(classes: Classes) -> str:
    return f"{len(classes)} classes ({', '.join(classes.names[:3])}, …)"
