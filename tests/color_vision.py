"""How different two colors look, to readers of normal vision and to color-blind ones."""

from __future__ import annotations

import numpy as np

# Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", IEEE TVCG 15 (6), 2009, table 1, severity 1.0; for linear RGB
DEFICIENCIES = {
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
}
VISIONS = ("normal", *DEFICIENCIES)


def seen(colors: np.ndarray, vision: str) -> np.ndarray:
    """Return the colors as a reader of this vision sees them; RGB (..., 3), 0 to 255."""
    if vision == "normal":
        return np.asarray(colors, float)
    mixed = _linear(colors) @ np.array(DEFICIENCIES[vision]).T
    light = mixed.clip(0, 1)
    curve = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return 255 * curve


def lab(colors: np.ndarray) -> np.ndarray:
    """Return CIELAB (D65) of sRGB colors, both (..., 3)."""
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750]]
    to_xyz.append([0.0193339, 0.1191920, 0.9503041])
    ratio = _linear(colors) @ np.array(to_xyz).T / [0.95047, 1.0, 1.08883]
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio * (29 / 6) ** 2 / 3 + 4 / 29)
    x, y, z = np.moveaxis(f, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def _linear(colors: np.ndarray) -> np.ndarray:
    share = np.asarray(colors, float) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def ciede2000(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return the CIEDE2000 difference of colors in CIELAB, (..., 3) that broadcast.

    Sharma, Wu and Dalal, "The CIEDE2000 Color-Difference Formula", Color Research and Application
    30 (1), 2005, equations 2 to 22.
    """
    (light1, a1, b1), (light2, a2, b2) = (np.moveaxis(np.asarray(it), -1, 0) for it in (one, two))
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    grow = 1.5 - 0.5 * np.sqrt(chroma**7 / (chroma**7 + 25.0**7))
    c1, c2 = np.hypot(grow * a1, b1), np.hypot(grow * a2, b2)
    h1, h2 = (np.degrees(np.arctan2(b, grow * a)) % 360 for a, b in ((a1, b1), (a2, b2)))
    gray = c1 * c2 == 0
    turn = np.where(gray, 0, (h2 - h1 + 180) % 360 - 180)
    apart = np.abs(h1 - h2) > 180
    mean_h = np.where(gray, h1 + h2, (h1 + h2) / 2 + np.where(apart, 180, 0)) % 360
    mean_l, mean_c = (light1 + light2) / 2, (c1 + c2) / 2
    t = sum(
        weight * np.cos(np.radians(times * mean_h + phase))
        for weight, times, phase in ((-0.17, 1, -30), (0.24, 2, 0), (0.32, 3, 6), (-0.2, 4, -63))
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * (1 + t)
    bend = 2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7))
    r_t = -bend * np.sin(np.radians(60 * np.exp(-(((mean_h - 275) / 25) ** 2))))
    d_l, d_c = (light2 - light1) / s_l, (c2 - c1) / s_c
    d_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / s_h
    return np.sqrt(d_l**2 + d_c**2 + d_h**2 + r_t * d_c * d_h)


def difference(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Return the difference of RGB colors to whom they look most alike, (..., 3) that broadcast."""
    return np.min(
        [ciede2000(lab(seen(one, vision)), lab(seen(two, vision))) for vision in VISIONS], 0
    )


def closest(colors: np.ndarray) -> float:
    """Return the least difference of any two of the colors, (n, 3)."""
    colors = np.asarray(colors)
    first, second = np.triu_indices(len(colors), 1)
    return float(difference(colors[first], colors[second]).min())
