"""Text that is readable on a color, by the contrast of the Web Content Accessibility Guidelines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from matplotlib.typing import ColorType


def readable_on(background: ColorType) -> Literal["black", "white"]:
    """Return the text color of the higher contrast, which is 4.58 to 1 at least."""
    return "white" if contrast("white", background) > contrast("black", background) else "black"


def contrast(one: ColorType, other: ColorType) -> float:
    """Return the contrast ratio of two opaque colors, 1 to 21; text wants 4.5."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: ColorType) -> float:
    """Return the relative luminance of a color, 0 (black) to 1 (white)."""
    from matplotlib.colors import to_rgb

    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in to_rgb(color)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
