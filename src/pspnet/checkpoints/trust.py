"""A look through configurations of unknown origin: plain values and known classes are taken.

jsonargparse imports each class path, opens each text that stands where a class is expected, and
creates what the classes create. So a checkpoint's configuration is looked through before it is
parsed. Numbers and words pass where an option takes them. A class passes if it is one of this
package's parts, of torch's optimizers, schedules and losses, or of smp's losses, or a callback of
Lightning that acts on the training alone. Paths pass in data sets only, which read there. All other
values are the user's to give, or to trust.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, cast, get_type_hints

from lightning import Callback
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from pspnet.data.datasets.base import Source
from pspnet.data.transforms.augmentation import AugmentationBase
from pspnet.errors import UserError, visible
from pspnet.models.pspnet import PSPNet

KNOWN_MODULES = re.compile(
    r"pspnet\.(PSPNet|(models|losses|lr_schedules|data)\.[\w.]+)"
    r"|torch\.optim\.[\w.]+|torch\.nn\.(modules\.loss\.)?\w+"
    r"|segmentation_models_pytorch\.losses\.[\w.]+|lightning\.pytorch\.callbacks\.[\w.]+"
)
KNOWN_KINDS = (nn.Module, Optimizer, LRScheduler, Source, AugmentationBase)
CALLBACKS = (  # of Lightning: they act on the training alone
    *("EarlyStopping", "LearningRateMonitor", "Timer", "ModelSummary", "RichModelSummary"),
    *("TQDMProgressBar", "RichProgressBar", "GradientAccumulationScheduler", "ModelCheckpoint"),
    *("StochasticWeightAveraging", "WeightAveraging", "EMAWeightAveraging", "DeviceStatsMonitor"),
    *("BackboneFinetuning", "LearningRateFinder", "BatchSizeFinder"),
)
HOMES = ("pspnet.", "torch.optim.", "torch.nn.modules.loss.", "segmentation_models_pytorch.losses.")
PATH_NAME = re.compile(r"(root|dir|dirpath|path|folder|file|filename)$")
TEXT_TYPE = re.compile(r"\bstr\b|\bLiteral\b")
OTHER_TYPE = re.compile(
    r"\b(?!typing|Optional|Union|NoneType|None|class|builtins|[a-z]+\b)[A-Z]\w+"
)
TEXT = re.compile(r"[\w.+,=][\w.+,= :/-]*|")
WORD = re.compile(r"[\w-]+|")
LARGEST = 2**53  # of whole numbers that a float holds


@dataclass
class Vetting:
    """One look through a configuration, and what of it is not taken.

    Args:
        trusted: texts that the user gave: class paths and paths among them are obeyed. None trusts
            every text.
        given: options that the user gave, which need not be taken from elsewhere.
        refused: values that are not taken, as "OPTION=VALUE".
        retired: None, or a list that takes the options that classes of this package had in other
            versions; they are left out.
    """

    trusted: frozenset[str] | None = frozenset()
    given: frozenset[str] = frozenset()
    refused: list[str] = field(default_factory=list)
    retired: list[str] | None = None

    def options(self, kind: Callable[..., Any], values: Any, place: str) -> Any:
        """Return the options of a class without those that are refused and given by the user.

        Args:
            kind: the class, or another callable; its signature says what each option takes.
            values: its options by name.
            place: the option that they are options of, such as "model.network".
        """
        if not isinstance(values, Mapping):
            return self._refuse(values, place)
        known, kept = dict(_parameters(kind)), {}
        for name, value in values.items():
            below, before = f"{place}.{name}", len(self.refused)
            if self.retired is not None and name not in known and _is_ours(kind):
                self.retired.append(below)
                continue
            found = self._value(value, known.get(name, UNKNOWN), below)
            if len(self.refused) > before and below in self.given:
                del self.refused[before:]
            else:
                kept[name] = found
        return kept

    def builds(self, kind: Callable[..., Any], name: str, value: Any) -> bool:
        """Return whether the class that stands for an option of `kind` is trusted and at hand."""
        look = Vetting(self.trusted, retired=[])
        look.options(kind, {name: value}, "")
        path = value.get("class_path") if isinstance(value, Mapping) else None
        return look._class(path, "") is not None and not (look.refused or look.retired)

    def _value(self, value: Any, option: Option, place: str) -> Any:
        if isinstance(value, str):
            fits = self._is_trusted(value) or option.takes(value)
            return value if fits else self._refuse(value, place)
        if isinstance(value, Mapping):
            return self._mapping(value, option, place)
        if isinstance(value, list | tuple):
            return [self._value(item, option, place) for item in value]
        plain = option.takes_none if value is None else isinstance(value, bool | float)
        plain = plain or (isinstance(value, int) and abs(value) <= LARGEST)
        if plain and (value is None or option.kind is None):
            return value
        return self._refuse(value, place)

    def _mapping(self, value: Mapping[Any, Any], option: Option, place: str) -> Any:
        if not all(isinstance(key, str) for key in value):
            return self._refuse(value, place)
        if value.get("class_path") is None:
            if option.kind is not None:
                return self.options(option.kind, value, place)
            return {k: self._value(v, UNKNOWN, f"{place}.{k}") for k, v in value.items()}
        kind = self._class(value["class_path"], place)
        if kind is None:  # refused, or the parser says what is wrong with the user's path
            if self._is_trusted(value["class_path"]):
                self._value({**value, "class_path": None}, UNKNOWN, place)
            return value
        kept = {"class_path": value["class_path"]}
        for part in value.keys() - kept.keys():
            inner = part in ("init_args", "dict_kwargs")
            kept[part] = (
                self.options(kind, value[part], place)
                if inner
                else self._refuse(value[part], f"{place}.{part}")
            )
        return kept

    def _class(self, path: Any, place: str) -> Callable[..., Any] | None:
        if self._is_trusted(path) or (isinstance(path, str) and KNOWN_MODULES.fullmatch(path)):
            module, _, name = path.rpartition(".")
            try:
                kind = getattr(import_module(module), name, None)
            except (ImportError, ValueError):
                kind = None
            if callable(kind) and (self._is_trusted(path) or _is_known(kind)):
                return cast(Callable[..., Any], kind)
        if not self._is_trusted(path):
            self._refuse(path, place)
        return None

    def _is_trusted(self, value: Any) -> bool:
        return isinstance(value, str) and (self.trusted is None or value in self.trusted)

    def _refuse(self, value: Any, place: str) -> Any:
        text = value if isinstance(value, str) else repr(value)
        self.refused.append(f"{place}={text[:80]}")
        return value


@dataclass(frozen=True)
class Option:
    """A parameter of a constructor, as far as a text for it is concerned.

    Args:
        name: its name.
        annotation: its type in words.
        default: its default value.
        kind: the class of which it takes an object, where that is known.
        reads: it is an option of a data set, which reads at the paths that it is given.
        creates: the data set also writes there, if nothing is there.
    """

    name: str = ""
    annotation: str = ""
    default: Any = None
    kind: type | None = None
    reads: bool = False
    creates: bool = False

    @property
    def takes_none(self) -> bool:
        """True if None is a value; jsonargparse takes it for every option."""
        return self.default is None or "None" in self.annotation or "Optional" in self.annotation

    def takes(self, value: str) -> bool:
        """Return whether a text can be this option's value and neither path nor class path."""
        if "Path" in self.annotation or "_PATH" in self.annotation or PATH_NAME.search(self.name):
            there = not self.creates or _is_in_data(value) or _is_filled(value)
            return self.reads and "\0" not in value and there
        if not (TEXT_TYPE.search(self.annotation) or isinstance(self.default, str)):
            return False
        if OTHER_TYPE.search(self.annotation.replace("Literal", "")):
            # where a class may stand, too, a file of that name would be opened
            return WORD.fullmatch(value) is not None and not Path(value).exists()
        return TEXT.fullmatch(value) is not None and ".." not in value


UNKNOWN = Option()


def _parameters(kind: Callable[..., Any]) -> Iterator[tuple[str, Option]]:
    """Yield the parameters of a class by name, with those that its bases add."""
    bases = reversed(kind.__mro__) if isinstance(kind, type) else [kind]
    reads = isinstance(kind, type) and issubclass(kind, Source)
    creates = reads and kind.prepare is not Source.prepare  # type: ignore[attr-defined]
    for base in bases:
        init = vars(base).get("__init__") if isinstance(base, type) else base
        if not callable(init) or base is object:
            continue
        hints = _hints(init)
        for name, one in signature(init).parameters.items():
            if one.kind in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD) or name == "self":
                continue
            hint = type(one.default) if is_dataclass(one.default) else hints.get(name)
            ours = isinstance(hint, type) and hint.__module__.startswith("pspnet.")
            kept, annotation = hint if ours else None, str(one.annotation)
            if annotation.isidentifier() and not isinstance(hint, type | None):
                annotation = str(hint)  # what a name for a type stands for
            yield name, Option(name, annotation, one.default, kept, reads, creates)


def _hints(init: Callable[..., Any]) -> dict[str, Any]:
    try:
        return get_type_hints(init)
    except (NameError, TypeError, AttributeError):  # names that only type checkers know
        return {}


def _is_in_data(folder: str) -> bool:
    """Return whether a folder lies in `data`, where sources may create what they draw."""
    parts = Path(folder).parts
    return parts[:1] == ("data",) and len(parts) > 1 and ".." not in parts


def _is_filled(folder: str) -> bool:
    try:
        return any(Path(folder).iterdir())
    except OSError:
        return False


def _is_ours(kind: Any) -> bool:
    return isinstance(kind, type) and kind.__module__.startswith("pspnet.")


def _is_known(kind: Any) -> bool:
    if not isinstance(kind, type):
        return False
    home = kind.__module__
    if issubclass(kind, Callback):
        return home.startswith("lightning.pytorch.") and kind.__name__ in CALLBACKS
    return issubclass(kind, KNOWN_KINDS) and f"{home}.".startswith(HOMES)


def check_hyper_parameters(
    kind: type, saved: Mapping[str, Any], *, path: str | Path, trust: bool
) -> None:
    """Refuse arguments of a module that a file would import or open.

    A network's class that is imported already is trusted, as importing it was the user's decision.

    Args:
        kind: the module's class.
        saved: its arguments in the file.
        path: the file.
        trust: pass all.

    Raises:
        UserError: naming those that are refused.
    """
    network = saved.get("network")
    name = network.get("class_path") if isinstance(network, Mapping) else None
    trusted = frozenset({str(name)} if _is_imported(name) else ())
    look = Vetting(None if trust else trusted)
    checked = ("_instantiator", "classes")  # by Lightning, by `Classes.from_plain`
    options = {key: value for key, value in saved.items() if key not in checked}
    look.options(kind, options, "hyper_parameters")
    given = network.get("init_args", network) if isinstance(network, Mapping) else {}
    if isinstance(given, Mapping) and given.get("encoder_weights") is not None and not trust:
        look.refused.append("network.encoder_weights")  # the weights come with the checkpoint
    if look.refused:
        raise UserError(
            f"{path} asks for {visible(', '.join(look.refused[:5]))}; import the network's module "
            "before, or give trust=True if you know where the file comes from"
        )


def _is_imported(path: Any) -> bool:
    module, _, name = path.rpartition(".") if isinstance(path, str) else ("", "", "")
    kind = getattr(sys.modules.get(module), name, None)
    return isinstance(kind, type) and issubclass(kind, PSPNet)
