"""The report as one page."""

from __future__ import annotations

from pspnet.tools.check.report import Report


def page(report: Report) -> str:
    return ""
