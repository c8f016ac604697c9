"""The page of `pspnet demo`, in Gradio: a picture and the bins go in, the viewer comes out."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import gradio as gr

from pspnet.errors import UserError
from pspnet.prediction.predictor import Predictor, pixels_of
from pspnet.tools.demo.bins import Bins, without_bins
from pspnet.tools.demo.embed import embedded

THEME = gr.themes.Default(  # of fonts that the visitor has: none is fetched
    primary_hue="gray", font=["system-ui", "sans-serif"], font_mono=["monospace"]
)
STYLE = (
    "footer {display: none !important} .gradio-container {max-width: 1240px !important} "
    "#viewer, #viewer > * {padding: 0 !important}"
)
WAITING = "Drop a picture, or pick one. It stays on this machine."


def build(predictor: Predictor, bins: Bins, *, title: str, about: str) -> gr.Blocks:
    """Return the page.

    Args:
        predictor: of the network.
        bins: that can be switched, and example images.
        title: of the page.
        about: a line on the network.
    """
    sides = {f"{side}×{side}": side for side in bins.sides}

    def show(path: str | None, on: list[str]) -> tuple[str, str]:
        if path is None:
            return "", WAITING
        started = time.perf_counter()
        off = [side for name, side in sides.items() if name not in on]
        try:
            before, found = without_bins(predictor, pixels_of(path), off, bins)
        except UserError as error:
            line = str(error).replace(path, Path(path).name)  # not where the upload lies
            raise gr.Error(line, title="", print_exception=False) from error
        height, width = found.label.shape
        seconds = time.perf_counter() - started
        named = replace(found, name=Path(path).stem)
        return (
            embedded(named, before=before.label if off else None),
            f"{width}×{height} pixels, {seconds:.1f} s",
        )

    with gr.Blocks(title=title, analytics_enabled=False) as page:
        gr.Markdown(f"### {title}\n{about}")
        with gr.Row():
            picture = gr.File(label="Picture", file_types=["image"], height=140, min_width=280)
            if bins.examples:
                _offer(bins.examples, picture)
            on = gr.CheckboxGroup(
                [*sides],
                value=[*sides],
                label="Pyramid bins",
                min_width=280,
                info=f"Switch one off to see what changes. {bins.when_off}",
                visible=bool(sides),
            )
        status = gr.Markdown(WAITING)
        viewer = gr.HTML(elem_id="viewer")
        gr.on([picture.change, on.change], show, [picture, on], [viewer, status])
    return page


def _offer(examples: tuple[Path, ...], picture: gr.File) -> None:
    """Add small pictures, one of which a click takes for the picture."""

    def pick(event: gr.SelectData) -> str:
        return str(examples[event.index])

    gallery = gr.Gallery(
        [str(path) for path in examples],
        show_label=False,
        columns=len(examples),
        height=140,
        min_width=280,
        allow_preview=False,
        buttons=[],
        interactive=False,
    )
    gallery.select(pick, None, picture)
