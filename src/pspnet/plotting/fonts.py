"""Fonts for the names in figures: of other scripts, those that are installed."""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

from pspnet.errors import note

BOXES = "LastResort"  # matplotlib's font that has a box for every character


def families(text: str) -> tuple[str, ...]:
    """Return the font families beside the default that draw the characters of a text."""
    return tuple(dict.fromkeys(family for one in _foreign(text) if (family := _family(one))))


def is_drawable(text: str) -> bool:
    """Return whether each character of a text has an installed font; the first time not, say so."""
    found = all(map(_family, _foreign(text)))
    if not found:
        _say()
    return found


def width_in_letters(text: str) -> float:
    """Return the width of a text in Latin letters."""
    return sum(1.6 if unicodedata.east_asian_width(one) in "WF" else 1.0 for one in text)


@cache
def _say() -> None:
    note(
        "the figures show class indices, or ?, in place of names that no installed font has the"
        " characters of; install a font of that script, such as Noto Sans"
    )


def _foreign(text: str) -> set[str]:
    """Return the characters that the default font lacks, without those that are not drawn."""
    known = _default()
    return {
        one for one in text if ord(one) not in known and unicodedata.category(one)[0] not in "CZ"
    }


@cache
def _default() -> frozenset[int]:
    from matplotlib.font_manager import FontProperties, findfont
    from matplotlib.ft2font import FT2Font

    return frozenset(FT2Font(findfont(FontProperties())).get_charmap())


@cache
def _family(character: str) -> str | None:
    """Return the family to draw a character in: one in use if it has it, then a plain one."""
    from matplotlib.font_manager import fontManager
    from matplotlib.ft2font import FT2Font

    for path in (*_used, *_installed()):
        try:
            font = FT2Font(path)
        except RuntimeError:  # fonts of color pictures, and files that are cut off
            continue
        if font.get_char_index(ord(character)):
            if path not in _used:
                _used.append(path)
            if not any(entry.fname == path for entry in fontManager.ttflist):
                fontManager.addfont(path)  # installed after matplotlib listed the fonts
            return str(font.family_name)
    return None


_used: list[str] = []


@cache
def _installed() -> list[str]:
    """Return the files of all fonts, those of plain letters first."""
    from matplotlib.font_manager import findSystemFonts, fontManager

    files = {*(entry.fname for entry in fontManager.ttflist), *findSystemFonts()}
    names = {file: Path(file).stem for file in files if not Path(file).stem.startswith(BOXES)}
    return sorted(names, key=lambda file: _rank(names[file]))


def _rank(name: str) -> tuple[bool, bool, str]:
    return "Regular" not in name, "Sans" not in name, name
