"""The values that an option may accept: an opinion of its own, beside the checks of the package."""

from __future__ import annotations

import math
import re
import unicodedata
from fnmatch import fnmatch
from typing import Any, get_args

import yaml
from fuzz.parsers import Option

# least and greatest sensible number by option, the first pattern that fits; None is no limit
NUMBERS: dict[str, tuple[float, float | None]] = {
    "seed_everything": (0, 2**32 - 1),
    "*.seed": (0, 2**63 - 1),
    "trainer.max_epochs": (-1, None),
    "trainer.max_steps": (-1, None),
    "trainer.devices": (-1, 256),
    "trainer.num_sanity_val_steps": (-1, None),
    "data.*batch_size": (1, 65_536),
    "data.workers": (0, 512),
    "*.crop_size": (1, 32_766),
    "*.base_size": (0, 32_766),
    "*.fit": (1, 32_766),
    "*.size": (65, 4096),
    "data.source.train": (1, 100_000),
    "data.source.val": (1, 100_000),
    "data.source.test": (1, 100_000),
    "*.val_fraction": (1e-300, 1),
    "*.scales": (1e-300, 16),
    "*.scale": (1e-300, 16),
    "*.rotation": (0, 180),
    "*.stride": (1e-300, 1),
    "*_channels": (1, 16_384),
    "*.bins": (1, 256),
    "*.dilation.*": (1, 128),
    "*.frozen_stages": (0, 5),
    "*.dropout": (0, 0.9999999),
    "*.momentum": (0, 0.9999999),
    "*.betas": (0, 0.9999999),
    "*.lr": (1e-30, 1e30),
    "*.power": (1e-300, 100),
    "*.floor": (0, 0.9999999),
    "*.threshold": (1e-300, 1),
    "*.max_class_share": (1e-300, 1),
    "*.alpha": (0, 1),
    "data.mean": (0, 1),
    "data.std": (1e-300, 1),
    **dict.fromkeys(("*_probability", "*.blur", "*.mirror", "*.photometric"), (0, 1)),
    "*.dampening": (-1e6, 1e6),
    "*": (0, None),
}
ENDLESS = 1e300
PATHS = (
    *("--json", "--out", "--output", "--list", "--root", "predictions", "target", "path", "out"),
    *("image", "root", "run"),
    *("*.root", "*.sbd_root", "*.cache", "*.images", "*.folder", "logs", "*_dir", "*.extra"),
)
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
JOINERS = "\u200c\u200d"  # within words of Persian and of Indian languages
NAMES = ("name", "version", "--data")


def senseless(option: Option, word: str) -> str | None:
    """Return why a value that was accepted makes no sense, or None."""
    if any(fnmatch(option.name, pattern) for pattern in (*PATHS, *NAMES)):
        if word in ("null", "~", "None", "#", " ") and "None" in str(option.kind):
            return None
        return _bad_text(word, name=option.name in NAMES)
    kinds = {option.kind, *get_args(option.kind)}
    numeric = kinds & {int, float} or re.search(r"\b(int|float)\b|Seed", str(option.kind))
    if str in kinds or not numeric:  # whoever reads a text refuses what it does not know
        return None
    least, greatest = next(b for name, b in NUMBERS.items() if fnmatch(option.name, name))
    wrong = [n for n in _numbers(_loaded(word)) if not _within(n, least, greatest)]
    return f"{wrong[0]} is not in {least} to {greatest}" if wrong else None


def _bad_text(word: str, *, name: bool) -> str | None:
    if not word.strip() or any(
        unicodedata.category(c) in HIDDEN and c not in JOINERS for c in word
    ):
        return "empty, or characters that are not for display"
    if name and ("/" in word or word in (".", "..") or len(word.encode()) > 200):
        return "not the name of one folder"
    # a: is a drive
    return "an address, not a path" if re.match(r"\w{2,}:|~", word) else None


def _within(number: float, least: float, greatest: float | None) -> bool:
    return math.isfinite(number) and least <= number <= (ENDLESS if greatest is None else greatest)


def _loaded(word: str) -> Any:
    try:
        value = yaml.safe_load(word)
    except (yaml.YAMLError, ValueError):
        return None
    if isinstance(value, str):  # 1e3 is a number for jsonargparse, and a text for YAML 1.1
        try:
            return float(value)
        except ValueError:
            return None
    return value


def _numbers(value: Any) -> list[float]:
    if isinstance(value, list):
        return [number for item in value for number in _numbers(item)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []
