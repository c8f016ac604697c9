"""The graph of a page: the one of other files, with a switch per pyramid bin."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from pspnet.prediction.loading import Trained
from pspnet.tools.demo.bins import Bins
from pspnet.tools.explain.pyramid_parts import split_parts
from pspnet.tools.export.graph import ImageGraph

KEEP = "keep"  # name of the input


class SwitchedGraph(ImageGraph):
    """The graph with a second input, 1 for each bin that is on, 0 for one that is off.

    Args:
        trained: network, mean, std and temperature.
        bins: its bins, and what stands in for one that is off; at least one.

    Shapes:
        As `ImageGraph`, and (bins,) float32 in.
    """

    def __init__(self, trained: Trained, bins: Bins) -> None:
        super().__init__(trained)
        self.means: list[str] = []
        for side in bins.sides:
            mean = torch.zeros(1) if bins.means is None else bins.means[f"bin {side}"].float()
            self.means.append(f"mean_{side}")
            self.register_buffer(self.means[-1], mean.view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor, keep: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        def switch(_: nn.Module, __: Any, output: Tensor) -> Tensor:
            features, *maps = split_parts(self.network, output).values()
            mixed = [
                mean + keep[place] * (context - mean)
                for place, (context, mean) in enumerate(
                    zip(maps, map(self.get_buffer, self.means), strict=True)
                )
            ]
            return torch.cat([features, *mixed], 1)

        with self.network.pyramid.register_forward_hook(switch):
            return super().forward(image)
