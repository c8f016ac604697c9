"""What a W&B sweep file varies: every combination of a grid, or draws from its distributions.

Meanings are those of W&B's page on sweep configuration keys, sections `parameters` and
`distribution`; parameters are taken in alphabetical order, as W&B's agent gets them.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import Any

from scipy.special import betaincinv

from pspnet.errors import UserError

Spec = Mapping[str, Any]


def grid(parameters: Mapping[str, Spec]) -> list[dict[str, Any]]:
    """Every combination of the values, the last parameter in the alphabet changing fastest.

    Raises:
        ValueError: for a parameter without values, or one that is drawn from a distribution.
    """
    names = sorted(parameters)
    values = [_values(name, parameters[name]) for name in names]
    return [dict(zip(names, chosen, strict=True)) for chosen in itertools.product(*values)]


def draws(parameters: Mapping[str, Spec], *, count: int, seed: str) -> list[dict[str, Any]]:
    """Independent draws of every parameter; a larger `count` begins with the same ones.

    Args:
        parameters: of the sweep file.
        count: of draws; a combination that is drawn again is left out, as it is the same run.
        seed: of the generator.

    Raises:
        ValueError: for a parameter whose distribution is unknown or incomplete.
    """
    generator = random.Random(seed)
    chosen: list[dict[str, Any]] = []
    for _ in range(count):
        draw = {
            name: _draw(name, parameters[name], generator.random()) for name in sorted(parameters)
        }
        if draw not in chosen:
            chosen.append(draw)
    return chosen


def _values(name: str, spec: Spec) -> list[Any]:
    kind = _distribution(name, spec)
    if kind == "constant":
        return [spec["value"]]
    if kind == "categorical":
        return list(spec["values"])
    if kind == "int_uniform":
        return list(range(spec["min"], spec["max"] + 1))
    raise UserError(f"{name}: a grid cannot hold {kind}; give its values, or use method: random")


def _draw(name: str, spec: Spec, quantile: float) -> Any:
    """The value below which that share of the distribution lies, 0 to 1."""
    kind = _distribution(name, spec)
    if kind == "constant":
        return spec["value"]
    if kind == "categorical":
        return spec["values"][int(quantile * len(spec["values"]))]
    if kind == "categorical_w_probabilities":
        ends = list(itertools.accumulate(spec["probabilities"]))
        chosen = next(i for i, end in enumerate(ends) if quantile * ends[-1] < end)
        return spec["values"][chosen]
    if kind == "int_uniform":
        return spec["min"] + int(quantile * (spec["max"] + 1 - spec["min"]))
    if not kind.startswith("q_"):
        return QUANTILES[kind](quantile, spec)
    step = spec.get("q", 1)
    return round(QUANTILES[kind[2:]](quantile, spec) / step) * step


def _uniform(quantile: float, spec: Spec) -> float:
    return float(spec["min"] + quantile * (spec["max"] - spec["min"]))


def _log_uniform_values(quantile: float, spec: Spec) -> float:
    low, high = math.log(spec["min"]), math.log(spec["max"])
    return math.exp(low + quantile * (high - low))


def _normal(quantile: float, spec: Spec) -> float:
    return float(spec.get("mu", 0) + spec.get("sigma", 1) * NormalDist().inv_cdf(quantile))


QUANTILES: dict[str, Callable[[float, Spec], float]] = {
    "uniform": _uniform,
    "log_uniform": lambda quantile, spec: math.exp(_uniform(quantile, spec)),
    "log_uniform_values": _log_uniform_values,
    # the logarithm of 1/x is uniform: from min to max, or from log(1/max) to log(1/min)
    "inv_log_uniform": lambda quantile, spec: math.exp(-_uniform(1 - quantile, spec)),
    "inv_log_uniform_values": _log_uniform_values,
    "normal": _normal,
    "log_normal": lambda quantile, spec: math.exp(_normal(quantile, spec)),
    "beta": lambda quantile, spec: float(betaincinv(spec.get("a", 1), spec.get("b", 1), quantile)),
}
QUANTIZED = ("uniform", "log_uniform", "log_uniform_values", "normal", "log_normal", "beta")
RANGE, NORMAL, BETA = {"min", "max"}, {"mu", "sigma"}, {"a", "b"}
KEYS: dict[str, set[str]] = {
    "constant": {"value"},
    "categorical": {"values"},
    "categorical_w_probabilities": {"values", "probabilities"},
    "int_uniform": RANGE,
    **{kind: RANGE for kind in QUANTILES if "uniform" in kind},
    **{kind: NORMAL for kind in QUANTILES if "normal" in kind},
    "beta": BETA,
}
KEYS.update({f"q_{kind}": KEYS[kind] | {"q"} for kind in QUANTIZED})
OPTIONAL = NORMAL | BETA | {"q"}


def _distribution(name: str, spec: Spec) -> str:
    """The distribution that is named or, by W&B's rule, meant; all its keys are there and sound."""
    if not isinstance(spec, Mapping):
        raise UserError(f"parameters: {name} is {spec!r}; write {name}: {{value: {spec!r}}}")
    if "parameters" in spec:
        raise UserError(f"{name}: nested parameters are not run here; write {name}.KEY for each")
    kind = spec.get("distribution") or _meant(spec)
    if kind is None:
        raise UserError(f"{name}: give value, values, or min and max")
    if kind not in KEYS:
        raise UserError(f"{name}: distribution={kind} is not of {', '.join(KEYS)}")
    given = spec.keys() - {"distribution"}
    missing, unknown = KEYS[kind] - given - OPTIONAL, given - KEYS[kind]
    if missing or unknown:
        fault = f"needs {min(missing)}" if missing else f"has no {min(unknown)}"
        raise UserError(f"{name}: {kind} {fault}; its keys are {', '.join(sorted(KEYS[kind]))}")
    _check(name, spec, kind=kind)
    return kind


def _meant(spec: Spec) -> str | None:
    if "value" in spec:
        return "constant"
    if "values" in spec:
        return "categorical_w_probabilities" if "probabilities" in spec else "categorical"
    if "min" in spec and "max" in spec:
        return "int_uniform" if _whole(spec["min"]) and _whole(spec["max"]) else "uniform"
    return None


def _check(name: str, spec: Spec, *, kind: str) -> None:
    for key in ("values", "probabilities"):
        if key in spec and (not isinstance(spec[key], list) or not spec[key]):
            raise UserError(f"{name}: {key}={spec[key]!r}; give a list of at least one")
    chances = spec.get("probabilities", [])
    if chances and (len(chances) != len(spec["values"]) or min(chances) < 0 or sum(chances) <= 0):
        raise UserError(f"{name}: probabilities={chances}; give one of 0 or more for each value")
    for key in (RANGE | OPTIONAL) & spec.keys():
        number = spec[key]
        if isinstance(number, bool) or not isinstance(number, int | float):
            # YAML reads 1e-4 as a word
            raise UserError(f"{name}: {key}={number!r} is no number; YAML writes one as 1.0e-4")
    if kind == "int_uniform" and not (_whole(spec["min"]) and _whole(spec["max"])):
        raise UserError(f"{name}: int_uniform needs whole numbers as min and max")
    low, high = spec.get("min", 0), spec.get("max", 1)
    if low > high or (kind.endswith("_values") and low <= 0):
        raise UserError(f"{name}: min={low}, max={high}; give two in order, above 0 for logarithms")
    for key in sorted((OPTIONAL - {"mu"}) & spec.keys()):
        if spec[key] <= 0:
            raise UserError(f"{name}: {key}={spec[key]}; give more than 0")


def _whole(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)
