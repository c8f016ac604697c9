"""PSPNets from published checkpoints, recognized by the names and shapes of their tensors.

published = load_published("pspnet_r50-d8_512x512_20k_voc12aug.pth")
published.network, published.mean, published.std
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from timm.data.constants import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from pspnet.errors import UserError, visible
from pspnet.models.dilation import Dilation
from pspnet.models.options import structure
from pspnet.models.pspnet import PSPNet, from_options
from pspnet.models.published import caffe, mmseg_config
from pspnet.models.published.backbones import family, has_bottlenecks
from pspnet.models.published.infer_options import infer_options, published_bins
from pspnet.models.published.key_maps import FormatName
from pspnet.models.published.mmseg_config import RGB, Windows
from pspnet.models.published.mmseg_layout import Backbone
from pspnet.models.published.weights_file import WeightsFile, read_weights, rename_tensors

Color = tuple[float, ...]


@dataclass(frozen=True)
class PublishedNetwork:
    """A network with published weights, and its training's input and classes.

    Args:
        network: in evaluation mode, float32.
        format: the format of its file.
        mean: per channel, subtracted from images of 0 to 1.
        std: per channel, the divisor after that. It is 1/255 for the Caffe release: that network
            takes 0 to 255 minus the mean.
        class_names: in the order of the logits; None if the file has none.
        crop_size: height and width of the training crops in pixels; the published networks' where
            the file does not say.
        class_colors: RGB of each class, 0 to 255; None if the file has none.
        tested_by: how its scores were measured; None if the file does not say.
    """

    network: PSPNet
    format: FormatName
    mean: Color
    std: Color
    class_names: tuple[str, ...] | None
    crop_size: tuple[int, int]
    class_colors: tuple[RGB, ...] | None = None
    tested_by: Windows | None = None


@dataclass(frozen=True)
class _Description:
    """Constructor options of a file's network, and its training's input and classes."""

    options: dict[str, Any]
    crop_size: tuple[int, int]
    mean: Color = IMAGENET_DEFAULT_MEAN
    std: Color = IMAGENET_DEFAULT_STD
    class_names: tuple[str, ...] | None = None
    class_colors: tuple[RGB, ...] | None = None
    tested_by: Windows | None = None


def load_published(
    path: str | Path,
    num_classes: int | None = None,
    *,
    bins: tuple[int, ...] | None = None,
    align_corners: bool | None = None,
) -> PublishedNetwork:
    """Build the PSPNet of a published checkpoint, and load every tensor of the file.

    Known are the checkpoints of hszhao/semseg, of open-mmlab/mmsegmentation (ResNet, ResNetV1c,
    ResNeSt and MobileNetV2, with the settings of their configuration where they carry it), the
    `.caffemodel`s of hszhao/PSPNet (see `pspnet.models.published.caffe.read`), and this package's
    own.

    Args:
        path: the file, or a folder with one such file; reading it runs no code.
        num_classes: refuse a file with another number; None takes the file's.
        bins: of the pyramid, for files that do not say; None is (1, 2, 3, 6) for four levels.
        align_corners: of the upsampling of logits and pyramid levels; None is as published.

    Raises:
        UserError: if the file is missing or damaged, or one tensor does not fit.
    """
    return from_weights(read_weights(path), num_classes, bins=bins, align_corners=align_corners)


def from_weights(
    weights: WeightsFile,
    num_classes: int | None = None,
    *,
    bins: tuple[int, ...] | None = None,
    align_corners: bool | None = None,
) -> PublishedNetwork:
    """Build the PSPNet of a file that has been read, as `load_published`."""
    found = _describe(weights, bins)
    if align_corners is not None:
        found.options["align_corners"] = align_corners
    if num_classes not in (None, found.options["num_classes"]):
        raise UserError(
            f"{weights.path}: has {found.options['num_classes']} classes, not "
            f"num_classes={num_classes}; leave num_classes out, or give another checkpoint"
        )
    assert weights.key_map is not None
    network = _build(found.options, weights)
    if align_corners is None:
        _check_structure(network, weights)
    known = {field.name: getattr(found, field.name) for field in fields(found)}
    del known["options"]
    return PublishedNetwork(network, weights.key_map.name, **known)


def _build(options: dict[str, Any], weights: WeightsFile) -> PSPNet:
    try:
        with torch.device("meta"):  # shapes alone: the values come from the file
            network = from_options(options)
    except UserError as error:
        raise UserError(f"{weights.path}: {error}") from error
    state = rename_tensors(network.state_dict(), weights)
    network.load_state_dict(state, strict=True, assign=True)
    return network.eval()


def _check_structure(network: PSPNet, weights: WeightsFile) -> None:
    """Refuse a run's checkpoint if its network was edited after its construction."""
    saved, own = weights.metadata.get("structure", {}), structure(network, without="encoder")
    if not isinstance(saved, dict):
        raise UserError(f"{weights.path}: structure is no mapping of texts; a damaged file")
    if differing := [name for name in saved if saved[name] != own.get(name)]:
        raise UserError(
            f"{weights.path}: its network.{differing[0]} was edited after the construction; load it"
            " by pspnet.task.Segmentation.load_from_checkpoint(path, network=network)"
        )


def _describe(weights: WeightsFile, bins: tuple[int, ...] | None) -> _Description:
    if weights.key_map is None:
        raise UserError(
            f"{weights.path}: of no published PSPNet, its first tensor is "
            f"{next(iter(weights.state))!r}; known are semseg's, mmsegmentation's, .caffemodel and "
            "checkpoints of this package"
        )
    match weights.key_map.name:
        case "pspnet":
            return _describe_pspnet(weights, bins)
        case "mmsegmentation":
            return _describe_mmsegmentation(weights, bins)
        case "caffe":
            return _describe_caffe(weights, bins)
        case "semseg":
            options = {"dilation": asdict(Dilation()), "align_corners": True}
            options |= infer_options(weights) | {"bins": published_bins(weights, bins)}
            return _Description(options, crop_size=_crop_size(options, format="semseg"))


def _describe_mmsegmentation(weights: WeightsFile, bins: tuple[int, ...] | None) -> _Description:
    options = infer_options(weights)
    try:
        backbone = Backbone(family(weights), has_bottlenecks(weights))
        settings = mmseg_config.read_settings(weights.metadata.get("meta"), backbone)
    except UserError as error:
        raise UserError(f"{weights.path}: {error}") from error
    options |= {"dilation": asdict(settings.dilation), "align_corners": settings.align_corners}
    options["bins"] = published_bins(weights, bins or settings.bins)
    return _Description(
        options,
        mean=settings.mean,
        std=settings.std,
        class_names=settings.class_names,
        crop_size=settings.crop_size or _crop_size(options, format="mmsegmentation"),
        class_colors=settings.class_colors,
        tested_by=settings.tested_by,
    )


def _describe_caffe(weights: WeightsFile, bins: tuple[int, ...] | None) -> _Description:
    model: caffe.CaffeModel = weights.metadata["caffe"]
    options = {"dilation": asdict(model.dilation), "align_corners": True}
    options |= infer_options(weights) | {"bins": _stored_bins(weights, bins, stored=model.bins)}
    red, green, blue = (value / 255 for value in caffe.MEAN)
    return _Description(
        options,
        mean=(red, green, blue),
        std=(1 / 255, 1 / 255, 1 / 255),
        crop_size=_crop_size(options, format="caffe"),
    )


def _describe_pspnet(weights: WeightsFile, bins: tuple[int, ...] | None) -> _Description:
    saved = weights.metadata
    try:
        options: dict[str, Any] = dict(saved["hyper_parameters"]["network"])
        if "class_path" in options:
            raise UserError(
                f"{weights.path}: its network is a {options['class_path']}, not PSPNet itself; "
                "load it by pspnet.task.Segmentation.load_from_checkpoint"
            )
        options["encoder_weights"] = None  # the file has them
        stored_bins, _ = tuple(options["bins"]), options["num_classes"]  # must be there
        class_names = tuple(map(visible, saved["hyper_parameters"]["classes"]["names"]))
        data = saved.get("config", {}).get("data", {})
        mean, std, crop = (data.get(key) for key in ("mean", "std", "crop_size"))
        crop = crop or _crop_size(options, format="pspnet")  # a training from Python needs none
        height, width = map(int, crop if isinstance(crop, list | tuple) else (crop, crop))
        count = options.get("in_channels", 3)
        mean = _color(mean, IMAGENET_DEFAULT_MEAN, count)
        std = _color(std, IMAGENET_DEFAULT_STD, count)
    except UserError:  # a ValueError, and complete
        raise
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise UserError(
            f"{weights.path}: does not describe its network ({error!r}); give a .ckpt of a run"
        ) from error
    options["bins"] = _stored_bins(weights, bins, stored=stored_bins)
    return _Description(
        options,
        mean=mean,
        std=std,
        class_names=class_names,
        crop_size=(height, width),
    )


def _color(given: Any, default: Color, count: int) -> Color:
    color = default if given is None else tuple(map(float, given))  # a run may be given none
    if len(color) != count:
        raise ValueError(f"{len(color)} values of mean or std for {count} channels")
    return color


def _stored_bins(
    weights: WeightsFile, bins: tuple[int, ...] | None, *, stored: tuple[int, ...]
) -> tuple[int, ...]:
    if bins not in (None, stored):
        raise UserError(
            f"{weights.path}: says bins={list(stored)}, not {list(bins or ())}; leave bins out"
        )
    return stored


def _crop_size(options: dict[str, Any], *, format: FormatName) -> tuple[int, int]:
    """Height and width of the crops that the published networks were trained on.

    Source: the configurations of semseg and mmsegmentation, and the Caffe release's prototxts.
    """
    cityscapes = options["num_classes"] == 19
    if format == "mmsegmentation":
        return (512, 1024) if cityscapes else (512, 512)
    return (713, 713) if cityscapes else (473, 473)
