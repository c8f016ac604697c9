"""The weights of another training as the start of a new one: all that fit by name and shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from pspnet.checkpoints.reading import DAMAGED, PARTS, checked, fault
from pspnet.errors import UserError, visible
from pspnet.models.options import class_and_options
from pspnet.models.pspnet import PSPNet
from pspnet.models.published.weights_file import read_weights

if TYPE_CHECKING:
    from pspnet.models.published.load import PublishedNetwork

COMPUTED = ("dilation", "pool", "align_corners")  # options that change logits, and no tensor


@dataclass(frozen=True)
class InitialWeights:
    """The weights of a file, and what is known of their network.

    Args:
        path: the file.
        state: tensors by their names in a PSPNet.
        network: the network's options, or its class path and options.
        classes: the names of its logits in their order; None if the file has none.
        normalization: `mean` and `std` of its training, as far as the file says.
    """

    path: Path
    state: Mapping[str, Tensor]
    network: dict[str, Any]
    classes: tuple[str, ...] | None
    normalization: dict[str, Any]

    @property
    def options(self) -> Mapping[str, Any]:
        """The constructor's options of the network."""
        options: Mapping[str, Any] = self.network.get("init_args", self.network)
        return options


def read_initial_weights(path: str | Path) -> InitialWeights:
    """Read a checkpoint of ours, a file that `load_published` takes, or a folder with one of them.

    Raises:
        UserError: if it is missing, damaged, or of another kind.
    """
    weights = read_weights(path)
    if weights.key_map is None or weights.key_map.name != "pspnet":
        from pspnet.models.published.load import from_weights  # with timm, which takes seconds

        return from_published(weights.path, from_weights(weights))
    content = {**weights.metadata, "state_dict": dict(weights.state)}
    checkpoint = checked(content, path=weights.path, parts=tuple(PARTS))
    saved, data = checkpoint["hyper_parameters"], checkpoint["config"].get("data", {})
    names = saved["classes"].get("names")
    if not (isinstance(names, list | tuple) and all(isinstance(name, str) for name in names)):
        raise UserError(f"{weights.path}: classes.names is no list of texts; {DAMAGED}")
    return InitialWeights(
        weights.path,
        {key.removeprefix("network."): value for key, value in weights.state.items()},
        saved["network"],
        tuple(names),
        {key: data[key] for key in ("mean", "std") if data.get(key) is not None},
    )


def from_published(path: Path, found: PublishedNetwork) -> InitialWeights:
    """Return the weights of a published network, and what its file tells of it."""
    return InitialWeights(
        path,
        found.network.state_dict(),
        class_and_options(found.network, plain=PSPNet),
        found.class_names,
        {"mean": list(found.mean), "std": list(found.std)},
    )


def initialize(network: PSPNet, classes: Sequence[str], weights: InitialWeights) -> list[str]:
    """Copy all weights that fit into a network, and return lines that say what was taken.

    A tensor fits by its name and shape; a pyramid level by its bin as well. Where the classes have
    other names, the classifiers' rows of the classes of the same name are copied.

    Args:
        network: the new training's.
        classes: the names of its classes.
        weights: of `read_initial_weights`.

    Raises:
        UserError: if the encoder is another one, nothing fits, or a tensor is damaged.
    """
    weights = _with_channels(weights, network)
    own, saved = network.state_dict(), _with_levels_by_bin(weights, network)
    _check_encoder(network, own, weights)
    by_rows = set(_by_rows(network, classes, weights))
    taken = [k for k in own if k in saved and saved[k].shape == own[k].shape and k not in by_rows]
    if not any(own[key].is_floating_point() for key in taken):
        raise UserError(f"init_from={weights.path}: no tensor fits this network; leave it out")
    for key in [*taken, *(by_rows & saved.keys())]:
        if found := fault(saved[key], like=own[key], variance=key.endswith("running_var")):
            raise UserError(f"init_from={weights.path}: {key!r} holds {found}; {DAMAGED}")
    for key in taken:
        own[key].copy_(saved[key])
    new = [key for key in own if key not in taken]
    lines = [f"{len(taken)} of {len(own)} tensors taken{_listed('; new: ', new, own, saved)}"]
    unused = [key for key in saved if key not in own]
    lines[0] += _listed("; not used: ", unused, saved, {})
    if by_rows:
        lines.append(_copy_rows(own, saved, by_rows, classes, weights.classes or ()))
    if changed := [name for name in COMPUTED if _differs(network, weights, name)]:
        there = ", ".join(f"{name}={weights.options[name]}" for name in changed)
        lines.append(f"trained with {there}, and this run sets other values")
    return [f"init_from={weights.path}: {line}" for line in lines]


def classifiers(network: PSPNet) -> Iterator[str]:
    """Yield the names of the layers that give logits, the last of decoder and auxiliary head."""
    for head in ("decoder", "auxiliary"):
        part = getattr(network, head, None)
        named = part.named_modules() if isinstance(part, nn.Module) else ()
        layers = [(n, m) for n, m in named if isinstance(getattr(m, "weight", None), Tensor)]
        if layers and len(layers[-1][1].weight) == network.num_classes:
            yield f"{head}.{layers[-1][0]}".rstrip(".")


def _with_channels(weights: InitialWeights, network: PSPNet) -> InitialWeights:
    """Adapt the first convolution of a network for RGB to other channels, as timm does."""
    from timm.models import adapt_input_conv

    layers = network.encoder.named_modules()
    first = next((f"encoder.{name}.weight" for name, it in layers if isinstance(it, nn.Conv2d)), "")
    kernel, count = weights.state.get(first), network.in_channels
    if kernel is None or kernel.ndim != 4 or kernel.shape[1] != 3 or count == 3:
        return weights
    return replace(weights, state={**weights.state, first: adapt_input_conv(count, kernel)})


def _with_levels_by_bin(weights: InitialWeights, network: PSPNet) -> dict[str, Tensor]:
    """Return a file's tensors, with each pyramid level's under the place of its bin here."""
    there, here = weights.options.get("bins"), getattr(network.pyramid, "bins", None)
    if not isinstance(there, list | tuple) or here is None or list(there) == list(here):
        return dict(weights.state)
    renamed = {}
    for key, value in weights.state.items():
        *start, level, end = key.split(".", 3) if key.startswith("pyramid.levels.") else ("", "")
        if start and level.isdigit() and int(level) < len(there):
            side = there[int(level)]
            place = here.index(side) if side in here else f"(bin {side})"
            key = f"pyramid.levels.{place}.{end}"
        renamed[key] = value
    return renamed


def _check_encoder(network: PSPNet, own: Mapping[str, Tensor], weights: InitialWeights) -> None:
    ours, theirs = (
        {k: v.shape for k, v in state.items() if k.startswith("encoder.") and v.ndim}
        for state in (own, weights.state)
    )
    if ours == theirs:
        return
    here, there = (str(o.get("encoder")) for o in (network.options, weights.options))
    if here != there:
        raise UserError(
            f"init_from={weights.path}: its encoder is {visible(there)}, and this network's is "
            f"{here}, which its weights do not fit; give --model.network.encoder={visible(there)}, "
            "or other weights"
        )
    differing = next(key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key))
    raise UserError(
        f"init_from={weights.path}: {differing!r} is {_size(theirs.get(differing))}, and in this "
        f"network's {here} {_size(ours.get(differing))}; it was edited, so edit this one likewise"
    )


def _by_rows(network: PSPNet, classes: Sequence[str], weights: InitialWeights) -> Iterator[str]:
    """Yield the tensors of the classifiers if their rows mean other classes than the file's."""
    if weights.classes is not None and _folded(weights.classes) != _folded(classes):
        for layer in classifiers(network):
            for name, _ in network.get_submodule(layer).named_parameters(recurse=False):
                yield f"{layer}.{name}"


def _copy_rows(
    own: Mapping[str, Tensor],
    saved: Mapping[str, Tensor],
    keys: set[str],
    classes: Sequence[str],
    theirs: Sequence[str],
) -> str:
    places = {name: index for index, name in enumerate(_folded(theirs))}
    pairs = [(i, places[name]) for i, name in enumerate(_folded(classes)) if name in places]
    fitting = [key for key in keys & saved.keys() if _has_rows(saved[key], own[key], len(theirs))]
    pairs = pairs if fitting else []
    for key in fitting:
        for here, there in pairs:
            own[key][here].copy_(saved[key][there])
    kept = ", ".join(classes[here] for here, _ in pairs)
    names = f"{len(pairs)} of {len(classes)} classes by name" + (f": {kept}" if kept else "")
    return f"the classifiers keep the rows of {names}"


def _has_rows(saved: Tensor, own: Tensor, count: int) -> bool:
    return saved.ndim > 0 and saved.shape[1:] == own.shape[1:] and len(saved) == count


def _listed(
    start: str, keys: Sequence[str], own: Mapping[str, Tensor], there: Mapping[str, Tensor]
) -> str:
    """Return the layers of some tensors, with both shapes of those whose shape differs."""
    layers: dict[str, str] = {}
    for key in keys:
        layer, _, name = key.rpartition(".")
        here, other = own[key].shape, there[key].shape if key in there else None
        differs = other is not None and other != here
        layers.setdefault(layer, "")
        if differs and name == "weight":
            layers[layer] = f" {_size(here)}, there {_size(other)}"
    parts = [f"{visible(layer)}{sizes}" for layer, sizes in layers.items()]
    more = f"; and {len(parts) - 8} more" if len(parts) > 8 else ""
    return start + "; ".join(parts[:8]) + more if parts else ""


def _differs(network: PSPNet, weights: InitialWeights, name: str) -> bool:
    there = weights.options.get(name)
    return there is not None and network.options.get(name) != there


def _size(shape: Any) -> str:
    return "missing" if shape is None else "×".join(map(str, shape)) or "a number"


def _folded(names: Sequence[str]) -> list[str]:
    return [name.strip().casefold() for name in names]
