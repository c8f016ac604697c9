"""Search the colors of classes that have none of their own, each as far as possible from the rest.

PYTHONPATH=tests python scripts/palette.py > src/pspnet/data/datasets/tables/plain.txt
"""

import numpy as np
from color_vision import VISIONS, ciede2000, lab, seen

FIRST = (0, 114, 178)  # blue of Okabe and Ito's palette
TAKEN = ((255, 255, 255), (190, 0, 110))  # ignored pixels and wrong ones in figures
COUNT, VIVID, CHROMA = 255, 16, 35  # colors; so many of them have at least this chroma
LIGHTNESS = (25, 90)


def main() -> None:
    """Print a color per line, R G B; the first n of them are the palette of n classes."""
    steps = np.arange(0, 256, 15)
    colors = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(-1, 3)
    light, a, b = lab(colors).T
    kept = (light >= LIGHTNESS[0]) & (light <= LIGHTNESS[1])
    colors, chroma = colors[kept], np.hypot(a, b)[kept]
    looks = {vision: lab(seen(colors, vision)) for vision in VISIONS}

    def away(color: np.ndarray) -> np.ndarray:
        parts = [ciede2000(looks[vision], lab(seen(color, vision))) for vision in VISIONS]
        nearest: np.ndarray = np.min(parts, 0)
        return nearest

    nearest = np.min([away(np.array(color)) for color in (*TAKEN, FIRST)], 0)
    print(*FIRST)
    for number in range(1, COUNT):
        best = np.where((chroma >= CHROMA) | (number >= VIVID), nearest, 0).argmax()
        print(*colors[best])
        nearest = np.minimum(nearest, away(colors[best]))


if __name__ == "__main__":
    main()
