"""Static quantization of an ONNX model, on images like those that it will see."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from pspnet.data.dataset import SegmentationDataset
from pspnet.data.datasets.classes import IGNORE
from pspnet.data.image_io import read_image
from pspnet.data.prediction_images import find_images
from pspnet.errors import UserError
from pspnet.evaluation.confusion_matrix import confusion_matrix
from pspnet.evaluation.metrics import mean_iou
from pspnet.prediction.exported import quiet
from pspnet.tools.export.onnx_file import IMAGE, Session

CALIBRATION = 64  # images, evenly over those that there are
SCORED = 500  # images of the validation split at most


@dataclass(frozen=True)
class Calibration:
    """Images to choose ranges on, and labeled ones to see the loss.

    Args:
        images: files.
        scored: the validation split; None where the data is not at hand.
    """

    images: Sequence[Path]
    scored: SegmentationDataset | None = None

    def pixels(self, size: tuple[int, int] | None = None) -> Iterator[np.ndarray]:
        """Yield each image as (1, H, W, 3) uint8, resized to `size` if it is given."""
        for path in self.images:
            image = read_image(path)
            if size is not None:
                image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
            yield image[None]


def calibration_of_folder(folder: Path) -> Calibration:
    """Take the images of a folder.

    Raises:
        UserError: if it holds none.
    """
    return Calibration(_evenly([sample.image for sample in find_images(folder)], CALIBRATION))


def calibration_of_run(path: Path, *, root: Path | None, trust: bool) -> Calibration:
    """Take the training images of the data that a checkpoint names, and its validation split.

    Raises:
        UserError: if the checkpoint names no data, or that is not here.
    """
    from pspnet.tools.explain.load import load

    if root is not None and not root.is_dir():  # which some data sets would write
        raise UserError(f"{root}: no such folder; give the --root of the data, or --images FOLDER")
    try:
        source = load(path, root=root, trust=trust).data.source
        source.prepare()
        samples = [sample.image for sample in source.samples("train")]
        labeled = _evenly(source.samples("val"), SCORED)
    except UserError as error:
        raise UserError(f"{error}; or calibrate on a folder: --images FOLDER") from error
    scored = SegmentationDataset(labeled, read_label=source.read_label)
    return Calibration(_evenly(samples, CALIBRATION), scored)


def quantize(path: Path, calibration: Calibration, *, size: tuple[int, int] | None) -> None:
    """Make the convolutions of an ONNX file 8-bit, except that to the classes, in the form QDQ.

    Weights have a scale per output channel; activations one per map, from their extremes.
    """
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    nodes = onnx.load(path, load_external_data=False).graph.node
    convolutions = [node.name for node in nodes if node.op_type == "Conv"]
    with quiet():
        quantize_static(
            path,
            path,
            _Reader(calibration.pixels(size)),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=convolutions[:-1],
        )


def score(
    session: Session,
    scored: SegmentationDataset,
    *,
    classes: int,
    size: tuple[int, int] | None,
) -> float:
    """Return the mIoU of a session's `classes` over labeled images, 0 to 1."""
    matrix = torch.zeros(classes, classes, dtype=torch.int64)
    for index in range(len(scored)):
        item = scored[index]
        image = item["image"].permute(1, 2, 0).contiguous().numpy()
        own = image.shape[:2]
        if size is not None:
            image = cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA)
        label = session.run(image[None])[0][0]
        if size is not None:
            label = cv2.resize(label, own[::-1], interpolation=cv2.INTER_NEAREST)
        matrix += confusion_matrix(
            torch.from_numpy(label), item["label"], num_classes=classes, ignore_index=IGNORE
        )
    return float(mean_iou(matrix))


class _Reader:
    """Calibration images in the form in which onnxruntime takes them."""

    def __init__(self, images: Iterator[np.ndarray]) -> None:
        self._images = images

    def get_next(self) -> dict[str, Any] | None:
        image = next(self._images, None)
        return None if image is None else {IMAGE: image}


def _evenly(items: Sequence[Any], count: int) -> list[Any]:
    step = max(1, len(items) / count)
    return [items[int(step * index)] for index in range(min(count, len(items)))]
