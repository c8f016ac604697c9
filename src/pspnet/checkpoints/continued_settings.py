"""Settings of another code's optimizer, beside those of the run that continues its training."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch.optim import SGD, Adam, AdamW, Optimizer

from pspnet.errors import UserError
from pspnet.lr_schedules import PolyLR
from pspnet.models.pspnet import NORMALIZATIONS, PSPNet
from pspnet.models.published.training_state import TrainingState

KNOWN = (SGD, Adam, AdamW)
PLAIN = ("momentum", "dampening", "nesterov", "betas", "eps", "amsgrad", "maximize")
CLOSE = 1e-7  # relative; single precision of what codes write


def check_settings(
    training: TrainingState, optimizer: Optimizer, network: PSPNet, *, path: Path
) -> None:
    """Refuse a run whose optimizer is another one than the file's, or has other settings.

    Raises:
        UserError: naming the options that make them the same.
    """
    start = f"continue_from={path}"
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    ours = {
        names[id(parameter)]: group
        for group in optimizer.param_groups
        for parameter in group["params"]
        if id(parameter) in names
    }
    theirs = {name: training.options[name] for name in ours}
    _check_kind(training, optimizer, theirs, path=path)
    norms = {
        f"{place}.{name}"
        for place, layer in network.named_modules()
        if isinstance(layer, NORMALIZATIONS)
        for name, _ in layer.named_parameters(recurse=False)
    }
    there, here = (settings(options, norms, start=start) for options in (theirs, ours))
    differing = [key for key in there if key in here and not _same(there[key], here[key])]
    if differing:
        listed = " ".join(f"--model.{key}={_text(there[key])}" for key in differing)
        now = ", ".join(f"{key}={_text(here[key])}" for key in differing)
        raise UserError(f"{start}: this run has {now}; to continue, give {listed}")
    _check_buffers(training, optimizer, ours, path=path)


def _check_kind(
    training: TrainingState, optimizer: Optimizer, theirs: Mapping[str, Any], *, path: Path
) -> None:
    start, known = f"continue_from={path}", [kind.__name__ for kind in KNOWN]
    options: Mapping[str, Any] = next(iter(theirs.values()), {})
    kind = "SGD" if "momentum" in options else "Adam" if "betas" in options else "another one"
    if kind == "Adam" and options.get("decoupled_weight_decay"):
        kind = "AdamW"
    found, own = training.optimizer or kind, type(optimizer).__name__
    if found not in known:
        raise UserError(
            f"{start}: its optimizer is {found}, and the state of {', '.join(known)} is known; "
            f"start from its weights by --init_from={path}"
        )
    if type(optimizer) not in KNOWN:
        listed = ", ".join(known)
        raise UserError(f"{start}: model.optimizer: the state of {listed} is known; give one")
    alike = kind == "Adam" and training.optimizer is None and own == "AdamW"  # not told apart
    if found != own and not alike:
        raise UserError(
            f"{start}: its optimizer is {found}, and this run's is {own}; give "
            f"--model.optimizer=torch.optim.{found}"
        )
    needed = "momentum" if own == "SGD" else "betas"
    if not all(needed in it for it in theirs.values()):
        raise UserError(f"{start}: its optimizer has a group without {needed}; a damaged file")


def _check_buffers(
    training: TrainingState, optimizer: Optimizer, names: Iterable[str], *, path: Path
) -> None:
    """Refuse a parameter whose state is not all that the optimizer keeps of one, or none."""
    start, own = f"continue_from={path}", type(optimizer).__name__
    needed = {"momentum_buffer"} if own == "SGD" else {"step", "exp_avg", "exp_avg_sq"}
    needed |= {"max_exp_avg_sq"} if optimizer.defaults.get("amsgrad") else set()
    for name in names:
        found = training.buffers.get(name, {}).keys()
        if strange := found - needed:
            raise UserError(
                f"{start}: its optimizer's {min(strange)!r} is none of {own}'s; start from its "
                f"weights by --init_from={path}"
            )
        if found and (lacking := needed - found):
            raise UserError(
                f"{start}: its optimizer lacks {min(lacking)!r} of {name!r}; a damaged file"
            )


def settings(
    options: Mapping[str, Mapping[str, Any]], norms: Iterable[str], *, start: str
) -> dict[str, Any]:
    """Return the options of `model` that give parameters the options of their groups.

    Args:
        options: of each parameter's group, by its name.
        norms: the names of those of normalizations.
        start: of the error's line.

    Raises:
        UserError: if no options do.
    """
    norms, found = set(norms), {}
    encoder = [name for name in options if name.startswith("encoder.")]
    new = [name for name in options if not name.startswith("encoder.")]
    rate = "initial_lr" if all("initial_lr" in it for it in options.values()) else "lr"
    base = _single(options, encoder, rate, start=start)
    if rate == "initial_lr" and base is not None:
        found["optimizer.lr"] = base
    other = _single(options, new, rate, start=start)
    if base and other is not None:
        found["new_layer_factor"] = other / base
    others, inside = ([n for n in options if (n in norms) == it] for it in (False, True))
    decays = [_single(options, names, "weight_decay", start=start) for names in (others, inside)]
    found["optimizer.weight_decay"] = decays[0]
    found["norm_decay"] = decays[1] is None or decays[0] == decays[1]
    if not found["norm_decay"] and decays[1] != 0:
        raise UserError(f"{start}: the normalizations' weight_decay is {decays[1]}, not 0 or all's")
    for key in PLAIN:
        if all(key in it for it in options.values()):
            found[f"optimizer.{key}"] = _single(options, [*options], key, start=start)
    return {key: value for key, value in found.items() if value is not None}


def _single(
    options: Mapping[str, Mapping[str, Any]], names: Iterable[str], key: str, *, start: str
) -> Any:
    """Return the one value that parameters have; None of no parameters, or without it."""
    values = {name: options[name].get(key) for name in names}
    first = next(iter(values), None)
    for name, value in values.items():
        if first is not None and not _same(value, values[first]):
            raise UserError(
                f"{start}: {key} is {value} of {name!r} and {values[first]} of {first!r}, which no "
                "options of this package are"
            )
    return None if first is None else values[first]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    numbers = all(isinstance(value, int | float) for value in (one, other))
    same: bool = math.isclose(one, other, rel_tol=CLOSE) if numbers else one == other
    return same


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    return str(value).lower() if isinstance(value, bool) else f"{value:.10g}"


def rates(
    training: TrainingState, scheduler: PolyLR, names: Mapping[int, str], *, steps: int
) -> str | None:
    """Return a line on a learning rate that is not the file's; None where it is.

    Args:
        training: the file's.
        scheduler: of the run, at its step.
        names: of the parameters, by their ids.
        steps: that are done.
    """
    at = steps - training.rate_age
    for group in scheduler.optimizer.param_groups:
        name = names.get(id(group["params"][0]), "")
        there = training.options.get(name, {}).get("lr")
        here = group["initial_lr"] * scheduler.factor(at)
        if isinstance(there, int | float) and not math.isclose(there, here, rel_tol=1e-6):
            said = f"at step {at} its learning rate is {there:.6g}, and here {here:.6g}"
            return f"the schedules differ: {said}; {_remedy(training, scheduler, group)}"
    return None


def _remedy(training: TrainingState, scheduler: PolyLR, group: Mapping[str, Any]) -> str:
    poly = training.poly
    if poly is None:
        return (
            "see model.lr_scheduler, trainer.max_steps and max_epochs, and in semseg's files "
            "model.optimizer.lr"
        )
    if poly.floor and len({it["initial_lr"] for it in scheduler.optimizer.param_groups}) > 1:
        return f"its floor is {poly.floor:g} for all groups, and here a share of each group's rate"
    floor = poly.floor / group["initial_lr"]
    options = {"power": poly.power, "floor": floor, "warmup_steps": 0, "total_steps": poly.total}
    listed = [
        f"--model.lr_scheduler.{key}={value:.10g}"
        for key, value in options.items()
        if not math.isclose(value, getattr(scheduler, key) or 0, rel_tol=CLOSE)
    ]
    return f"its own is that of {' '.join(listed)}"
