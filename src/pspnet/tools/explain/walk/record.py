"""One image on its way through a network, as its protocol runs it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pspnet.callbacks.costs import blank_image, count_flops
from pspnet.errors import UserError
from pspnet.inference.class_scores import evaluate, predict
from pspnet.inference.memory import check_memory
from pspnet.inference.protocols import Protocol
from pspnet.models.pspnet import PSPNet
from pspnet.ops.equivalence import copy_without_memory
from pspnet.tools.explain.layer_table import Layer, Part, parts_of, trace_layers
from pspnet.tools.explain.pyramid_parts import (
    CHECK_SIZE,
    ONE_PASS,
    pyramid_outputs,
    split_parts,
    why_no_parts,
)
from pspnet.tools.explain.walk.hooks import INPUT, LOGITS, Record, recording
from pspnet.tools.explain.walk.passes import Passes, passes_of
from pspnet.tools.explain.walk.seconds import part_seconds

PYRAMID = "pyramid"  # the part that its output is where it has no others


@dataclass(frozen=True)
class Walk:
    """The maps of one image in one pass of a protocol.

    Args:
        protocol: as which the image is evaluated.
        passes: of the protocol, and which one is shown.
        record: the maps of that pass.
        outputs: the pyramid's output (C, h, w) by part, features first, from a second pass in the
            published form.
        why_no_parts: why the output has no parts for bins, None if it has.
        deviation: largest difference between the logits of both passes.
        auxiliary: the auxiliary head's logits on stage 4, None without a head.
        prediction: class ids (H, W) of the entire protocol.
        layers: of the network, for an input of this size, in the published form.
        flops: of the pass as it runs.
        seconds: by part as it runs.
    """

    protocol: Protocol
    passes: Passes
    record: Record
    outputs: dict[str, Tensor]
    why_no_parts: str | None
    deviation: float
    auxiliary: Tensor | None
    prediction: Tensor
    layers: list[Layer]
    flops: int
    seconds: dict[str, float]

    @property
    def input(self) -> Tensor:
        """The encoder's input, (3, H, W)."""
        return self.record.maps[INPUT]

    @property
    def aspect(self) -> tuple[int, int]:
        """Height and width of the encoder's input."""
        return self.input.shape[1], self.input.shape[2]

    @property
    def stages(self) -> dict[str, Tensor]:
        """The encoder's maps (C, h, w) by name, without those of stages that the network lacks."""
        return {name: maps for name, maps in self.record.stages.items() if maps.numel()}

    @property
    def logits(self) -> Tensor:
        """Logits (C, h, w) at feature resolution."""
        return self.record.maps[LOGITS]

    @property
    def parts(self) -> dict[str, Part]:
        """Layers summed up by part."""
        return {part.name: part for part in parts_of(self.layers)}

    @property
    def published_flops(self) -> int:
        """Operations of inference in the published form."""
        return sum(layer.flops for layer in self.layers if not layer.training_only)

    @property
    def fused(self) -> bool:
        """True if pyramid and decoder run in the fused form."""
        return self.flops < self.published_flops


def walk(network: PSPNet, image: Tensor, protocol: Protocol) -> Walk:
    """Evaluate one image as the protocol does and keep the maps of one of its passes.

    Args:
        network: in evaluation mode; it runs as it stands.
        image: (3, H, W), normalized.
        protocol: of the evaluation.

    Raises:
        UserError: if `why_no_walk`, or the image is too large for the memory.
    """
    if (reason := why_no_walk(network)) is not None:
        raise UserError(f"no image can be followed through this network: {reason}")
    batch = image[None].to(next(network.parameters()))
    check_memory(network, batch, protocol)
    passes = passes_of(protocol, (image.shape[1], image.shape[2]))
    with torch.no_grad():
        with recording(network, call=passes.call, row=passes.row) as record:
            prediction, _ = predict(network, batch, protocol)
        shown = record.maps[INPUT][None]
        with recording(network) as published, pyramid_outputs(network) as outputs:
            evaluate(network, shown, replace(ONE_PASS, rules=protocol.rules))
    size = (shown.shape[2], shown.shape[3])
    layers = trace_layers(network, size=size, training_only=True)
    reason = why_no_parts(network)
    return Walk(
        protocol=protocol,
        passes=passes,
        record=record,
        outputs=_outputs(network, outputs, plain=reason is None),
        why_no_parts=reason,
        deviation=(published.maps[LOGITS] - record.maps[LOGITS]).abs().max().item(),
        auxiliary=_auxiliary(network, record),
        prediction=prediction[0].cpu(),
        layers=layers,
        flops=count_flops(network, size=size),
        seconds=part_seconds(network, shown, layers),
    )


def why_no_walk(network: PSPNet) -> str | None:
    """Return why the network has no stages or no logits to show, None if it has both."""
    copy = copy_without_memory(network).eval()
    with torch.no_grad(), recording(copy) as record:
        copy(blank_image(copy, CHECK_SIZE))
    kind = type(network).__name__
    if not record.calls:
        return f"the forward of {kind} does not call the encoder"
    if not any(x.numel() for x in record.stages.values()):
        encoder = type(network.encoder).__name__
        return f"{encoder} returns no list of feature maps, so that no stage can be named"
    if LOGITS not in record.maps:
        return f"the forward of {kind} does not call the decoder"
    return None


def _outputs(network: PSPNet, outputs: list[Tensor], *, plain: bool) -> dict[str, Tensor]:
    if not outputs:
        return {}
    parts = split_parts(network, outputs[0]) if plain else {PYRAMID: outputs[0]}
    return {name: part[0] for name, part in parts.items()}


def _auxiliary(network: PSPNet, record: Record) -> Tensor | None:
    *_, stage4, _ = record.stages.values()
    if network.auxiliary is None or not stage4.numel():
        return None
    with torch.no_grad():
        logits: Tensor = network.auxiliary(stage4[None])
    return logits[0]
