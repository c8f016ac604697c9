"""Networks from published checkpoints, recognized by their keys and shapes.

published = load_published("pspnet_r50-d8_512x512_20k_voc12aug.pth")
published.network, published.mean, published.std
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from pspnet.errors import UserError
from pspnet.models.dilation import Dilation
from pspnet.models.pspnet import PSPNet, from_options
from pspnet.models.published import caffe
from pspnet.models.published import mmseg as mmsegmentation
from pspnet.models.published.key_maps import LayoutName, Weights, fit, read_weights
from pspnet.models.published.recognition import check_bins, has_bottlenecks, read_options

Color = tuple[float, float, float]
IMAGENET: tuple[Color, Color] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@dataclass(frozen=True)
class Published:
    """A network with published weights, and what it was trained to see and say.

    Args:
        network: in evaluation mode, float32.
        layout: of the file.
        mean: of R, G and B, 0 to 1; subtracted from images of 0 to 1.
        std: of R, G and B; divided by. The Caffe release's network takes 0 to 255 minus the mean,
            for which this is 1/255.
        class_names: in the order of the logits, if the file has them.
        crop_size: height and width of the training crops in pixels; the published networks' where
            the file does not say.
    """

    network: PSPNet
    layout: LayoutName
    mean: Color
    std: Color
    class_names: tuple[str, ...] | None
    crop_size: tuple[int, int]


@dataclass(frozen=True)
class _Description:
    """What builds the network of a file, and what goes with it."""

    options: dict[str, Any]
    crop_size: tuple[int, int]
    mean: Color = IMAGENET[0]
    std: Color = IMAGENET[1]
    class_names: tuple[str, ...] | None = None


def load_published(
    path: str | Path,
    num_classes: int | None = None,
    *,
    bins: tuple[int, ...] | None = None,
    align_corners: bool | None = None,
) -> Published:
    """Builds the PSPNet that a published checkpoint is of and loads every tensor of it.

    Known are the checkpoints of hszhao/semseg, of open-mmlab/mmsegmentation (ResNet and ResNetV1c,
    with the settings of their configuration where they carry it), the `.caffemodel`s of
    hszhao/PSPNet (see `pspnet.models.published.caffe.read`), and this package's own.

    Args:
        path: the file; reading it runs no code.
        num_classes: what the file must have; None takes what it has.
        bins: of the pyramid, for files that do not say; None is (1, 2, 3, 6) for four levels.
        align_corners: how logits and levels are upsampled; None is as published.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the first key or shape that does not fit; nothing is loaded in part.
    """
    weights = read_weights(path)
    description = _described(weights, bins)
    options = description.options
    if align_corners is not None:
        options = {**options, "align_corners": align_corners}
    try:
        with torch.device("meta"):  # shapes alone: the values come from the file
            network = from_options(options)
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from error
    except (KeyError, AttributeError) as error:
        raise UserError(
            f"{path}: does not say what its network is ({error!r}); give a .ckpt of a run"
        ) from error
    if num_classes not in (None, network.num_classes):
        raise UserError(
            f"{path}: has {network.num_classes} classes, not num_classes={num_classes}; leave "
            "num_classes out, or give another checkpoint"
        )
    assert weights.layout is not None
    state = fit(network.state_dict(), weights)
    network.load_state_dict(state, strict=True, assign=True)
    return Published(
        network.eval(),
        layout=weights.layout.name,
        mean=description.mean,
        std=description.std,
        class_names=description.class_names,
        crop_size=description.crop_size,
    )


def _described(weights: Weights, bins: tuple[int, ...] | None) -> _Description:
    if weights.layout is None:
        raise UserError(
            f"{weights.path}: of no published PSPNet, its first tensor is "
            f"{next(iter(weights.state))!r}; known are semseg's, mmsegmentation's, .caffemodel and "
            "checkpoints of this package"
        )
    if weights.layout.name == "pspnet":
        return _pspnet(weights, bins)
    if weights.layout.name == "mmsegmentation":
        return _mmsegmentation(weights, bins)
    options = read_options(weights)
    if weights.layout.name == "caffe":
        return _caffe(weights, options, bins)
    options |= {
        "dilation": asdict(Dilation()),
        "bins": check_bins(weights, bins),
        "align_corners": True,
    }
    return _Description(options, crop_size=_crop_size(options, layout="semseg"))


def _crop_size(options: dict[str, Any], *, layout: LayoutName) -> tuple[int, int]:
    """Height and width of the crops that the published networks were trained on.

    As the configurations of semseg and mmsegmentation and the release's prototxts have them.
    """
    cityscapes = options["num_classes"] == 19
    if layout == "mmsegmentation":
        return (512, 1024) if cityscapes else (512, 512)
    return (713, 713) if cityscapes else (473, 473)


def _mmsegmentation(weights: Weights, bins: tuple[int, ...] | None) -> _Description:
    meta, options = weights.notes.get("meta"), read_options(weights)
    try:
        settings = mmsegmentation.read_settings(meta, bottleneck=has_bottlenecks(weights))
    except ValueError as error:
        raise UserError(f"{weights.path}: {error}") from error
    options |= {"dilation": asdict(settings.dilation), "align_corners": settings.align_corners}
    options["bins"] = check_bins(weights, bins or settings.bins)
    return _Description(
        options,
        mean=settings.mean,
        std=settings.std,
        class_names=settings.class_names,
        crop_size=settings.crop_size or _crop_size(options, layout="mmsegmentation"),
    )


def _caffe(weights: Weights, options: dict[str, Any], bins: tuple[int, ...] | None) -> _Description:
    model: caffe.CaffeModel = weights.notes["caffe"]
    options |= {"dilation": asdict(model.dilation), "align_corners": True}
    red, green, blue = (value / 255 for value in caffe.MEAN)
    return _Description(
        {**options, "bins": _known_bins(weights, bins, known=model.bins)},
        mean=(red, green, blue),
        std=(1 / 255, 1 / 255, 1 / 255),
        crop_size=_crop_size(options, layout="caffe"),
    )


def _pspnet(weights: Weights, bins: tuple[int, ...] | None) -> _Description:
    try:
        saved, data = weights.notes["hyper_parameters"], weights.notes["config"]["data"]
        options = dict(saved["network"])
        options["bins"] = _known_bins(weights, bins, known=tuple(options["bins"]))
        crop = data["crop_size"]
        height, width = crop if isinstance(crop, list) else (crop, crop)
        return _Description(
            options,
            mean=tuple(data["mean"] or IMAGENET[0]),  # null: not given
            std=tuple(data["std"] or IMAGENET[1]),
            class_names=tuple(saved["classes"]["names"]),
            crop_size=(height, width),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{weights.path}: does not say what its network is ({error!r}); give a .ckpt of a run"
        ) from error


def _known_bins(
    weights: Weights, bins: tuple[int, ...] | None, *, known: tuple[int, ...]
) -> tuple[int, ...]:
    if bins not in (None, known):
        raise UserError(
            f"{weights.path}: says bins={list(known)}, not {list(bins or ())}; leave bins out"
        )
    return known
