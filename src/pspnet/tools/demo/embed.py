"""A prediction as HTML that shows itself, in a frame of its own within any page."""

from __future__ import annotations

import html
import json
import zlib
from base64 import b64encode
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from pspnet.data.image_io import encode

if TYPE_CHECKING:
    from pspnet.prediction.prediction import Prediction

VIEWER = resources.files("pspnet.tools.export.page") / "static"
MOST = 65_535  # of a confidence in 16 bits
SCRIPT = """
const inflate = async (text) => {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
};
const picture = async (text) => {
  const image = new Image();
  image.src = `data:image/png;base64,${text}`;
  await image.decode();
  return image;
};
new ResizeObserver(() => {
  frameElement.style.height = `${document.body.scrollHeight}px`;
}).observe(document.body);
(async () => showPrediction(document.getElementById("viewer"), {
  ...data,
  image: await picture(data.image),
  label: new Uint8Array(await inflate(data.label)),
  confidence: new Uint16Array(await inflate(data.confidence)),
  before: data.before && new Uint8Array(await inflate(data.before)),
}))();
"""


def embedded(prediction: Prediction, *, before: np.ndarray | None = None) -> str:
    """Return an iframe with the viewer and all that it shows; nothing is fetched.

    Args:
        prediction: what is shown.
        before: class ids (H, W) uint8 with all bins, to show what changes; None if all are on.
    """
    height, width = prediction.label.shape
    confidence = np.rint(prediction.confidence * MOST).astype("<u2")
    data = {
        "name": prediction.name,
        "width": width,
        "height": height,
        "classes": prediction.classes.names,
        "colors": prediction.classes.colors,
        "image": b64encode(encode(prediction.image)).decode(),
        "label": _packed(prediction.label),
        "confidence": _packed(confidence),
        "before": None if before is None else _packed(before),
    }
    style, viewer = ((VIEWER / f"viewer.{kind}").read_text("utf-8") for kind in ("css", "js"))
    content = json.dumps(data).replace("<", "\\u003c")  # so that no name ends the script
    style += "html {overflow: hidden}"  # the frame grows with its content
    document = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><style>{style}</style>'
        f'<div id="viewer"></div><script>{viewer}\nconst data = {content};{SCRIPT}</script></html>'
    )
    frame = "width: 100%; border: 0; display: block"
    return f'<iframe title="Prediction" style="{frame}" srcdoc="{html.escape(document)}"></iframe>'


def _packed(values: np.ndarray) -> str:
    return b64encode(zlib.compress(values.tobytes(), 1)).decode()
