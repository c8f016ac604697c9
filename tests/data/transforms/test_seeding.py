"""The seeding of transforms."""

from __future__ import annotations

import albumentations as A
import numpy as np

from pspnet.data.transforms.seeding import seed_transform


def test_seeds_reach_nested_transforms() -> None:
    inner = [A.RandomGamma(p=1), A.GaussNoise(p=1), A.ColorJitter(p=1)]
    transform = A.Compose([A.OneOf(inner, p=0.9), A.Sequential([A.CoarseDropout(p=0.7)])])
    image = np.random.default_rng(0).integers(0, 256, (30, 30, 3), dtype=np.uint8)
    runs = []
    for _ in range(2):
        outs = []
        for seed in range(20):
            seed_transform(transform, seed=seed)
            outs.append(transform(image=image)["image"])
        runs.append(np.stack(outs))
    np.testing.assert_array_equal(runs[0], runs[1])
    assert len({out.tobytes() for out in runs[0]}) > 15
