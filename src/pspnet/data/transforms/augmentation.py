"""Augmentation of training images: the published one with its options, and the base of others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pspnet.data.image_io import LARGEST_SIDE
from pspnet.errors import UserError

if TYPE_CHECKING:
    import albumentations as A


LARGEST_SCALE = 16


class AugmentationBase(ABC):
    """Base class of augmentations; a subclass is chosen by its class path as `data.augmentation`.

    The constructor's parameters are the options. `Augmentation` is the default; options that are
    given without a class path are its options.
    """

    # not a dataclass: jsonargparse takes no class path where all bases are dataclasses

    @abstractmethod
    def build(self, crop_size: tuple[int, int], mean: Sequence[float]) -> A.Compose:
        """Return the transform of a training image and its label.

        It takes `image`, (H, W, C) uint8 or uint16, and `mask`, (H, W) uint8, and returns both, of
        the same types, in the size of the crop. It must draw from the generators that
        albumentations gives it, so that the seed of a run decides the crops.

        Args:
            crop_size: height and width in pixels.
            mean: mean color per channel, 0 to 1, for padding.
        """


@dataclass(frozen=True)
class Augmentation(AugmentationBase):
    """Augmentation of section 5.1 of the paper, with the probabilities of the author's code.

    `fit`, `photometric` and `max_class_share` are mmsegmentation's, and off by default.

    Args:
        scale: least and greatest factor of the random resize, drawn uniformly; (1, 1) is off.
        fit: long and short side in pixels that an image, in portrait or landscape, is fitted into;
            the random factor multiplies them. None applies the factor to the image's own size.
        rotation: greatest angle in degrees, to either side, 0 to 180; 0 is off.
        rotation_probability: share of the images that are rotated.
        blur: share of the images that a Gaussian of 5×5 pixels smooths; 0 is off.
        mirror: share of the images that are flipped horizontally; 0 is off.
        photometric: share of the images whose brightness, contrast, saturation and hue vary, see
            `transforms.photometric.PhotometricDistortion`; 0 is off, 1 is mmsegmentation's.
        max_class_share: share of a crop's labeled pixels that one class must stay below; otherwise
            another crop is drawn, up to ten times, see `transforms.random_affine_crop`; 1 is off.
        extra: file of extra transforms for the crops, see `transforms.extra.load_transform`; None
            adds none.

    Raises:
        UserError: if a value is out of range.
    """

    scale: tuple[float, float] = (0.5, 2.0)
    fit: tuple[int, int] | None = None
    rotation: float = 10.0
    rotation_probability: float = 0.5
    blur: float = 0.5
    mirror: float = 0.5
    photometric: float = 0.0
    max_class_share: float = 1.0
    extra: str | Path | None = None

    def __post_init__(self) -> None:
        least, greatest = self.scale
        if not 0 < least <= greatest <= LARGEST_SCALE:
            raise UserError(
                f"scale={self.scale}: give two factors, 0 < least <= greatest <= {LARGEST_SCALE}"
            )
        if self.fit is not None and not 1 <= self.fit[1] <= self.fit[0] <= LARGEST_SIDE:
            raise UserError(
                f"fit={self.fit}: give long and short side in pixels, long first, to {LARGEST_SIDE}"
            )
        if not 0 <= self.rotation <= 180:
            raise UserError(f"rotation={self.rotation}: give degrees from 0 (off) to 180")
        for name in ("rotation_probability", "blur", "mirror", "photometric"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name}={getattr(self, name)}: give a probability from 0 to 1")
        if not 0 < self.max_class_share <= 1:
            raise UserError(
                f"max_class_share={self.max_class_share}: give a share above 0 and up to 1 (off)"
            )

    def build(self, crop_size: tuple[int, int], mean: Sequence[float]) -> A.Compose:
        """Return resize, rotation, blur, flip, crop, distortion and padding, as published.

        Pixels that rotation uncovers, and that an image lacks of the crop (equally on both sides),
        get the mean color, and 255 in the label.

        Raises:
            UserError: if there is no file `extra`, it holds no transform, or one that cannot follow
                the crop.
        """
        # albumentations takes seconds to import, and only training needs it
        import albumentations as A

        from pspnet.data.transforms.extra import check_transforms
        from pspnet.data.transforms.photometric import CentralPadding, PhotometricDistortion
        from pspnet.data.transforms.random_affine_crop import RandomAffineCrop

        fill = tuple(255 * value for value in mean)
        crop = RandomAffineCrop(
            crop_size,
            fill=fill,
            scale=self.scale,
            fit=self.fit,
            rotation=self.rotation,
            rotation_probability=self.rotation_probability,
            blur=self.blur,
            mirror=self.mirror,
            max_class_share=self.max_class_share,
        )
        extra = self.extra_transforms()
        check_transforms(extra, size=crop_size, channels=len(mean))
        distortion = PhotometricDistortion(p=self.photometric)
        # padding comes last, so that nothing changes its color
        return A.Compose([crop, *extra, distortion, CentralPadding(crop_size, fill=fill)])

    def extra_transforms(self) -> list[A.BasicTransform | A.BaseCompose]:
        """Return transforms of the crop, before its colors are distorted and before padding.

        A subclass that overrides this adds transforms of its own.
        """
        from pspnet.data.transforms.extra import load_transform

        return [] if self.extra is None else [load_transform(Path(self.extra))]
