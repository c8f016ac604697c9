"""The page: one file that needs no other."""

from __future__ import annotations

import json
from importlib import resources

from pspnet.callbacks.costs import count_parameters
from pspnet.tools.explain.load import Run
from pspnet.tools.explain.report.markdown import shape
from pspnet.tools.explain.walk.maps import encoder_section, pyramid_section
from pspnet.tools.explain.walk.markup import facts, frame, row, section, span, text, window_box
from pspnet.tools.explain.walk.pictures import denormalized, photo, reduced
from pspnet.tools.explain.walk.record import Walk
from pspnet.tools.explain.walk.result import (
    Shown,
    auxiliary_section,
    decoder_section,
    numbers_section,
    prediction_section,
    top_classes,
)

SCORES = 96  # units of the longer side at which the page knows logits
ORIGIN = (
    "All maps and numbers were taken from a pass of this network in float32. Figures are numbered"
    ' as in the paper (<a href="https://arxiv.org/abs/1612.01105">arXiv 1612.01105</a>).'
)
CONTENTS = {
    "input": "Input",
    "encoder": "Encoder",
    "pyramid": "Pyramid pooling",
    "decoder": "Decoder",
    "prediction": "Prediction",
    "auxiliary": "Auxiliary head",
    "numbers": "All parts",
}


def page(run: Run, walk: Walk, shown: Shown) -> str:
    """Return the walk as HTML."""
    pixels = denormalized(walk.input, mean=run.data.mean, std=run.data.std)
    title = text(f"One image through {run.name}")
    pictures = f"--input: url({photo(pixels)}); --image: url({photo(shown.image.pixels)})"
    style = f":root {{ {pictures} }}\n{_static('page.css')}"
    links = "".join(f'<li><a href="#{name}">{label}</a></li>' for name, label in CONTENTS.items())
    return "\n".join(
        (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{style}</style></head><body>",
            f"<header><h1>{title}</h1><p>{text(run.about)}. {ORIGIN}</p>",
            f'<nav aria-label="Steps"><ol>{links}</ol></nav></header><main>',
            _input_section(run, walk, shown),
            encoder_section(walk),
            pyramid_section(walk, run.network),
            decoder_section(walk, run.classes),
            prediction_section(walk, shown, run.classes),
            auxiliary_section(walk, run.classes),
            numbers_section(walk, count_parameters(run.network, inference=True)),
            f"</main>{_controls(walk)}",
            '<script type="application/json" id="scores">',
            f"{_scores(walk, run.classes.names)}</script>",
            f"<script>{_static('page.js')}</script></body></html>\n",
        )
    )


def _static(name: str) -> str:
    return (resources.files(__package__) / "static" / name).read_text("utf-8")


def _input_section(run: Run, walk: Walk, shown: Shown) -> str:
    passes, (height, width, _) = walk.passes, shown.image.pixels.shape
    size = (height, width)
    boxes = (
        window_box(rows, columns, passes.scaled, shown=k == passes.shown)
        for k, (rows, columns) in enumerate(passes.windows)
        if len(passes.windows) > 1
    )
    whole = frame(
        "var(--image)",
        f"Image, {shape(size)}",
        f"image {shown.image.name}",
        aspect=size,
        size="large",
        boxes="".join(boxes),
    )
    entering = frame(
        "var(--input)",
        f"Input of the encoder, {shape(walk.aspect)}",
        "the network's input",
        aspect=walk.aspect,
        units=walk.aspect,
        size="large",
    )
    listed = {
        "image": shown.image.name,
        "size": shape(size),
        **({"scaled to": shape(passes.scaled)} if passes.scaled != size else {}),
        **_input_facts(run, walk),
    }
    said = f"<p>{_origin(walk)}</p>"
    return section("input", "Input (figure 3a)", facts(listed), said, row(whole, entering))


def _input_facts(run: Run, walk: Walk) -> dict[str, object]:
    mean, std = (
        ", ".join(f"{value:.3g}" for value in values) for values in (run.data.mean, run.data.std)
    )
    return {
        "protocol": walk.protocol.name,
        "forward passes": walk.passes.total,
        "input": shape(walk.input.shape),
        "mean": mean,
        "std": std,
        "normalized": span(walk.input),
    }


def _origin(walk: Walk) -> str:
    """Return how the input comes from the image."""
    passes, said, window = walk.passes, "", "the whole image"
    if len(passes.windows) > 1:
        said = f"The protocol slides a window of {shape(walk.protocol.crop_size or ())} pixels. "
        window = f"window {passes.shown + 1} of {len(passes.windows)}, outlined in red"
    if len(walk.protocol.scales) > 1:
        window += f", at scale {passes.scale:g}, one of {len(walk.protocol.scales)} scales"
    rows, columns = passes.windows[passes.shown]
    visible = (
        max(0, min(part.stop, side) - max(part.start, 0))
        for part, side in zip((rows, columns), passes.scaled, strict=True)
    )
    padded = ""
    if tuple(visible) != walk.aspect:
        padded = " Padding has the mean color, which is 0 once normalized."
    return (
        f"{said}Shown is {window}: {shape(walk.aspect)} pixels enter the encoder.{padded} A click"
        " on a map, or the sliders below, moves the red mark."
    )


def _controls(walk: Walk) -> str:
    height, width = walk.aspect
    sliders = "".join(
        f'<label>{name}<input type="range" min="0" max="{side - 1}" value="{side // 2}"></label>'
        for name, side in (("Row", height), ("Column", width))
    )
    return f'<form class="place" hidden aria-label="Marked place">{sliders}<output></output></form>'


def _scores(walk: Walk, names: tuple[str, ...]) -> str:
    """Return what the page's script knows: the input's size, and logits of some classes."""
    chosen = top_classes(walk.logits)
    maps = reduced(walk.logits[chosen], SCORES)
    known = {
        "size": walk.aspect,
        "units": [*maps.shape[1:]],
        "classes": [
            {"name": names[k], "logits": [round(x, 1) for x in values.flatten().tolist()]}
            for k, values in zip(chosen, maps, strict=True)
        ],
    }
    return json.dumps(known, separators=(",", ":")).replace("<", "\\u003c")
