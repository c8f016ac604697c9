"""Augmentation of training images, and the normalization of all images."""

import os

# albumentations asks the network for a newer release when it is imported
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
