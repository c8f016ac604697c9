"""The sections of the report on layers and on the 1×1 convolutions; they need no weights."""

from __future__ import annotations

from pathlib import Path

from pspnet.files.writing import write_atomic
from pspnet.models.pspnet import PSPNet
from pspnet.tools.explain.analysis import Explanation
from pspnet.tools.explain.layer_table import parts_of, to_csv
from pspnet.tools.explain.report.markdown import amount, left_out, pixels, shape, table
from pspnet.tools.explain.variants import THIS_NETWORK, Cost

REDUCTION = "## The 1×1 convolutions (section 3.2; DR in table 1)"


def layers_section(explanation: Explanation, network: PSPNet, *, folder: Path) -> str:
    """Return the table of the parts; write layers.csv with every layer."""
    layers = explanation.layers[THIS_NETWORK]
    write_atomic(folder / "layers.csv", to_csv(layers).encode())
    rows = [
        (
            part.name,
            str(part.convolutions),
            ", ".join(str(value) for value in part.dilations) or "–",
            shape(part.shape),
            amount(part.parameters),
            amount(part.flops),
            pixels(part.field.size),
        )
        for part in parts_of(layers)
    ]
    used = [layer for layer in layers if not layer.training_only]
    parameters, flops = sum(x.parameters for x in used), sum(x.flops for x in used)
    rows.append(("**inference**", "", "", "", amount(parameters), amount(flops), ""))
    idle = sum(p.numel() for p in network.parameters()) - sum(x.parameters for x in layers)
    unused = f" {amount(idle)} further parameters are in layers that never run." if idle else ""
    header = ("part", "convolutions", "dilations", "output", "parameters", "FLOPs", "field, px")
    return f"""## Layers (figure 3)

For one image of {shape(explanation.size)} pixels in evaluation mode. A stage ends at the last map
of its size in the plain network: stage 4 at 1/16 of the image, stage 5 at 1/32, even where dilation
keeps them larger. A multiplication and an addition are two operations; convolutions and matrix
products count, with the decoder's input concatenated as published. The field is the theoretical
receptive field of a unit at the part's end, the union over all paths, for a bin the most that one
of its cells sees; a pool over the whole image on a path extends it to the whole image. The
auxiliary head runs in training only.{unused} Every layer is in [layers.csv](layers.csv), in order
of execution: a row of a parallel branch, as a shortcut's, has the field of that branch alone, and
the layer behind the sum has the union.

{table(header, rows)}
"""


def reduction_section(explanation: Explanation, network: PSPNet) -> str:
    """Return the section on what the 1×1 convolutions after the pooling cost and save."""
    if not explanation.reduction:
        return left_out(REDUCTION, explanation.omitted["dimension reduction"])
    bins, chosen = len(network.pyramid.bins), bool(network.options["reduce"])
    with_, without = (explanation.reduction[reduce] for reduce in (True, False))
    rows = [_row("with", with_, own=chosen), _row("without", without, own=not chosen)]
    saved = [1 - a / b for a, b in zip(with_.network, without.network, strict=True)]
    channels = with_.context - bins * with_.level
    each = "C/N channels" if channels % bins == 0 else "C/N, rounded down, channels"
    each = f"{each}, so that context and features enter the\ndecoder with equal weight"
    if network.options.get("level_width") is not None:
        each = f"{with_.level} channels"
    header = (
        *("", "channels per level", "into the decoder", "1×1 parameters", "FLOPs"),
        *("decoder parameters", "FLOPs", "network parameters", "FLOPs", "FLOPs as run"),
    )
    return f"""{REDUCTION}

The features have C = {channels} channels and the pyramid has N = {bins} bins. With reduction a
1×1 convolution takes each level to {each}; without it all pooled channels enter. Reduction saves
{100 * saved[0]:.1f} % of the parameters and {100 * saved[1]:.1f} % of the operations of inference
(where negative, it adds them). These are the published formulation's operations. The last column
has those of this package, which computes the same without the decoder's input of so many channels.

{table(header, rows)}
"""


def _row(name: str, cost: Cost, *, own: bool) -> tuple[str, ...]:
    sums = (*cost.pyramid, *cost.decoder, *cost.network, cost.as_run)
    label = f"{name} ({THIS_NETWORK})" if own else name
    return (label, str(cost.level), str(cost.context), *(amount(number) for number in sums))
