"""The memory that a prediction on a large image needs, measured on small ones."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from pspnet.data.memory import available_memory
from pspnet.errors import UserError
from pspnet.inference.class_scores import predict
from pspnet.inference.protocols import Protocol
from pspnet.inference.score_blocks import MEMORY
from pspnet.models.pspnet import PSPNet

LARGE = 2**24  # pixels; fewer take seconds, and are not measured
SIDES = (257, 385)  # pixels of the small images
MARGIN = 1.3  # for what libraries take beside the tensors
WRITING = 64  # bytes per pixel to write a prediction in colors and over its image


def check_memory(
    network: PSPNet, image: Tensor, protocol: Protocol, *, scores: bool = True
) -> None:
    """Refuse a large image whose prediction needs more memory than there is left.

    Linux would kill the process instead.

    Args:
        network: in evaluation mode.
        image: (N, 3, H, W), normalized.
        protocol: see `pspnet.inference.protocols.resolve`.
        scores: sliding windows hold the scores of the entire image, not those of blocks alone.

    Raises:
        UserError: with the image's size and the remedy.
    """
    height, width = image.shape[2:]
    if len(image) * height * width < LARGE:
        return
    if protocol.crop_size is None:
        need = bytes_per_pixel(network, image, protocol) * height * width
    elif not scores:
        need = 2 * MEMORY
    else:  # the scores and the image at its largest scale; memory of the windows does not grow
        scaled = max(rows * columns for rows, columns in protocol.sizes(height, width))
        apart = protocol.averages_slides and len(protocol.slides) > 1
        classes = network.num_classes * (2 if apart else 1) + 1
        need = 4 * (classes * height * width + image.shape[1] * scaled)
    need, left = len(image) * max(need, WRITING * height * width), _available(image.device)
    if need > left:
        slide = "" if protocol.crop_size else ", or evaluate by windows (model.protocol=paper-ss)"
        raise UserError(
            f"an image of {width}×{height} pixels needs {need / 2**30:.1f} GiB of memory, and "
            f"{left / 2**30:.1f} GiB are left; cut it into tiles{slide}"
        )


def bytes_per_pixel(network: PSPNet, image: Tensor, protocol: Protocol) -> float:
    """Return how the memory of a prediction on whole images grows with each pixel of an image."""
    peaks: list[int] = []
    for side in SIDES:
        with PeakMemory() as peak:
            predict(network, image.new_zeros(1, image.shape[1], side, side), protocol)
        peaks.append(peak.bytes)
    return MARGIN * (peaks[1] - peaks[0]) / (SIDES[1] ** 2 - SIDES[0] ** 2)


class PeakMemory(TorchDispatchMode):
    """The largest sum of the tensors that are alive at once, in `bytes`, on any device."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = 0
        self._alive: dict[int, tuple[StorageWeakRef, int]] = {}

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, Tensor):
                storage = leaf.untyped_storage()
                reference = StorageWeakRef(storage)  # type: ignore[no-untyped-call]
                self._alive[storage._cdata] = reference, storage.nbytes()
        for key, (reference, _) in [*self._alive.items()]:
            if reference.expired():  # type: ignore[no-untyped-call]
                del self._alive[key]
        self.bytes = max(self.bytes, sum(count for _, count in self._alive.values()))
        return out


def _available(device: torch.device) -> int:
    if device.type != "cuda":
        return available_memory()
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused
