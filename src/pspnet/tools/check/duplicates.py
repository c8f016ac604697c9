"""Images that occur twice: the same pixels, or a copy at another size, quality or brightness."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import cv2
import numpy as np

from pspnet.data.channels import Channels
from pspnet.data.datasets.base import Source
from pspnet.data.facts.findings import Finding, Seen
from pspnet.data.facts.sample import THUMB
from pspnet.data.image_io import read_picture

# Measured on CamVid: copies as JPEG of quality 30, at half the size, with noise of 10 grays or 9
# grays brighter keep 0.96 of the details. Frames of its videos, 2 frames apart, share 0.93 at most,
# and the built-in scenes 0.82.
NEAR = 0.01  # 1 - correlation of the small gray copies; a first choice
DETAIL = 0.95  # correlation of details
FLAT = 4.0  # grays; copies with less contrast all look alike
SIDE, MOST = 192, 500  # pixels at which details are compared, and pairs that are
BLOCK = 1024


def duplicate_findings(source: Source, seen: Sequence[Seen]) -> list[Finding]:
    """Return a finding per image that occurs twice, in two splits or in one."""
    read = [it for it in seen if it.facts.size is not None]
    findings, same = [], set()
    for its in _same_pixels(read):
        same |= {id(it) for it in its}
        findings.append(_exact(its))
    pairs = (pair for pair in _near(read) if not {id(it) for it in pair} <= same)
    for one, other in islice(pairs, MOST):
        if _same_details(one, other, source.channels):
            text = (
                f"{other.sample.image} ({other.split}) is nearly the same image as"
                f" {one.sample.image} ({one.split}); keep such images in one split"
            )
            findings.append(Finding("warning", "near-duplicate", text, [one, other]))
    return findings


def _same_pixels(read: Sequence[Seen]) -> list[list[Seen]]:
    groups: dict[str, list[Seen]] = {}
    for it in read:
        groups.setdefault(it.facts.digest, []).append(it)
    return [its for its in groups.values() if len(its) > 1]


def _exact(its: Sequence[Seen]) -> Finding:
    splits = list(dict.fromkeys(it.split for it in its))
    listed = ", ".join(f"{it.sample.image} ({it.split})" for it in its[1:4])
    more = f" and {len(its) - 4} more" if len(its) > 4 else ""
    text = f"{its[0].sample.image} ({its[0].split}) has the same pixels as {listed}{more}"
    labels = {it.facts.label_digest for it in its if it.facts.labeled}
    if len(labels) > 1:
        text = f"{text}, and their labels differ; keep the right one"
        return Finding("warning", "duplicate", text, its)
    if len(splits) > 1:
        text = f"{text}; keep it in one split, as scores on seen images mean nothing"
        return Finding("warning", "duplicate", text, its)
    return Finding("note", "duplicate", text, its)


def _near(read: Sequence[Seen]) -> Iterator[tuple[Seen, Seen]]:
    """Yield images of different splits whose small copies agree, up to gain and offset."""
    order = {"train": 0, "val": 1, "test": 2}
    its = sorted(read, key=lambda it: order.get(it.split, 3))
    thumbs = np.array([it.facts.thumb for it in its], np.float32).reshape(len(its), THUMB**2)
    centered = thumbs - thumbs.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centered, axis=1, keepdims=True)
    flat = norm[:, 0] < FLAT * THUMB
    normal = centered / np.maximum(norm, 1e-6)
    splits = np.array([it.split for it in its])
    for first in range(0, len(its), BLOCK):
        block = slice(first, first + BLOCK)
        alike = normal[block] @ normal.T > 1 - NEAR
        alike &= ~flat[block, None] & ~flat & (splits[block, None] != splits)
        for row, column in zip(*np.nonzero(np.triu(alike, first + 1)), strict=True):
            yield its[first + row], its[column]


def _same_details(one: Seen, other: Seen, channels: Channels) -> bool:
    details = []
    for it in (one, other):
        gray = cv2.cvtColor(read_picture(it.sample.image, channels), cv2.COLOR_RGB2GRAY)
        small = cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        fine = small - cv2.GaussianBlur(small, (0, 0), 3)
        details.append(fine.ravel() / max(float(np.linalg.norm(fine)), 1e-6))
    return float(details[0] @ details[1]) > DETAIL
