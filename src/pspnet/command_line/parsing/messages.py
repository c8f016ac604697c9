"""jsonargparse's refusals in the words of a user: option, value, remedy."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Iterator
from inspect import isabstract, isclass, signature
from itertools import chain
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from jsonargparse import Namespace
from jsonargparse._util import import_object
from torch import Tensor

from pspnet.data.datasets.base import Source
from pspnet.files.spelling import nearest, nearest_option, with_proposals
from pspnet.losses import Loss

PLAIN = {bool: "true or false", int: "a whole number", float: "a number", NoneType: "null"}
PLURAL = {"a whole number": "whole numbers", "a number": "numbers"}
# a class's own options are refused by a parser of theirs; these are the words around its line
CALLABLE = re.compile(
    r"Type typing\.Callable\[.*?\] expects a function or a callable class: (.*)\. Got value: "
    r"Namespace\(.*\)$"
)
UNION = re.compile(
    r"Does not validate against any of the Union subtypes Subtypes: \[.*?\] Errors: - "
    r"(Problem with given class_path .*?) - (?:Problem|Expected) .*$"
)
PREFIX = r'Parser key "([\w.]+)": '
OF_CLASS = re.compile(rf"{PREFIX}(?:Problem with given class_path '[^']+': )?([\w.]+(?:=|: ).*)$")
VALUE = re.compile(rf"{PREFIX}.*?(?:Expected|Not of type).*(?:Got|Given) value: (.*)$")
OWN = re.compile(
    rf"{PREFIX}.*?Not of type \w+: (\w+=.*?: give .*?)(?: - Expected .*)?$"
)  # our type's
UNKNOWN = re.compile(r"(?:Group '([\w.]+)' .*)?[Oo]ption '([\w.-]+)'(?: is not accepted)?$")
PROPOSED = re.compile(rf"^{PREFIX}(.*; did you mean (?:--)?)(?=\w[\w.]*\?$)")
UNNAMED = re.compile(
    rf"{PREFIX}(?:Expected an instantiatable class, but .* is abstract"
    r"|Not a valid subclass of .*|Problem with given class_path 'torch.nn.Module': .*)$"
)
NO_CLASS = re.compile(rf"{PREFIX}.*?Expected a dot import path string: ([^ ]+)")
REQUIRED = re.compile(r"the following arguments are required: (?:(\w+)\.)?data\.source$")
NAMED: dict[str, type] = {"data.source": Source, "model.loss": Loss}  # their classes have names


def own_classes(base: type) -> dict[str, type]:
    """Return the package's classes below a base, by name, without those that cannot be built."""
    return {
        name: kind
        for name, kind in sorted(_below(base).items())
        if kind.__module__.startswith("pspnet.") and not isabstract(kind)
    }


def remedy(key: str) -> str:
    """Return what to give for an option whose classes have names."""
    return f"one of {', '.join(own_classes(NAMED[key]))}, or a class path as my_module.MyClass"


def in_plain_words(message: str, parser: argparse.ArgumentParser) -> str:
    """Return a refusal that names option, value and remedy, as far as the parser knows them.

    Args:
        message: jsonargparse's.
        parser: the one that refuses, of a command or of a class.
    """
    line = " ".join(message.split())
    line = UNION.sub(r"\1", CALLABLE.sub(r"\1", line))
    if "did you mean " in line:  # of a class's parser, which does not know its name
        return PROPOSED.sub(r'Parser key "\1": \2\1.', line)
    if (found := OF_CLASS.match(line)) and " give " in found[2]:  # likewise
        return f"{found[1]}.{found[2]}"
    if found := OWN.match(line):
        return found[2]
    if found := REQUIRED.match(line):
        return _no_source(found[1])
    if (found := UNNAMED.match(line)) and found[1] in NAMED:
        key = found[1]
        return f"{key} has no name; give --{key}=NAME before its options, {remedy(key)}"
    actions = [*_actions(parser)]
    if (found := VALUE.match(line)) and (said := _value(found[1], found[2], actions)):
        return said
    if found := NO_CLASS.match(line):
        return _no_class(found[1], found[2], actions)
    if found := UNKNOWN.search(line):
        given = ".".join(filter(None, found.groups()))
        near = nearest_option(given, _names(actions))
        return f"{line}; did you mean {near}?" if near else line
    return with_proposals(line, _names(actions))


def _no_source(command: str | None) -> str:
    if command in (None, "fit"):
        names = remedy("data.source")
        return f"data.source is missing; give -c EXPERIMENT, or --data.source=NAME, {names}"
    return f"{command} needs a trained network; give --ckpt_path=FILE.ckpt"


def _below(base: type) -> dict[str, type]:
    """Return all classes below a base by name; of two of one name that of lower depth."""
    direct: list[type] = base.__subclasses__()
    deeper = [_below(kind).items() for kind in direct]
    return dict(chain(*deeper)) | {kind.__name__: kind for kind in direct}


def _no_class(key: str, name: str, actions: list[argparse.Action]) -> str:
    hint = next((getattr(it, "_typehint", None) for it in actions if it.dest == key), None)
    known = {it for base in _bases(hint) for it in (base.__name__, *_below(base))}
    close = nearest(name, sorted(known))
    proposal = f"did you mean {close}?" if close else "give a class path as my_module.MyClass"
    return f"{key}={name}: no class has this name; {proposal}"


def _bases(hint: Any) -> list[type]:
    """Return the classes that a type names, or that its callables return."""
    if isclass(hint) and not get_args(hint):
        return [hint] if hint.__module__ != "builtins" else []
    inner = get_args(hint)[-1:] if get_origin(hint) is Callable else get_args(hint)
    bases: list[type] = []
    for part in inner:
        bases += _bases(part)
    return bases


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    """Yield the options of a parser and of its commands."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        elif action.option_strings and not action.dest.endswith(".help"):  # of a class
            yield action


def _names(actions: list[argparse.Action]) -> list[str]:
    """Return the names of options, and behind them those of the classes that are the defaults."""
    names = [action.dest for action in actions]
    return names + [name for action in actions for name in _of_default(action)]


def _of_default(action: argparse.Action) -> list[str]:
    """Return the names of options of the class that is the default, or that all classes have."""
    default = action.default
    path = default.get("class_path") if isinstance(default, dict | Namespace) else None
    base = getattr(action, "_typehint", None)
    if isinstance(path, str):
        kinds = [import_object(path)]
    else:
        kinds = [*own_classes(base).values()] if isclass(base) and isabstract(base) else []
    each = [[*signature(kind).parameters] for kind in kinds]
    shared = [name for name in each[0] if all(name in its for its in each)] if each else []
    return [f"{action.dest}.{name}" for name in shared]


def _value(key: str, value: str, actions: list[argparse.Action]) -> str | None:
    """Return the line about a wrong value; None if the option's type is no plain one."""
    action = next((action for action in actions if action.dest == key), None)
    kinds = _kinds(getattr(action, "_typehint", None) or getattr(action, "type", None))
    if not kinds:
        return None
    *others, last = dict.fromkeys(kinds)
    remedy = f"{', '.join(others)} or {last}" if others else last
    of_list = any(kind.startswith("a list") for kind in kinds)  # the value may be one of its items
    return f"{key}: {value} is given; give {remedy}" if of_list else f"{key}={value}: give {remedy}"


def _kinds(hint: Any) -> list[str]:
    """Return the kinds of values of a type in words; [] if it takes others than numbers and words.

    Lists of texts, or of one kind of numbers, are taken, too.
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        each = [_kinds(part) for part in inner if part is not Tensor]
        return [kind for kinds in each for kind in kinds] if all(each) else []
    if origin is Literal:
        return [str(value) for value in inner]
    if origin in (tuple, list):
        texts = {*inner} <= {str, ...}
        items = {kind for part in inner if part is not ... for kind in _kinds(part)}
        count = f"{len(inner)} " if origin is tuple and ... not in inner else ""
        plural = "texts" if texts else PLURAL.get("".join(items))
        return [f"a list of {count}{plural}"] if plural else []
    if hint in PLAIN:
        return [PLAIN[hint]]
    bounds = getattr(hint, "_expression", None)  # as of PositiveInt
    # in Python 3.10 `dict[str, int]` is a class, too
    if origin is not None or not (isclass(hint) and issubclass(hint, int | float) and bounds):
        return []
    number = PLAIN[int if issubclass(hint, int) else float]
    return [" ".join((number, re.sub("v([<>=!]+)", r"\1 ", bounds)))]
