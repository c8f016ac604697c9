"""The authors' Caffe networks, layer by layer from their prototxts, plain and slow."""

import numpy as np
import torch
import torch.nn.functional as F
from references import BINS, COUNTS, WIDTHS, convolution, resized
from torch import Tensor, nn


class Caffe(nn.Module):
    """hszhao/PSPNet for deployment, with the layers and names of its prototxts.

    The prototxts fix the pooling kernels for 473 × 473 (60, 30, 20, 10) and 713 × 713 pixels; here
    `size` may be any 8n + 1 pixels if the features' side, n + 1, is divisible by 6.
    """

    def __init__(self, depth: int, classes: int, size: int = 473) -> None:
        super().__init__()
        assert (size - 1) % 8 == 0
        assert ((size - 1) // 8 + 1) % 6 == 0
        self.counts, self.side = COUNTS[depth], (size - 1) // 8 + 1
        self.layers = nn.ModuleDict()
        self.add("conv1_1_3x3_s2", convolution(3, 64, 3, stride=2))
        self.add("conv1_2_3x3", convolution(64, 64, 3))
        self.add("conv1_3_3x3", convolution(64, 128, 3))
        for i, count in enumerate(self.counts):
            out = 4 * WIDTHS[i]
            for block in range(1, count + 1):
                inputs = out if block > 1 else (out // 2 if i else 128)
                # pspnet50 strides in conv3_1_1x1_reduce, both pspnet101 in conv3_1_3x3
                stride = 2 if (i, block) == (1, 1) else 1
                reduce, wide = (stride, 1) if depth == 50 else (1, stride)
                name = f"conv{i + 2}_{block}"
                self.add(f"{name}_1x1_reduce", convolution(inputs, WIDTHS[i], 1, reduce))
                hole = (1, 1, 2, 4)[i]
                self.add(f"{name}_3x3", convolution(WIDTHS[i], WIDTHS[i], 3, wide, hole))
                self.add(f"{name}_1x1_increase", convolution(WIDTHS[i], out, 1))
                if block == 1:
                    self.add(f"{name}_1x1_proj", convolution(inputs, out, 1, stride))
        for b in BINS:
            self.add(f"conv5_3_pool{b}_conv", convolution(2048, 512, 1))
        self.add("conv5_4", convolution(4096, 512, 3))
        self.layers["conv6"] = nn.Conv2d(512, classes, 1)

    def add(self, name: str, layer: nn.Conv2d) -> None:
        self.layers[name] = layer
        self.layers[f"{name}/bn"] = nn.BatchNorm2d(layer.out_channels)

    def run(self, name: str, x: Tensor) -> Tensor:
        return self.layers[f"{name}/bn"](self.layers[name](x))

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, classes, size, size) of BGR images of 0 to 255 minus the mean."""
        x = image
        for name in ("conv1_1_3x3_s2", "conv1_2_3x3", "conv1_3_3x3"):
            x = F.relu(self.run(name, x))
        x = F.max_pool2d(x, 3, 2, 1, ceil_mode=True)
        for i, count in enumerate(self.counts):
            for block in range(1, count + 1):
                name = f"conv{i + 2}_{block}"
                y = F.relu(self.run(f"{name}_1x1_reduce", x))
                y = self.run(f"{name}_1x1_increase", F.relu(self.run(f"{name}_3x3", y)))
                x = F.relu(y + (self.run(f"{name}_1x1_proj", x) if block == 1 else x))
        levels = [x]
        for b in reversed(BINS):
            level = self.run(f"conv5_3_pool{b}_conv", F.avg_pool2d(x, self.side // b))
            levels.append(resized(F.relu(level), (self.side, self.side), True))
        x = self.layers["conv6"](F.relu(self.run("conv5_4", torch.cat(levels, dim=1))))
        zoomed = 8 * (self.side - 1) + 1
        return resized(x, (zoomed, zoomed), True)

    def blobs(self) -> dict[str, list[np.ndarray]]:
        """Return the arrays per layer: weight (and bias), or slope, bias, mean, variance of a BN.

        Released files hold the layers without arrays too; two of them are included.
        """
        arrays: dict[str, list[np.ndarray]] = {"pool1_3x3_s2": [], "conv5_3_concat": []}
        for name, layer in self.layers.items():
            tensors = [layer.weight, layer.bias]
            if isinstance(layer, nn.BatchNorm2d):
                tensors += [layer.running_mean, layer.running_var]
                tensors = [tensor.reshape(1, -1, 1, 1) for tensor in tensors]
            arrays[name] = [t.detach().float().numpy() for t in tensors if t is not None]
        return arrays
