"""Names that users and files give: checked before they are shown, or name a folder."""

from __future__ import annotations

from pspnet.errors import UserError, visible

LONGEST_NAME = 200  # bytes; file systems take 255, and runs append suffixes


def check_text(value: str, *, what: str) -> str:
    """Return a text of one line that any terminal and file can show.

    Raises:
        UserError: if it is empty or holds characters that are not for display.
    """
    if not value.strip() or visible(value) != value:
        raise UserError(f"{what}: {value!r} is given; give a text of visible characters")
    return value


def path_part(value: str, *, option: str) -> str:
    """Return a name that can be the name of one folder.

    Raises:
        UserError: if it is empty, names another folder than one below, or is too long.
    """
    simple = not set(value) & set("/\\:") and value not in (".", "..") and value == value.strip()
    if not simple or len(value.encode("utf-8", "replace")) > LONGEST_NAME:
        raise UserError(
            f"{option}={value[:40]!r}: give the name of one folder, without / and at most "
            f"{LONGEST_NAME} bytes long"
        )
    return check_text(value, what=option)
