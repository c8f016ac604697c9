"""The sections of the page on decoder, prediction, auxiliary head and the sums."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.evaluation.confusion_matrix import confusion_matrix
from pspnet.evaluation.metrics import iou_per_class, pixel_accuracy
from pspnet.tools.explain.report.markdown import amount, pixels, points, shape
from pspnet.tools.explain.samples import NamedImage
from pspnet.tools.explain.walk.hooks import HIDDEN
from pspnet.tools.explain.walk.maps import channel_frames, component_frame, part_facts
from pspnet.tools.explain.walk.markup import chip, facts, frame, row, section, span, table, text
from pspnet.tools.explain.walk.pictures import first_component, heat, labels, limits_of
from pspnet.tools.explain.walk.record import Walk
from pspnet.tools.explain.walk.seconds import HEADS

TOP = 6  # classes whose logits are shown
RIGHT, WRONG, IGNORED = (205, 210, 216), (200, 30, 30), (255, 255, 255)


@dataclass(frozen=True)
class Shown:
    """The image that is walked through, and its label (H, W) of train ids, if there is one."""

    image: NamedImage
    label: np.ndarray | None


def top_classes(logits: Tensor) -> list[int]:
    """Return the classes that logits (C, h, w) name most often, most units first."""
    counts = torch.bincount(logits.argmax(0).flatten(), minlength=len(logits))
    order = counts.argsort(descending=True, stable=True)[:TOP]
    return [int(k) for k in order if counts[k]]


def decoder_section(walk: Walk, classes: Classes) -> str:
    """Return the decoder's last features, the logits of the classes that occur, and the argmax."""
    part, hidden = walk.parts.get("decoder"), walk.record.maps.get(HIDDEN)
    seconds = walk.seconds.get(HEADS)
    listed = {"output": shape(walk.logits.shape), **(part_facts(part, None) if part else {})}
    listed |= {} if seconds is None else {"time with the pyramid": f"{1000 * seconds:.1f} ms"}
    before = ""
    if hidden is not None:
        frames = [component_frame(walk, hidden, first_component(hidden), "decoder")]
        frames += channel_frames(walk, hidden, "decoder")
        before = f"<p>Before the classifier: {shape(hidden.shape)}.</p>{row(*frames)}"
    return section(
        "decoder",
        "Decoder",
        facts(listed),
        before,
        "<h3>Logits</h3><p>Of the classes that win most often, all in one scale of colors, and the"
        " class of the largest logit.</p>",
        row(*_logit_frames(walk, classes), _argmax_frame(walk, walk.logits, classes, "Argmax")),
        _legend([_ids(walk.logits)], classes),
    )


def _logit_frames(walk: Walk, classes: Classes) -> Iterable[str]:
    chosen = top_classes(walk.logits)
    limits = limits_of(walk.logits[chosen])
    for k in chosen:
        values = walk.logits[k]
        yield frame(
            heat(values, limits),
            f"{classes.names[k]}: {span(values)}",
            f"logits of {classes.names[k]}, {span(values)}",
            aspect=walk.aspect,
            units=values.shape,
        )


def _argmax_frame(walk: Walk, logits: Tensor, classes: Classes, caption: str) -> str:
    ids = _ids(logits)
    names = ", ".join(classes.names[k] for k in top_classes(logits))
    return frame(
        labels(ids, classes.palette()),
        f"{caption} at {shape(ids.shape)} units",
        f"{caption}: {names}",
        aspect=walk.aspect,
        units=ids.shape,
    )


def _ids(logits: Tensor) -> np.ndarray:
    """Return the classes of the largest logits, (h, w) uint8."""
    ids: np.ndarray = logits.argmax(0).to(torch.uint8).cpu().numpy()
    return ids


def _legend(maps: Iterable[np.ndarray], classes: Classes) -> str:
    found = sorted({int(k) for ids in maps for k in np.unique(ids)} - {IGNORE})
    items = (f"<li>{chip(classes.colors[k])}{text(classes.names[k])}</li>" for k in found)
    return f'<ul class="legend">{"".join(items)}</ul>'


def prediction_section(walk: Walk, shown: Shown, classes: Classes) -> str:
    """Return the prediction at the image's size, beside its label if there is one."""
    prediction = walk.prediction.numpy()
    size = (prediction.shape[0], prediction.shape[1])
    frames = [
        frame("var(--image)", "Image", f"image {shown.image.name}", aspect=size),
        frame(
            labels(prediction, classes.palette()),
            f"Prediction, {shape(size)}",
            f"prediction: {_names(prediction, classes)}",
            aspect=size,
        ),
    ]
    said, scores = "", ""
    if shown.label is not None:
        matrix = confusion_matrix(
            walk.prediction[None],
            torch.from_numpy(shown.label.astype(np.int64))[None],
            num_classes=len(classes),
            ignore_index=IGNORE,
        )
        frames += _label_frames(prediction, shown.label, classes, size)
        said = f"<p>{points(float(pixel_accuracy(matrix)))} % of the labeled pixels are right.</p>"
        scores = _iou_table(matrix, classes)
    steps = "The logits are upsampled bilinearly to the input's size"
    if walk.passes.total > 1:
        kind = "probabilities" if walk.protocol.average == "softmax" else "logits"
        steps += f", and the {kind} of all {walk.passes.total} passes are averaged"
    elif walk.aspect != size:
        steps += ", and its padding is cut off"
    return section(
        "prediction",
        "Prediction (figure 3d)",
        f"<p>{steps}. The class of the highest score is the prediction.</p>{said}",
        row(*frames),
        _legend([prediction, *([] if shown.label is None else [shown.label])], classes),
        scores,
    )


def _label_frames(
    prediction: np.ndarray, label: np.ndarray, classes: Classes, size: tuple[int, int]
) -> list[str]:
    palette = classes.palette()
    palette[IGNORE] = 255
    wrong = np.where(label == IGNORE, 2, prediction != label).astype(np.uint8)
    share = points((wrong == 1).sum() / max(1, (wrong < 2).sum()))
    return [
        frame(labels(label, palette), "Label", f"label: {_names(label, classes)}", aspect=size),
        frame(
            labels(wrong, np.array([RIGHT, WRONG, IGNORED], np.uint8)),
            f"Wrong pixels in red, {share} %",
            f"{share} % of the labeled pixels are wrong",
            aspect=size,
        ),
    ]


def _names(ids: np.ndarray, classes: Classes) -> str:
    counts = np.bincount(ids[ids < len(classes)], minlength=len(classes))
    return ", ".join(
        classes.names[k] for k in np.argsort(-counts, kind="stable")[:TOP] if counts[k]
    )


def _iou_table(matrix: Tensor, classes: Classes) -> str:
    total, iou = matrix.sum(), iou_per_class(matrix)
    rows = [
        (
            f"{chip(classes.colors[k])}{text(classes.names[k])}",
            *(points(float(matrix.sum(axis)[k] / total)) for axis in (1, 0)),
            points(float(iou[k])),
        )
        for k in range(len(classes))
        if matrix[k].sum() + matrix[:, k].sum() > 0
    ]
    header = ("class", "label, %", "prediction, %", "IoU, %")
    return table("Classes of this image", header, rows)


def auxiliary_section(walk: Walk, classes: Classes) -> str:
    """Return what the auxiliary head, which runs in training alone, says of stage 4."""
    title, part = "Auxiliary head (figure 4)", walk.parts.get("auxiliary")
    if walk.auxiliary is None:
        return section("auxiliary", title, "<p>The network has none.</p>")
    listed = {"output": shape(walk.auxiliary.shape), **(part_facts(part, None) if part else {})}
    agreed = "."
    if walk.auxiliary.shape[1:] == walk.logits.shape[1:]:
        same = (walk.auxiliary.argmax(0) == walk.logits.argmax(0)).float().mean().item()
        agreed = f": {points(same)} % of the units have the same class."
    return section(
        "auxiliary",
        title,
        facts(listed),
        "<p>It classifies stage 4, and runs in training alone. Here it is run on the stage 4 above,"
        f" to be compared with the decoder{agreed}</p>",
        row(
            _argmax_frame(walk, walk.auxiliary, classes, "Auxiliary head"),
            _argmax_frame(walk, walk.logits, classes, "Decoder"),
        ),
        _legend([_ids(walk.auxiliary), _ids(walk.logits)], classes),
    )


def numbers_section(walk: Walk, parameters: int) -> str:
    """Return shapes, parameters, operations and times of all parts in one table."""
    rows = []
    for part in walk.parts.values():
        seconds = walk.seconds.get(part.name)
        rows.append(
            (
                text(part.name) + (" (training)" if part.training_only else ""),
                shape(part.shape),
                pixels(part.field.size),
                amount(part.parameters),
                amount(part.flops),
                "" if seconds is None else f"{1000 * seconds:.1f}",
            )
        )
    rows.append(
        ("inference, published form", "", "", amount(parameters), amount(walk.published_flops), "")
    )
    total = f"{1000 * sum(walk.seconds.values()):.1f}"
    rows.append(("inference, as run", "", "", amount(parameters), amount(walk.flops), total))
    header = ("part", "output", "field, px", "parameters", "FLOPs", "ms")
    return section(
        "numbers",
        "All parts",
        "<p>For one input of the size above, in float32. A multiplication and an addition are two"
        " operations; convolutions and matrix products count. Times are medians of passes as run,"
        f" on this machine; threads: {torch.get_num_threads()}. Evaluation also folds batch"
        " normalizations into convolutions, which changes these maps by rounding alone.</p>",
        table("Parts in order of execution", header, rows),
    )
