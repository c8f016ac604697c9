"""The constructor's arguments as plain data, from which the same network can be built again.

They are derived from the signature: a subclass with further options needs no second list.
"""

from __future__ import annotations

import inspect
import re
from argparse import ArgumentError
from collections.abc import Callable, Mapping
from dataclasses import asdict, is_dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from jsonargparse import ArgumentParser
from torch import nn

from pspnet.errors import UserError

Built = TypeVar("Built")
NONE = re.compile("None|Optional|Any")  # in annotations
NO_STRUCTURE = ("training", "fused_pyramid", "norm_eval", "call_super_init", "dump_patches")
SCHEDULED = ("p", "momentum", "drop_prob")  # what trainings change as they go
Init = TypeVar("Init", bound=Callable[..., None])


def records_options(init: Init) -> Init:
    """Decorate a constructor: the first one that is entered sets `self.options`, as plain data.

    `encoder_weights` is recorded as None: the weights come with the checkpoint.
    """

    @wraps(init)
    def recording(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        if "options" not in vars(self):
            options = constructor_options(type(self), args, kwargs)
            if "encoder_weights" in options:
                options["encoder_weights"] = None
            object.__setattr__(self, "options", options)
        init(self, *args, **kwargs)

    return cast(Init, recording)


def constructor_options(
    cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, defaults: bool = True
) -> dict[str, Any]:
    """Return what `cls(*args, **kwargs)` gives to each parameter, as plain data.

    What a subclass hands on by `*args` and `**kwargs` is named by its base class's signature.

    Args:
        cls: the class that is constructed.
        args: positional arguments, without self.
        kwargs: keyword arguments.
        defaults: include the defaults of `cls` for what is not given.
    """
    owners = [base for base in cls.__mro__ if "__init__" in vars(base)]
    signature = inspect.signature(vars(owners[0])["__init__"])
    bound = signature.bind_partial(None, *args, **kwargs)  # None for self
    if defaults:
        bound.apply_defaults()
    options: dict[str, Any] = {}
    handed_on: tuple[Any, ...] = ()
    named: dict[str, Any] = {}
    for name, value in [*bound.arguments.items()][1:]:
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            handed_on = value
        elif kind is inspect.Parameter.VAR_KEYWORD:
            named = value
        else:
            options[name] = plain_data(value)
    if handed_on or named:
        options |= constructor_options(owners[1], handed_on, named, defaults=False)
    return options


def build(cls: type[Built], options: Mapping[str, Any]) -> Built:
    """Build what has these options, such as a network, with weights of its own.

    Raises:
        UserError: if they are no options of `cls`.
    """
    _check_values(cls, options)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(cls, "network", fail_untyped=False)
    try:
        parsed = parser.parse_object({"network": dict(options)})
    except (ArgumentError, OverflowError) as error:  # of an int that is no float
        raise UserError(f"no options of {cls.__name__}: {' '.join(str(error).split())}") from error
    built: Built = parser.instantiate(parsed).network
    return built


def _check_values(cls: type, options: Mapping[str, Any]) -> None:
    """Refuse what jsonargparse takes: None for any option, plain values in place of a dataclass."""
    for base in cls.__mro__:
        for name, one in inspect.signature(vars(base).get("__init__", object)).parameters.items():
            value = options.get(name, one.default)
            no_none = one.default is not None and not NONE.search(str(one.annotation))
            parts = is_dataclass(one.default) and not isinstance(value, Mapping | type(one.default))
            if (value is None and no_none) or parts:
                raise UserError(f"{name}={value!r:.40}: no value of this option of {cls.__name__}")
            if is_dataclass(one.default) and isinstance(value, Mapping):
                _check_values(type(one.default), value)


def class_and_options(network: nn.Module, *, plain: type) -> dict[str, Any]:
    """Return a network's recorded options; with its class path if it is not exactly `plain`."""
    options: dict[str, Any] = vars(network)["options"]
    kind = type(network)
    if kind is plain:
        return options
    return {"class_path": f"{kind.__module__}.{kind.__qualname__}", "init_args": options}


def check_structure(network: nn.Module, saved: Mapping[str, str], *, without: str) -> None:
    """Refuse weights of a network that was edited after its construction, and is not so here.

    Args:
        network: that the weights are for.
        saved: `structure` of the network that they are of; empty in checkpoints of version 0.1.
        without: see `structure`.

    Raises:
        UserError: naming the first module that differs.
    """
    own = structure(network, without=without)
    for name in {**saved, **own} if saved else {}:
        if saved.get(name) != own.get(name):
            raise UserError(
                f"network.{name} is {own.get(name, 'missing')}, and in the checkpoint "
                f"{saved.get(name, 'missing')}: it was edited after its construction; edit a "
                "network likewise and give it: load_from_checkpoint(path, network=network)"
            )


def structure(network: nn.Module, *, without: str) -> dict[str, str]:
    """Describe each module by its class and plain attributes, to find edits after construction.

    Args:
        network: any.
        without: name of a part, of whose modules the classes alone are described.
    """
    found = {}
    for name, module in network.named_modules():
        kind = type(module).__name__.replace("SyncBatchNorm", "BatchNorm2d")
        plain = {} if name.split(".")[0] == without else _plain_attributes(module)
        found[name] = f"{kind}({', '.join(f'{key}={value}' for key, value in plain.items())})"
    return found


def _plain_attributes(module: nn.Module) -> dict[str, Any]:
    """Return switches, names and sizes; numbers of somebody's own modules may be counters."""
    ours = type(module).__module__.startswith(("torch.", "pspnet."))
    kinds = (bool, str, tuple, int, float) if ours else (bool, str, tuple)
    return {
        key: value
        for key, value in sorted(vars(module).items())
        if isinstance(value, kinds)
        and (ours or isinstance(value, bool) or not isinstance(value, int))
        and not key.startswith("_")
        and key not in (*NO_STRUCTURE, *SCHEDULED)
    }


def plain_data(value: Any) -> Any:
    """Return dataclasses as mappings and tuples as lists, as JSON and YAML have them."""
    if is_dataclass(value) and not isinstance(value, type):
        return plain_data(asdict(value))
    if isinstance(value, Mapping):
        return {key: plain_data(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_data(item) for item in value]
    return value
