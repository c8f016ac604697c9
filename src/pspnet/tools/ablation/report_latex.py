"""The main table of a sweep's report as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence

from pspnet.files.latex import booktabs, escaped
from pspnet.tools.ablation.statistics.paired import Difference, Summary
from pspnet.tools.ablation.tables import Row, marks

NONE = "--"


def latex_table(table: Sequence[Row], *, title: str) -> str:
    r"""Return mIoU, its difference to the first row with interval, mark and seeds, for booktabs.

    Args:
        table: the rows of the main table.
        title: sweep and data, in a comment.
    """
    level = next((row.difference.level for row in table if row.difference is not None), 0.05)
    first = escaped(table[0].setting.name)
    head = [
        *(
            "Setting",
            r"mIoU, \%",
            rf"$\Delta$ to {first}",
            rf"{100 * (1 - level):.3g}\,\% interval",
        ),
        *("Mark", "Seeds"),
    ]
    rows = [
        [
            escaped(row.setting.name),
            _plus_minus(row.miou),
            NONE if row.difference is None else _signed(row.difference.mean),
            _interval(row.difference),
            escaped(mark),
            str(row.miou.count if row.miou else 0),
        ]
        for row, mark in zip(table, marks(table), strict=True)
    ]
    said = f"{title}: mean and sample standard deviation over seeds, paired differences"
    return booktabs("lrrrlr", head, rows, comment=said)


def _plus_minus(of: Summary | None) -> str:
    if of is None:
        return NONE
    return f"{of.mean:.2f}" if of.deviation is None else rf"${of.mean:.2f} \pm {of.deviation:.2f}$"


def _signed(value: float) -> str:
    return f"${value:+.2f}$"


def _interval(of: Difference | None) -> str:
    if of is None or of.low is None or of.high is None:
        return NONE
    return f"$[{of.low:+.2f}, {of.high:+.2f}]$"
