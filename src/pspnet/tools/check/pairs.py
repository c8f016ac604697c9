"""Images with the labels of others, and labels that are shifted: edges do not lie on edges.

Thresholds are measured on CamVid and the built-in scenes, where nothing is to be found. There the
label's own place scores 3.4 and 4.4 in the median, and other offsets exceed it by 0.2 at most in
95 of 100 labels. Scores are those of `pspnet.data.facts.edges`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import cv2
import numpy as np

from pspnet.data.datasets.base import Source
from pspnet.data.facts.edges import REACH, SIDE, compare_edges
from pspnet.data.facts.findings import Finding, Seen
from pspnet.data.image_io import read_picture

MOVED = 0.015  # share of the image's side; less is the work of a hand
PEAK = 2.9  # the score of a place that edges lie on
GAIN = 1.5  # by which another place, or another label, has to score higher
POOR = 1.3  # 1 of 100 labels of CamVid scores less at its own place
DEVIATIONS = 2  # below the median score of a set, from which on a label is poor, too
SWAP_GAIN = 0.8  # for both of a pair; labels at their own images gain -0.1 at most by a swap
CANDIDATES = 24  # poor pairs that are compared with each other


def pair_findings(source: Source, seen: Sequence[Seen]) -> list[Finding]:
    """Return suspicions of shifted and of swapped labels."""
    its = [it for it in seen if it.facts.edges.share > 0]
    moved = _all_moved(its)
    if moved:
        return moved
    return [*_moved(its), *_swapped(source, its)]


def _all_moved(its: Sequence[Seen]) -> list[Finding]:
    """The same shift in most labels, as of a resize or crop of images alone."""
    offsets = np.array([it.facts.edges.offset for it in its])
    gains = [it.facts.edges.best - it.facts.edges.here for it in its]
    if len(its) < 5 or np.median(gains) < GAIN / 2:
        return []
    middle = np.median(offsets, axis=0)
    axes = np.abs(middle) > MOVED
    alike = (np.abs(offsets - middle) < MOVED)[:, axes].all(axis=1)
    if alike.mean() < 0.6 or not axes.any():
        return []
    first = its[int(alike.argmax())]
    text = (
        f"labels lie beside their images: in {alike.mean():.0%} of {len(its)} pairs edges fit"
        f" better {_offset(middle)}, first {first.sample.label}; crop and resize both alike"
    )
    return [
        Finding("warning", "shifted", text, [it for it, one in zip(its, alike, strict=True) if one])
    ]


def _moved(its: Sequence[Seen]) -> list[Finding]:
    findings = []
    for it in its:
        edges = it.facts.edges
        far = max(abs(share) for share in edges.offset)
        inside = far * SIDE < REACH - 2  # at the end of the reach there need not be a peak
        if far > MOVED and inside and edges.best > PEAK and edges.best - edges.here > GAIN:
            text = (
                f"{it.sample.label} seems to be shifted: its edges fit those of"
                f" {it.sample.image} better {_offset(edges.offset)} (score {edges.best:.1f}, here"
                f" {edges.here:.1f})"
            )
            findings.append(Finding("warning", "shifted", text, [it]))
    return findings


def _offset(offset: Sequence[float] | np.ndarray) -> str:
    down, right = offset
    vertical = f"{abs(down):.1%} of the height {'lower' if down > 0 else 'higher'}"
    horizontal = f"{abs(right):.1%} of the width further {'right' if right > 0 else 'left'}"
    parts = ((down, vertical), (right, horizontal))
    return " and ".join(text for share, text in parts if abs(share) > MOVED / 2)


def _swapped(source: Source, its: Sequence[Seen]) -> list[Finding]:
    """Poor pairs that each fit well with the other's label."""
    limit = _poor([_here(it) for it in its])
    poor = sorted((it for it in its if _here(it) < limit), key=_here)[:CANDIDATES]
    files = {
        id(it): (
            cv2.cvtColor(read_picture(it.sample.image, source.channels), cv2.COLOR_RGB2GRAY),
            source.read_label(it.sample),
        )
        for it in poor
        if len(poor) > 1
    }
    findings = []
    for one, other in combinations(poor, 2):
        if one.facts.size != other.facts.size:
            continue
        (gray, label), (its_gray, its_label) = files[id(one)], files[id(other)]
        crossed = (compare_edges(gray, its_label).here, compare_edges(its_gray, label).here)
        gains = (crossed[0] - _here(one), crossed[1] - _here(other))
        if min(gains) > SWAP_GAIN and min(crossed) > POOR:
            text = (
                f"{one.sample.label} and {other.sample.label} seem to be swapped: each fits the"
                f" other's image better (scores {crossed[0]:.1f} and {crossed[1]:.1f}, here"
                f" {_here(one):.1f} and {_here(other):.1f})"
            )
            findings.append(Finding("warning", "swapped", text, [one, other]))
    return findings


def _poor(scores: Sequence[float]) -> float:
    """Return the score below which a label fits its image worse than those of the set do."""
    if not scores:
        return POOR
    middle = float(np.median(scores))
    deviation = 1.4826 * float(np.median(np.abs(np.array(scores) - middle)))  # of a normal law
    return max(POOR, middle - DEVIATIONS * deviation)


def _here(it: Seen) -> float:
    return it.facts.edges.here
