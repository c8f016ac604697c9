"""Weights of classes in a loss, by formulas on the pixels of the training labels."""

from __future__ import annotations

import numpy as np

BETA = 0.999  # of the effective number, per image


def class_weights(counts: np.ndarray) -> dict[str, np.ndarray]:
    """Return weights of the loss by name, (C,) each, of mean 1 over classes that occur.

    With f_c the share of class c in the labeled pixels: `inverse_frequency` is 1 / f_c;
    `log_frequency` is 1 / ln(1.02 + f_c) (Paszke et al., ENet, arXiv 1606.02147), at most 50;
    `median_frequency` is median(F) / F_c, where F_c is the share of c within the images that have
    c (Eigen and Fergus, ICCV 2015, section 4.3); `effective_number` is (1 - b) / (1 - b^n_c), where
    n_c is the number of images with c and b = 0.999 (Cui et al., CVPR 2019, equation 2). A class
    that does not occur has weight 0.

    Args:
        counts: pixels of each class in each image, (N, C).
    """
    pixels, images = counts.sum(0), (counts > 0).sum(0)
    there = pixels > 0
    labeled = counts.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        within = pixels / ((counts > 0) * labeled).sum(0)
        forms = {
            "inverse_frequency": pixels.sum() / pixels,
            "log_frequency": 1 / np.log(1.02 + pixels / max(pixels.sum(), 1)),
            "median_frequency": np.median(within[there]) / within if there.any() else within,
            "effective_number": (1 - BETA) / (1 - BETA**images),
        }
    return {
        name: np.where(there, weights / weights[there].mean(), 0.0) if there.any() else 0 * pixels
        for name, weights in forms.items()
    }
