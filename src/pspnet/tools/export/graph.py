"""The network between an image file's pixels and its class map, as one module to export."""

from __future__ import annotations

from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pspnet.inference.network_copy import inference_copy
from pspnet.models.pspnet import PSPNet
from pspnet.ops.same_padding import replace_same_padding
from pspnet.ops.symbolic_pooling import SymbolicPooling
from pspnet.prediction.loading import Trained


class ImageGraph(nn.Module):
    """A single pass, as `inference.single_pass` has it, with all that comes before and after.

    The network is a copy of that which predicts. Only what an exporter cannot follow is written in
    another way there: pooling to grids, padding to a stride, and the pyramid's fused form.

    Args:
        trained: network, mean, std and temperature.
        dtype: that the network computes in, float32 or float16.

    Raises:
        UserError: if the images are others than RGB of 8 bits.

    Shapes:
        (N, H, W, 3) uint8 RGB in, any H and W of at least 32; class ids (N, H, W) uint8 and their
        probability (N, H, W) float32 out.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, trained: Trained, *, dtype: torch.dtype = torch.float32) -> None:
        trained.require_rgb("an exported file")
        super().__init__()
        network = deepcopy(inference_copy(trained.task.network.eval())[0]).cpu()
        network.fused_pyramid = False
        replace_same_padding(network)
        self.network: PSPNet = network.to(dtype).requires_grad_(False)
        self.temperature, self.dtype = float(trained.task.temperature), dtype
        levels = 255 * torch.tensor([trained.mean, trained.std])[:, :, None, None]
        self.register_buffer("mean", levels[0], persistent=False)
        self.register_buffer("std", levels[1], persistent=False)
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        _, height, width, _ = image.shape
        pixels = (image.permute(0, 3, 1, 2).float() - self.mean) / self.std
        stride = self.network.output_stride if self.network.align_corners else 1
        above, below = padding(height, stride)
        left, right = padding(width, stride)
        if stride > 1:
            pixels = F.pad(pixels, (left, right, above, below))
        with SymbolicPooling():
            logits: Tensor = self.network(pixels.to(self.dtype)).float()  # (N, C, H', W')
        highest, label = logits.max(1)
        label = label.to(torch.uint8)
        confidence = 1 / ((logits - highest[:, None]) / self.temperature).exp().sum(1)
        if stride == 1:
            return label, confidence
        rows, columns = above + torch.arange(height), left + torch.arange(width)
        return _cut(label, rows, columns), _cut(confidence, rows, columns)


def padding(side: int, stride: int) -> tuple[int, int]:
    """Return the pixels before and after a side of 32 or more, to `stride`·n + 1 pixels."""
    missing = 0 if stride == 1 else (side + stride - 2) // stride * stride + 1 - side
    return missing // 2, missing - missing // 2


def _cut(maps: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    # not a slice: torch.export cannot prove that bounds of symbols lie within the map
    return maps.index_select(1, rows).index_select(2, columns)
