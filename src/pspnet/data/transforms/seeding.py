"""Seeds of random transforms."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import albumentations as A


def seed_transform(transform: A.BasicTransform | A.BaseCompose, *, seed: int) -> None:
    """Make the next call of a transform, with all transforms in it, depend on the seed alone.

    `Compose.set_random_seed` is not enough: it gives each transform generators of its own with the
    same seed, so that their first draws agree, and the images that are rotated would be exactly
    those that are blurred and flipped. Here all transforms share the generators.
    """
    transform.set_random_state(np.random.default_rng(seed), random.Random(seed))
