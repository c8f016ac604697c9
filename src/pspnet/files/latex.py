"""Tables for papers: LaTeX with the rules of the package booktabs."""

from __future__ import annotations

from collections.abc import Sequence

SPECIAL = {
    **{one: rf"\{one}" for one in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "≈": r"$\approx$",
    "Δ": r"$\Delta$",
    "±": r"$\pm$",
}


def escaped(text: str) -> str:
    """Return a text that LaTeX sets as it is."""
    return "".join(SPECIAL.get(one, one) for one in " ".join(text.split()))


def booktabs(
    columns: str, head: Sequence[str], *parts: Sequence[Sequence[str]], comment: str = ""
) -> str:
    r"""Return a tabular with a head and a rule before each part.

    Args:
        columns: the alignment of each column, such as lrr.
        head: cells of LaTeX, one per column.
        parts: rows of such cells.
        comment: a line above the table.
    """
    lines = [f"% {line}" for line in (" ".join(comment.split()), r"needs \usepackage{booktabs}")]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _row(head)]
    for part in parts:
        lines += [r"\midrule", *map(_row, part)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return rf"{' & '.join(cells)} \\"
