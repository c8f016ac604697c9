"""The same weights in other dilation layouts, which change strides and spacings alone."""

from __future__ import annotations

from dataclasses import asdict

from pspnet.models.dilation import Dilation
from pspnet.models.pspnet import PSPNet, from_options

# by the output stride and what the first block of a stage takes
LAYOUTS = {
    "32": Dilation((1,), (1,)),
    "16": Dilation((1,), (2,)),
    "8, first block full": Dilation((2,), (4,), "full"),
    "8, first block half": Dilation((2,), (4,), "half"),
}


def laid_out(network: PSPNet, dilation: Dilation) -> PSPNet:
    """A network in evaluation mode with another layout and the same weights.

    Raises:
        ValueError: if its encoder cannot have that layout.
    """
    other = from_options({**network.options, "dilation": asdict(dilation)})
    other.load_state_dict(network.state_dict())
    return other.to(next(network.parameters()).device).eval()


def describe(dilation: Dilation) -> str:
    """The layout in words: output stride, dilations of stages 4 and 5, first blocks."""
    words = [f"output stride {dilation.output_stride}"]
    for stage, values in (("4", dilation.stage4), ("5", dilation.stage5)):
        if values != (1,):
            words.append(f"stage {stage} dilated by {', '.join(str(value) for value in values)}")
    if dilation.output_stride < 32:
        words.append(f"first block {dilation.first_block}")
    if dilation.convolutions == "first":
        words.append("first convolution of a block alone")
    return "; ".join(words)
