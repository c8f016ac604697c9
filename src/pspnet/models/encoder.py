"""The dilated encoder: an ImageNet network of smp or timm, its weights, its layout."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches
from pathlib import Path

import torch
from torch import Tensor, nn

from pspnet.errors import UserError
from pspnet.files.paths import is_file
from pspnet.models.dilation import Dilation, blank, dilate, layers_of_stages
from pspnet.models.published.weights_file import as_float32, read_weights, rename_tensors

CHECK_SIZE = 64
ODD_SIZE = 75  # some networks add maps that only meet where every side divides by 32
FAMILIES = "ResNet, ResNeXt, VGG, MobileNet, EfficientNet, ConvNeXt and RegNet can be dilated"
# what a classification network has after its last features, by the names timm and torchvision use
CLASSIFIER = (
    *("fc.", "classifier.", "head.", "last_linear.", "conv_head.", "bn2.", "norm_head."),
    *("pre_logits.", "final_conv.", "_fc.", "_conv_head.", "_bn1."),
)

# three 3×3 convolutions in place of the 7×7 one: modules of the authors' ImageNet files, of timm's
SEMSEG_STEM = {
    **{"conv1": "conv1.0", "bn1": "conv1.1", "conv2": "conv1.3"},
    **{"bn2": "conv1.4", "conv3": "conv1.6", "bn3": "bn1"},
}
V1C_STEM = {f"stem.{place}": f"conv1.{place}" for place in (0, 1, 3, 4, 6)} | {"stem.7": "bn1"}


def build_encoder(
    name: str,
    *,
    weights: str | None,
    dilation: Dilation,
    frozen_stages: int = 0,
    in_channels: int = 3,
) -> nn.Module:
    """Return an smp encoder with the layout set, whose output is a list of features, stage 5 last.

    Args:
        name: smp's name of the network, "tu-…" for timm's.
        weights: None, "imagenet", or the path of a safetensors or torch file.
        dilation: the layout, the same for smp's networks and timm's.
        frozen_stages: stages from the stem on whose parameters do not train, 0 to 5.
        in_channels: of the images; the first convolution's weights for RGB are summed for one, and
            repeated and scaled for others, as smp and timm do.

    Raises:
        UserError: for an unknown network, one that cannot be dilated, or weights that are missing,
            cannot be fetched or do not fit.
    """
    if not 0 <= frozen_stages <= 5:
        raise UserError(f"frozen_stages={frozen_stages}: give 0 (none) to 5 (the whole encoder)")
    file = weights not in (None, "imagenet")
    if file and not is_file(str(weights)):
        raise UserError(
            f"encoder_weights={weights}: no such file; give a safetensors or torch file, "
            "'imagenet', or null for random weights"
        )
    encoder = _create(
        name, pretrained=weights == "imagenet", in_channels=3 if file else in_channels
    )
    try:
        frozen = layers_of_stages(encoder, frozen_stages)
        dilate(encoder, dilation)
        _check_features(encoder, dilation)
    except (ValueError, RuntimeError, TypeError, IndexError, AssertionError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"encoder={name!r} cannot be dilated: {reason}; {FAMILIES}") from error
    if file:
        load_weights(encoder, Path(str(weights)))
        if in_channels != 3:
            from segmentation_models_pytorch.encoders._utils import patch_first_conv

            patch_first_conv(encoder, in_channels)
    for layer in frozen:
        encoder.get_submodule(layer).requires_grad_(False)
    encoder.frozen = frozen  # type: ignore[assignment]  # names, for `frozen_modules`
    return encoder


def frozen_modules(encoder: nn.Module, *, norms: bool) -> Iterator[nn.Module]:
    """Yield the layers of the frozen stages; with `norms` all batch normalizations as well."""
    names = set(getattr(encoder, "frozen", ()))
    for name, module in encoder.named_modules():
        if name in names or (norms and isinstance(module, nn.BatchNorm2d | nn.SyncBatchNorm)):
            yield module


def load_weights(encoder: nn.Module, path: Path) -> None:
    """Loads a file of ImageNet weights, in full or not at all.

    By smp, timm, torchvision, semseg (`resnet50_v2.pth`) or mmcv (`resnet50_v1c-….pth`).

    Args:
        encoder: the encoder to fill.
        path: safetensors or torch file (read with `weights_only=True`) of the plain network; what
            it holds of the classifier is left out. Or a file that `pspnet.load_published` takes,
            whose heads are left out; the Caffe release's wants its own mean and std of the data.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a tensor is missing, of another shape, of another network, or damaged.
    """
    file = read_weights(path)
    if file.key_map is not None:
        prefixed = {f"encoder.{key}": value for key, value in encoder.state_dict().items()}
        fitted = rename_tensors(prefixed, file, encoder_only=True)
        encoder.load_state_dict({k.removeprefix("encoder."): v for k, v in fitted.items()})
        return
    state = {_flat(_in_timms_words(key, file.state)): value for key, value in file.state.items()}
    wanted = {_flat(key.removeprefix("model.")): key for key in encoder.state_dict()}
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


def _create(name: str, *, pretrained: bool, in_channels: int) -> nn.Module:
    from segmentation_models_pytorch.encoders import encoders, get_encoder
    from timm import list_models

    import pspnet.models.resnets  # noqa: F401  (registers more networks with timm)

    if name not in encoders and name.removeprefix("tu-").split(".")[0] not in list_models():
        known = [*encoders, *(f"tu-{model}" for model in list_models())]
        close = ", ".join(get_close_matches(name, known, n=3)) or "resnet50, tu-resnet50s, vgg16_bn"
        raise UserError(f"encoder={name!r} is unknown to smp and timm; did you mean {close}?")
    if name not in encoders and not name.startswith("tu-"):
        raise UserError(f"encoder={name!r} is a network of timm's; write 'tu-{name}'")
    weights: str | bool | None = "imagenet" if pretrained else None
    if pretrained and name.startswith("tu-"):
        weights = True  # the form that smp asks of timm's networks
    try:
        encoder: nn.Module = get_encoder(name, in_channels=in_channels, weights=weights)
    except OSError as error:  # every error of the hub client, offline ones too, is one of these
        raise UserError(
            f"encoder_weights='imagenet': the weights of {name!r} could not be fetched; without a "
            "network give a local file, encoder_weights=FILE.safetensors"
        ) from error
    except (ValueError, TypeError, AssertionError, RuntimeError, KeyError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"encoder={name!r} cannot be used: {reason}; {FAMILIES}") from error
    return encoder.to(torch.get_default_device())  # smp patches a stem on the CPU


def _check_features(encoder: nn.Module, dilation: Dilation) -> None:
    """Check that stages 4 and 5 come out where the layout says, for images of odd sizes too.

    Parameters without influence on stage 5 (classification heads that smp leaves in) are frozen:
    DistributedDataParallel waits for the gradient of every parameter that asks for one.
    """
    training = encoder.training
    features: list[Tensor] = encoder.eval()(blank(encoder, CHECK_SIZE))
    with torch.no_grad():
        encoder(blank(encoder, ODD_SIZE))
    encoder.train(training)
    used = _leaves(features[-1])
    for parameter in encoder.parameters():
        if id(parameter) not in used:
            parameter.requires_grad_(False)
    strides = (min(16, dilation.output_stride), dilation.output_stride)
    for stage, stride, feature in zip((4, 5), strides, features[-2:], strict=True):
        side = CHECK_SIZE // stride
        if tuple(feature.shape[2:]) != (side, side):
            got = "×".join(str(n) for n in feature.shape[2:])
            raise UserError(
                f"stage {stage} of a {CHECK_SIZE}×{CHECK_SIZE} image comes out as {got}, "
                f"not {side}×{side}"
            )


def _leaves(output: Tensor) -> set[int]:
    """Return the ids of all parameters that `output` was computed from."""
    leaves, seen, queue = set(), set(), [output.grad_fn]
    while queue:
        node = queue.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.add(id(node.variable))
        queue += [before for before, _ in node.next_functions]
    return leaves


def _in_timms_words(key: str, state: Collection[str]) -> str:
    """A tensor's name in timm's ResNet, of a file by semseg (`resnet50_v2`) or mmcv (`v1c`)."""
    v1c, semseg = "stem.7.weight" in state, "conv3.weight" in state
    stem = V1C_STEM if v1c else SEMSEG_STEM
    module, _, tensor = key.rpartition(".")
    return f"{stem.get(module, module)}.{tensor}" if v1c or semseg else key


def _flat(key: str) -> str:
    """A tensor's name with the separators alike: timm's feature extractors replace some dots."""
    return key.replace(".", "_")


def input_statistics(name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and std, of 0 to 1, that an encoder's pretrained weights expect.

    An encoder without pretrained weights gets ImageNet's usual ones.

    Args:
        name: smp's name of the network, "tu-…" for timm's.
    """
    from segmentation_models_pytorch.encoders import encoders
    from timm import is_model_pretrained
    from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
    from timm.models import get_pretrained_cfg

    settings = get_pretrained_cfg(name.removeprefix("tu-")) if name.startswith("tu-") else None
    if settings is not None and is_model_pretrained(name.removeprefix("tu-")):
        return tuple(settings.mean), tuple(settings.std)
    published = encoders.get(name, {}).get("pretrained_settings", {}).get("imagenet", {})
    if "mean" in published:  # of older weights; the others are torchvision's and timm's
        scale = published.get("input_range", [0, 1])[1]
        mean, std = ([value / scale for value in published[key]] for key in ("mean", "std"))
        return tuple(mean), tuple(std)
    return IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
