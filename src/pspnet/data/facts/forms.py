"""Suspicions about the form of files: EXIF orientation, gray and single-color images."""

from __future__ import annotations

from collections.abc import Sequence

from pspnet.data.datasets.base import Source
from pspnet.data.facts.findings import Finding, Seen

SIDEWAYS = 5  # orientations from here on swap rows and columns


def form_findings(source: Source, seen: Sequence[Seen]) -> list[Finding]:
    """Return suspicions about the forms of images and labels."""
    if not source.channels.is_rgb:  # gray is a form of its own, and a small range of 16 bits full
        return turned(seen)
    return [*turned(seen), *_single_color(seen), *_mixed(seen)]


def turned(seen: Sequence[Seen]) -> list[Finding]:
    """EXIF orientations that image and label do not share.

    A label drawn on the upright image is right without one. That shows in the sizes, unless the
    image is square, or turned by half a turn or mirrored.
    """
    doubtful = []
    for it in seen:
        image, label, facts = it.facts.image, it.facts.label, it.facts
        if (
            it.facts.errors
            or it.sample.label is None
            or facts.size is None
            or image.orientation == label.orientation
        ):
            continue
        square = facts.size[0] == facts.size[1]
        if square or max(image.orientation, label.orientation) < SIDEWAYS:
            doubtful.append(it)
    if not doubtful:
        return []
    first = doubtful[0]
    text = (
        f"{first.sample.image} is turned by its EXIF orientation"
        f" {first.facts.image.orientation}, its label by {first.facts.label.orientation}"
        f" ({len(doubtful)} such images); if the labels were drawn without the turn, save both"
        " upright"
    )
    return [Finding("warning", "EXIF", text, doubtful)]


def _single_color(seen: Sequence[Seen]) -> list[Finding]:
    plain = [
        it
        for it in seen
        if it.facts.size is not None
        and all(
            square - mean**2 < 0.25
            for mean, square in zip(it.facts.mean, it.facts.square, strict=True)
        )
    ]
    if not plain:
        return []
    text = f"{len(plain)} images are of a single color, first {plain[0].sample.image}"
    return [Finding("warning", "single color", text, plain)]


def _mixed(seen: Sequence[Seen]) -> list[Finding]:
    findings = []
    read = [it for it in seen if it.facts.size is not None]
    for what, modes in (
        ("gray", ("1", "L", "LA")),
        ("with an alpha channel", ("RGBA", "PA", "La")),
    ):
        its = [it for it in read if it.facts.image.mode in modes]
        if its and (len(its) < len(read) or what != "gray"):
            text = f"{len(its)} of {len(read)} images are {what}, first {its[0].sample.image}"
            findings.append(Finding("note", "form", text, its))
    return findings
