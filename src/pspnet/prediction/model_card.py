"""The model card of a trained network, from the results of its evaluation."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from pspnet.errors import visible
from pspnet.models.published.weights_file import CONFIG
from pspnet.prediction.loading import Trained

PICTURES = ("predictions.png", "iou_per_class.png")
PAPER = "https://arxiv.org/abs/1612.01105"


def results_of(trained: Trained) -> dict[str, Any] | None:
    """Return the results.json of the checkpoint's run if it is about this checkpoint, or None."""
    if trained.run is None or trained.path is None:
        return None
    try:
        if (trained.run / CONFIG).is_file():  # a saved folder
            return _plain(json.loads((trained.run / CONFIG).read_text("utf-8"))["results"])
        found = json.loads((trained.run / "results.json").read_text("utf-8"))
        same = str(found["checkpoint"]).endswith(trained.path.name)
        return _plain(found) if same else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _plain(found: dict[str, Any]) -> dict[str, Any]:
    """Return what the card tells of results that anybody may have written."""
    texts = {key: str(found[key]) for key in ("split", "protocol", "precision")}
    scores = {key: float(found[key]) for key in ("miou", "pixel_accuracy")}
    per_class = {
        key: {str(name): None if x is None else float(x) for name, x in found[key].items()}
        for key in ("iou", "accuracy")
    }
    return texts | scores | per_class


def model_card(
    trained: Trained,
    *,
    pictures: Sequence[str] = (),
    license: str | None = None,
    data: str | None = None,
    repository: str | None = None,
) -> str:
    """Return the card as Markdown with the Hub's metadata.

    Args:
        trained: the network.
        pictures: files beside the card, of `PICTURES`.
        license: of the weights; None says that none is stated.
        data: name of the data set; None is not named.
        repository: its id on the Hub.
    """
    results, task = results_of(trained), trained.task
    options = task.network.options
    bins = ", ".join(map(str, options["bins"]))
    parts = [
        f"# PSPNet, {options['encoder']}, {len(task.classes)} classes",
        f"A [Pyramid Scene Parsing Network]({PAPER}) for semantic segmentation: encoder "
        f"`{options['encoder']}` dilated to 1/{task.network.output_stride}, pyramid pooling at "
        f"bins {bins} ({options['pool']}), logits upsampled to the image's size.",
        "## Use",
        "```python\nfrom pspnet import Predictor\n\n"
        f'predictor = Predictor.from_pretrained("{repository or "this/folder"}")\n'
        'prediction = predictor("image.jpg")\n'
        "prediction.label  # class ids, (H, W) uint8\n"
        'prediction.overlay().save("out.png")\n```',
        f"Images are {_input(trained)} of any size; normalization and evaluation protocol are in "
        "the file.",
        "## Results",
        _table(results, task.classes.names) if results else "No evaluation is stored with it.",
        *(f"![{name.removesuffix('.png').replace('_', ' ')}]({name})" for name in pictures),
        "## Classes",
        ", ".join(f"{index} {_text(name)}" for index, name in enumerate(task.classes.names)),
        "## License",
        f"The weights: {license}." if license else "None is stated; that of the data applies.",
    ]
    return f"---\n{_metadata(results, license, data)}\n---\n\n" + "\n\n".join(parts) + "\n"


def _input(trained: Trained) -> str:
    channels = trained.channels
    if channels.is_rgb:
        return "8-bit RGB"
    scaled = "8-bit" if channels.value_range is None else f"values of {[*channels.value_range]}"
    return f"{', '.join(map(_text, channels.names))} ({scaled})"


def _metadata(results: dict[str, Any] | None, license: str | None, data: str | None) -> str:
    scores: dict[str, Any] = {}
    if results is not None:
        found = EvalResult(
            task_type="image-segmentation",
            dataset_type=(data or "own").lower(),
            dataset_name=data or "the training's data set",
            dataset_split=results["split"],
            metric_type="mean_iou",
            metric_value=round(results["miou"], 4),
            metric_args={"protocol": results["protocol"], "precision": results["precision"]},
        )
        scores = {"model_name": "PSPNet", "eval_results": [found]}
    card = ModelCardData(
        library_name="pspnet",
        license=license,
        pipeline_tag="image-segmentation",
        tags=["pspnet", "semantic-segmentation", "pytorch"],
        **scores,
    )
    return str(card.to_yaml())


def _table(results: dict[str, Any], names: Sequence[str]) -> str:
    rows = [
        f"mIoU {100 * results['miou']:.2f} % on {_text(results['split'])}, protocol "
        f"{_text(results['protocol'])}, {_text(results['precision'])}; "
        f"pixel accuracy {100 * results['pixel_accuracy']:.2f} %.",
        "",
        "| class | IoU, % | accuracy, % |",
        "|---|---|---|",
    ]
    for name in names:
        iou, accuracy = (_percent(results[key].get(name)) for key in ("iou", "accuracy"))
        rows.append(f"| {_text(name)} | {iou} | {accuracy} |")
    return "\n".join(rows)


def _text(name: str) -> str:
    """Return a text that Markdown shows as it is, whatever HTML, link or column it looks like."""
    return re.sub(r"([\\`*_\[\]<>&|~$!#])", r"\\\1", visible(name))


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"
