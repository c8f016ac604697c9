"""Files in the format of the authors' Caffe release, from the names and shapes of its prototxts."""

import struct

import numpy as np
from foreign import COUNTS, Shapes

BINS = (1, 2, 3, 6)


def caffe(depth: int = 50, classes: int = 150, *, auxiliary: bool = True) -> Shapes:
    """Shapes of the layers of the release's prototxts; "/bn" stands for all four blobs of a BN."""

    def layer(name: str, inputs: int, outputs: int, side: int) -> Shapes:
        yield name, (outputs, inputs, side, side)
        yield f"{name}/bn", (1, outputs, 1, 1)

    yield from layer("conv1_1_3x3_s2", 3, 64, 3)
    yield from layer("conv1_2_3x3", 64, 64, 3)
    yield from layer("conv1_3_3x3", 64, 128, 3)
    inputs = 128
    for stage, count in enumerate(COUNTS[depth], start=2):
        width = 16 << stage
        for block in range(1, count + 1):
            name = f"conv{stage}_{block}_"
            yield from layer(f"{name}1x1_reduce", inputs, width, 1)
            yield from layer(f"{name}3x3", width, width, 3)
            yield from layer(f"{name}1x1_increase", width, 4 * width, 1)
            if block == 1:
                yield from layer(f"{name}1x1_proj", inputs, 4 * width, 1)
            inputs = 4 * width
    if auxiliary:
        yield from layer(f"conv4_{COUNTS[depth][2] + 1}", 1024, 256, 3)
        yield "conv6_1", (classes, 256, 1, 1)
    for side in BINS:
        yield from layer(f"conv5_3_pool{side}_conv", 2048, 512, 1)
    yield from layer("conv5_4", 4096, 512, 3)
    yield "conv6", (classes, 512, 1, 1)


Blobs = dict[str, list[np.ndarray]]


def caffe_blobs(shapes: Shapes, *, hollow: bool = False) -> Blobs:
    """Random blobs per layer: slope, bias, mean, variance of a BN; otherwise weight, maybe bias."""
    generator = np.random.default_rng(0)

    def draw(shape: tuple[int, ...]) -> np.ndarray:
        if hollow:
            return np.zeros(shape, np.float32)
        return (generator.random(shape, np.float32) - 0.5) / 4

    blobs = {}
    for name, shape in shapes:
        if name.endswith("/bn"):
            blobs[name] = [draw(shape) + 1, draw(shape), draw(shape), draw(shape) + 1]
        else:
            blobs[name] = [draw(shape)]
            if name.startswith("conv6"):
                blobs[name].append(draw(shape[:1]))
    return blobs


def caffe_parameters(name: str, *, stride_in_1x1: bool) -> dict[int, int]:
    """Return `stride` (6) and `hole` (17) of a layer's convolution_param in the prototxts."""
    strided = "conv3_1_1x1_reduce" if stride_in_1x1 else "conv3_1_3x3"
    two = name in ("conv1_1_3x3_s2", "conv3_1_1x1_proj", strided)
    dilated = name.endswith("_3x3") and name[:5] in ("conv4", "conv5")
    hole = {17: 2 if name.startswith("conv4") else 4} if dilated else {}
    return {6: 2 if two else 1, **hole}


def caffe_file(
    blobs: Blobs, *, stride_in_1x1: bool = True, legacy: bool = False, field: int = 100
) -> bytes:
    """Encode a `.caffemodel`; `legacy` shapes are num, channels, height, width.

    Each BN is followed by its ReLU, which has no blobs.
    """
    content = [message(1, b"PSPNet")]
    for name, arrays in blobs.items():
        layer = message(1, name.encode())
        for array in arrays:
            layer += message(7, _blob(array, legacy=legacy))
        if not name.endswith("/bn"):
            parameters = caffe_parameters(name, stride_in_1x1=stride_in_1x1)
            numbers = b"".join(varint(key << 3) + varint(n) for key, n in parameters.items())
            layer += message(106, numbers)
        content.append(message(field, layer))
        if name.endswith("/bn"):
            content.append(message(field, message(1, name.replace("/bn", "/relu").encode())))
    return b"".join(content)


def _blob(array: np.ndarray, *, legacy: bool) -> bytes:
    sides = array.shape if not legacy else (1,) * (4 - array.ndim) + array.shape
    if legacy:
        shape = b"".join(varint(n << 3) + varint(side) for n, side in enumerate(sides, start=1))
    else:
        shape = message(7, message(1, b"".join(varint(side) for side in sides)))
    return shape + message(5, array.astype("<f4").tobytes())


def varint(value: int) -> bytes:
    groups = []
    while True:
        value, group = value >> 7, value & 127
        groups.append(group | (128 if value else 0))
        if not value:
            return struct.pack(f"{len(groups)}B", *groups)


def message(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content
