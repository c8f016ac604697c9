"""Networks with published weights against the published networks: logits, losses, gradients.

Random weights go through a file in the published format and `load_published`; `references` has the
published computations. The sizes of the papers take minutes each:

EQUALITY_REPORT=rows.md pytest tests/models/test_equality.py -m slow   # one Markdown row per case
"""

import copy
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from caffemodel import caffe_file
from prototxt import Caffe
from references import Mmsegmentation, Semseg, fill
from torch import Tensor, nn

from pspnet import load_published
from pspnet.losses import CrossEntropy

CLASSES = 7
LIMITS = {torch.float32: 1e-4, torch.float64: 1e-9}
QUICK_TYPES = (torch.float64, pytest.param(torch.float32, marks=pytest.mark.slow))
PUBLISHED = {
    "semseg-50": lambda: Semseg(50, CLASSES),
    "semseg-101": lambda: Semseg(101, CLASSES),
    "mmsegmentation-18": lambda: Mmsegmentation(18, CLASSES),
    "mmsegmentation-18b": lambda: Mmsegmentation(18, CLASSES, deep_stem=False),
    "mmsegmentation-50": lambda: Mmsegmentation(50, CLASSES),
    "mmsegmentation-50b": lambda: Mmsegmentation(50, CLASSES, deep_stem=False),
    "mmsegmentation-101": lambda: Mmsegmentation(101, CLASSES),
}
PREFIX = {Semseg: "module.", Mmsegmentation: ""}
BIN_OF_ONE = {Semseg: "ppm.features.0.2", Mmsegmentation: "decode_head.psp_modules.0.1.bn"}
SMALL = [
    ("semseg-50", (65, 57)),
    ("mmsegmentation-18", (75, 101)),
    ("mmsegmentation-18b", (75, 101)),
    pytest.param("mmsegmentation-50", (67, 60), marks=pytest.mark.slow),
]
LARGE = [
    ("semseg-101", (65, 41)),
    ("mmsegmentation-101", (67, 44)),
    *((name, size) for name in ("semseg-50", "semseg-101") for size in (473, 713, (89, 121))),
    *((f"mmsegmentation-{depth}", size) for depth in (50, 101) for size in (473, 713, (75, 101))),
    ("mmsegmentation-50b", (75, 101)),
]


@dataclass
class Pair:
    """A published network, this package's with its weights, and their parameters' names."""

    reference: Semseg | Mmsegmentation
    network: nn.Module
    names: dict[str, str]  # from the reference's to this package's

    def without_dropout(self, dtype: torch.dtype) -> "Pair":
        """Return a copy in another precision; the references have no dropout."""
        twin = copy.deepcopy(self)
        for network in (twin.reference, twin.network):
            network.to(dtype)
        for layer in twin.network.modules():
            if isinstance(layer, nn.Dropout2d):
                layer.p = 0
        return twin

    def train(self, *, hold: str | None) -> None:
        """Set training mode, except for the reference's layer `hold` and its counterpart."""
        for network in (self.reference, self.network):
            network.train()
        if hold is not None:
            own = self.names[f"{hold}.weight"].removesuffix(".weight")
            self.reference.get_submodule(hold).eval()
            self.network.get_submodule(own).eval()


@pytest.fixture(scope="module")
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """The network of this name in `PUBLISHED`, saved as published and read again."""
    reference = PUBLISHED[request.param]()
    fill(reference, seed=1)
    prefix = PREFIX[type(reference)]
    state = {prefix + name: value for name, value in reference.state_dict().items()}
    path = tmp_path_factory.mktemp("published") / f"{request.param}.pth"
    torch.save({"state_dict": state, "meta": {"CLASSES": ["class"] * CLASSES}}, path)
    network = load_published(path).network
    path.unlink()  # some hundred megabytes, which pytest would keep
    return Pair(reference, network, matched(reference, network))


def matched(reference: nn.Module, network: nn.Module) -> dict[str, str]:
    """Match the parameters of both networks by their values, each exactly once."""
    own = {fingerprint(parameter): name for name, parameter in network.named_parameters()}
    names = {name: own.pop(fingerprint(p)) for name, p in reference.named_parameters()}
    assert not own, f"not in the reference: {list(own.values())}"
    return names


def fingerprint(parameter: Tensor) -> tuple[torch.Size, bytes]:
    return parameter.shape, parameter.detach().numpy().tobytes()


def batch(count: int, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Normalized images in float64, and labels of which a tenth is ignored."""
    generator = torch.Generator().manual_seed(2)
    image = torch.randn(count, 3, *size, generator=generator, dtype=torch.float64)
    label = torch.randint(CLASSES, (count, *size), generator=generator)
    label[torch.rand(label.shape, generator=generator) < 0.1] = 255
    return image, label


def step(network: nn.Module, image: Tensor, label: Tensor, loss: Callable) -> dict[str, Tensor]:
    """Run a training step; return both logits, both losses, and each gradient by name."""
    logits, auxiliary = network(image)
    losses = loss(logits, label), loss(auxiliary, label)
    (losses[0] + 0.4 * losses[1]).backward()
    values = {"logits": logits.detach(), "auxiliary logits": auxiliary.detach()}
    values |= {"loss": losses[0].detach(), "auxiliary loss": losses[1].detach()}
    return values | {name: parameter.grad for name, parameter in network.named_parameters()}


def relative_error(value: Tensor, expected: Tensor) -> float:
    return ((value - expected).abs().max() / expected.abs().max()).item()


def errors(pair: Pair, image: Tensor, label: Tensor) -> dict[str, float]:
    """Relative errors by quantity; one network's activations are freed before the other runs."""
    with torch.no_grad():
        expected = pair.reference.eval()(image[:1])[0]
        found = {"evaluation": relative_error(pair.network.eval()(image[:1]), expected)}
    # The pyramid's 1×1 level has one value per image and channel. torch refuses the BN of one
    # value; of two, it gives -1 and 1, and rounding alone makes the gradient.
    hold = BIN_OF_ONE[type(pair.reference)] if len(image) < 3 else None
    pair.train(hold=hold)
    expected = step(pair.reference, image, label, pair.reference.loss)
    # mmsegmentation divides by the number of all pixels, the ignored ones too
    all_pixels = isinstance(pair.reference, Mmsegmentation)
    ours = CrossEntropy(average="all" if all_pixels else "weights")
    values = step(pair.network, image, label, ours)
    for name, value in expected.items():
        found[name] = relative_error(values[pair.names.get(name, name)], value)
    return found


def report(pair: Pair, name: str, image: Tensor, found: dict[str, float]) -> None:
    """Print the errors as a Markdown row, and append it to the file EQUALITY_REPORT if set."""
    worst = max(pair.names, key=lambda parameter: found[parameter])
    kinds = ("evaluation", "logits", "auxiliary logits", "loss", "auxiliary loss", worst)
    size = "×".join(str(side) for side in image.shape[2:])
    cells = [name, f"{len(image)} × {size}", str(image.dtype).removeprefix("torch.")]
    cells += [f"{found[kind]:.1e}" for kind in kinds] + [f"`{worst}`"]
    row = f"| {' | '.join(cells)} |"
    print(row)
    if path := os.environ.get("EQUALITY_REPORT"):
        with Path(path).open("a") as file:
            file.write(row + "\n")


def check(pair: Pair, name: str, images: int, size: tuple[int, int], dtype: torch.dtype) -> None:
    image, label = batch(images, size)
    image = image.to(dtype)
    found = errors(pair.without_dropout(dtype), image, label)
    report(pair, name, image, found)
    wrong = {what: error for what, error in found.items() if not error <= LIMITS[dtype]}
    assert not wrong


@pytest.mark.parametrize("dtype", QUICK_TYPES, ids=str)
@pytest.mark.parametrize(("pair", "size"), SMALL, indirect=["pair"], scope="module", ids=str)
def test_everything_agrees(pair, size, dtype, request):
    check(pair, request.node.callspec.params["pair"], 3, size, dtype)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", LIMITS, ids=str)
@pytest.mark.parametrize(("pair", "size"), LARGE, indirect=["pair"], scope="module", ids=str)
def test_everything_agrees_at_the_sizes_of_the_papers(pair, size, dtype, request):
    # one image at a time: two of ResNet-101 in float64 need more than 24 GiB
    images, size = (1, (size, size)) if isinstance(size, int) else (3, size)
    check(pair, request.node.callspec.params["pair"], images, size, dtype)


@pytest.mark.parametrize(
    ("depth", "dtype"),
    [(50, torch.float64), pytest.param(101, torch.float32, marks=pytest.mark.slow)],
    ids=str,
)
def test_the_caffe_release_agrees_on_rgb_pixels(depth, dtype, tmp_path):
    """The input is RGB of 0 to 1, as from the data module; the release has no training code."""
    reference = Caffe(depth, CLASSES, size=89).eval()
    fill(reference, seed=1, input_scale=60)
    path = tmp_path / "pspnet.caffemodel"
    path.write_bytes(caffe_file(reference.blobs(), stride_in_1x1=depth == 50))
    published = load_published(path)
    path.unlink()
    generator = torch.Generator().manual_seed(2)
    pixels = torch.rand(2, 3, 89, 89, generator=generator, dtype=dtype)
    mean = torch.tensor((103.939, 116.779, 123.68), dtype=dtype).view(3, 1, 1)  # of B, G and R
    own_mean, own_std = (
        torch.tensor(v, dtype=dtype).view(3, 1, 1) for v in (published.mean, published.std)
    )
    with torch.no_grad():
        expected = reference.to(dtype)(255 * pixels.flip(1) - mean)
        found = published.network.to(dtype)((pixels - own_mean) / own_std)
    assert relative_error(found, expected) <= LIMITS[dtype]
    assert len(expected.argmax(1).unique()) > 1
