"""Hooks that record the maps of one image in one call of a network.

They stand on modules that the fused form of pyramid and decoder calls, too, and so change nothing
of what runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.layer_table import stage_features

INPUT, HIDDEN, LOGITS = "input", "decoder", "logits"


@dataclass
class Record:
    """Maps that the hooks have seen, each (C, h, w) without its batch.

    Args:
        call: index of the encoder's call that is recorded.
        row: place of the image in its batch.
        calls: of the encoder so far.
        maps: "input" of the encoder, its "stage 1" to "stage 5" as far as it returns them,
            "decoder", the input of the last classifier, and "logits" at feature resolution.
        pooled: the pooled grid of each bin.
        levels: each grid after its level.
    """

    call: int
    row: int
    calls: int = 0
    maps: dict[str, Tensor] = field(default_factory=dict)
    pooled: list[Tensor] = field(default_factory=list)
    levels: list[Tensor] = field(default_factory=list)

    @property
    def stages(self) -> dict[str, Tensor]:
        """The encoder's maps by name; one of a stage that the network lacks has no channels."""
        return {name: x for name, x in self.maps.items() if name.startswith("stage")}

    def before_encoder(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        self.calls += 1
        self._keep({INPUT: inputs[0]})

    def after_encoder(self, _: nn.Module, __: Any, output: object) -> None:
        self._keep(stage_features(output))

    def after_level(self, _: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        if self._sees:
            self.pooled.append(self._copy(inputs[0]))
            self.levels.append(self._copy(output))

    def before_classifier(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._keep({HIDDEN: inputs[0]})

    def after_classifier(self, _: nn.Module, __: Any, output: Tensor) -> None:
        self._keep({LOGITS: output})

    @property
    def _sees(self) -> bool:
        return self.calls == self.call + 1

    def _keep(self, maps: Mapping[str, object]) -> None:
        for name, x in maps.items() if self._sees else ():
            if isinstance(x, Tensor) and x.ndim == 4:
                self.maps[name] = self._copy(x)

    def _copy(self, tensor: Tensor) -> Tensor:
        return tensor[self.row].detach().clone()  # later layers may work in place


@contextmanager
def recording(network: PSPNet, *, call: int = 0, row: int = 0) -> Iterator[Record]:
    """Record one image of one call of the encoder within a context."""
    record, last = Record(call, row), classifier(network)
    levels = getattr(network.pyramid, "levels", None)
    with ExitStack() as hooks:
        hooks.enter_context(network.encoder.register_forward_pre_hook(record.before_encoder))
        hooks.enter_context(network.encoder.register_forward_hook(record.after_encoder))
        for level in levels if isinstance(levels, nn.ModuleList) else ():
            hooks.enter_context(level.register_forward_hook(record.after_level))
        if last is not network.decoder:
            hooks.enter_context(last.register_forward_pre_hook(record.before_classifier))
        hooks.enter_context(last.register_forward_hook(record.after_classifier))
        yield record


def classifier(network: PSPNet) -> nn.Module:
    """Return the decoder's last layer; a decoder that is no sequence of layers is one itself."""
    decoder = network.decoder
    sequence = isinstance(decoder, nn.Sequential) and len(decoder) > 1
    return decoder[-1] if sequence else decoder
