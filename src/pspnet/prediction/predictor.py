"""A trained network as a function of images, with all that it needs to predict on them.

predictor = Predictor.load("best.ckpt")
predictor("street.jpg").overlay().save("overlay.png")
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, get_args, overload

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from pspnet.data.channels import RGB, Channels
from pspnet.data.image_io import read_image, to_rgb, values
from pspnet.data.transforms.normalize import normalize
from pspnet.errors import UserError
from pspnet.inference.class_scores import label_and_confidence, predict, probabilities
from pspnet.inference.memory import check_memory
from pspnet.inference.network_copy import inference_copy
from pspnet.inference.numeric_precision import Precision, default_precision
from pspnet.inference.protocols import ProtocolName, ProtocolOverrides, resolve
from pspnet.ops.memory_format import fastest_format, set_format
from pspnet.prediction.hub import HubFolder, fetched
from pspnet.prediction.loading import Trained, load
from pspnet.prediction.prediction import Prediction
from pspnet.task import Segmentation

if TYPE_CHECKING:
    from pspnet.data.datasets.classes import Classes

Picture: TypeAlias = str | Path | Image.Image | np.ndarray | Tensor
EXPORTED = (".onnx", ".pt2")


class Predictor(HubFolder):
    """Predicts the classes of images with a trained network.

    The network is copied as it stands, in evaluation mode, with BN folded into convolutions.

    Args:
        task: a trained task; its network, classes, protocol and temperature are used.
        mean: per channel, 0 to 1, subtracted from the images; the training's.
        std: per channel, the divisor after that.
        device: to run on; None is a GPU if there is one.
        precision: "32-true" or "bf16-mixed"; None is the faster one of the device, as everywhere.
        channels: of the images.

    Raises:
        UserError: for a device that is not there, or another precision.
    """

    def __init__(
        self,
        task: Segmentation,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        device: str | torch.device | None = None,
        precision: Precision | None = None,
        channels: Channels = RGB,
    ) -> None:
        if not isinstance(task, Segmentation):
            raise UserError(f"{type(task).__name__} is no pspnet.task.Segmentation; give one")
        self.trained = Trained(
            task, tuple(map(float, mean)), tuple(map(float, std)), channels=channels
        )
        if precision not in (None, *get_args(Precision)):
            raise UserError(f"precision={precision}: give one of {', '.join(get_args(Precision))}")
        self.device = _device(device)
        self.precision = precision or default_precision(self.device)
        self.protocol, self.temperature = task.protocol, task.temperature
        self.network = deepcopy(inference_copy(task.network)[0]).to(self.device).eval()
        form = fastest_format(self.network, device=self.device, precision=self.precision)
        set_format(self.network, form)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        protocol: ProtocolName | None = None,
        device: str | torch.device | None = None,
        precision: Precision | None = None,
        trust: bool = False,
    ) -> Predictor:
        """Load a checkpoint of ours, a published one, a saved folder, or one of the Hub.

        Args:
            path: a file that `load_published` takes, a folder of `save_pretrained`, an id of the
                Hugging Face Hub such as "name/network", or an exported .onnx or .pt2 file, to which
                the other arguments do not apply. Reading them runs no code of theirs, but torch
                warns of .pt2 files from people you do not trust.
            protocol: how images are evaluated, see `inference.protocols`; None is the file's.
            device: as in the constructor.
            precision: as in the constructor.
            trust: import the network's class even if it is neither the package's nor imported.

        Raises:
            UserError: if there is no such file or id, or it holds no PSPNet.
        """
        if Path(path).suffix.lower() in EXPORTED:
            from pspnet.prediction.exported import ExportedPredictor

            return ExportedPredictor(Path(path))
        trained = load(fetched(path), trust=trust)
        if protocol is not None:
            task = trained.task
            task.protocol_name, task.inference = protocol, ProtocolOverrides()
            task.protocol = resolve(
                protocol, task.inference, crop_size=task.crop_size, base_size=task.base_size
            )
        return cls.of(trained, device=device, precision=precision)

    @classmethod
    def of(
        cls,
        trained: Trained,
        *,
        device: str | torch.device | None = None,
        precision: Precision | None = None,
    ) -> Predictor:
        """Return the predictor for what `prediction.loading.load` has read."""
        predictor = cls(
            trained.task,
            mean=trained.mean,
            std=trained.std,
            device=device,
            precision=precision,
            channels=trained.channels,
        )
        predictor.trained = trained
        return predictor

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        device: str | torch.device | None = None,
        precision: Precision | None = None,
        **options: Any,
    ) -> Predictor:
        return cls.of(load(fetched(model_id, **options)), device=device, precision=precision)

    @property
    def classes(self) -> Classes:
        """Names and colors of the classes, in the order of their ids."""
        return self.trained.task.classes

    @property
    def channels(self) -> Channels:
        """The channels of the images that it takes."""
        return self.trained.channels

    @overload
    def __call__(self, image: Picture) -> Prediction: ...  # type: ignore[overload-overlap]
    @overload
    def __call__(self, image: Sequence[Picture]) -> list[Prediction]: ...
    def __call__(self, image: Picture | Sequence[Picture]) -> Prediction | list[Prediction]:
        """Predict on one image, or on each of a list.

        Args:
            image: a path, a PIL image, an array (H, W, 3) uint8 or a tensor (3, H, W) uint8 of RGB;
                where other channels were trained on, of these, with the values that files hold.

        Raises:
            UserError: if it is none of these, cannot be read, or is too large for the memory.
        """
        if isinstance(image, Sequence) and not isinstance(image, str | bytes):
            return [self(each) for each in image]
        pixels = pixels_of(image, self.channels)
        label, certain = self._run(pixels)
        file = Path(image).name if isinstance(image, str | Path) else ""
        return Prediction(
            label,
            certain,
            self.channels.picture(pixels),
            self.classes,
            name=Path(file).stem or "image",
            file=file,
            _compute=lambda: self._scores(pixels),
        )

    @torch.inference_mode()
    def _run(self, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return class ids (H, W) uint8 and confidence (H, W) float32."""
        image = self._normalized(pixels)
        check_memory(self.network, image, self.protocol, scores=False)
        with self._autocast():
            label, certain = label_and_confidence(
                self.network, image, self.protocol, temperature=self.temperature
            )
        return label[0].cpu().numpy(), certain[0].float().cpu().numpy()

    @torch.inference_mode()
    def _scores(self, pixels: np.ndarray) -> np.ndarray:
        with self._autocast():
            _, scores = predict(self.network, self._normalized(pixels), self.protocol)
            found = probabilities(scores, self.protocol, temperature=self.temperature)
        return found[0].float().cpu().numpy()

    def _normalized(self, pixels: np.ndarray) -> Tensor:
        image = torch.from_numpy(pixels)[None].permute(0, 3, 1, 2).to(self.device)
        return normalize(image, mean=self.trained.mean, std=self.trained.std)

    def _autocast(self) -> AbstractContextManager[object]:
        if self.precision == "32-true":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)


def pixels_of(image: object, channels: Channels = RGB) -> np.ndarray:
    """Return an image as an array (H, W, C), RGB uint8 or as `Channels.scaled` does, upright.

    Raises:
        UserError: if it is none, see `Predictor.__call__`, or cannot be read.
    """
    if isinstance(image, str | Path):
        return read_image(Path(image), channels)
    if not channels.is_rgb:
        return _channels_of(image, channels)
    if isinstance(image, Image.Image):
        if image.mode[0] in "IF":
            raise UserError(f"an image of mode {image.mode}: scale it to 8-bit RGB")
        return to_rgb(ImageOps.exif_transpose(image))
    if isinstance(image, Tensor):
        fits = image.dtype == torch.uint8 and image.ndim == 3 and image.shape[0] == 3
        if fits and image.numel():
            return np.array(image.permute(1, 2, 0).cpu().numpy(), order="C")
        kind = f"a tensor {tuple(image.shape)} of {str(image.dtype).removeprefix('torch.')}"
    elif isinstance(image, np.ndarray):
        if image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size:
            return np.array(image, order="C")
        kind = f"an array {image.shape} of {image.dtype}"
    else:
        kind = repr(type(image).__name__)
    raise UserError(
        f"{kind} is no image; give a path, a PIL image, an array (H, W, 3) or a tensor (3, H, W) of"
        " uint8, RGB"
    )


def _channels_of(image: object, channels: Channels) -> np.ndarray:
    if isinstance(image, Image.Image):
        image, _ = values(ImageOps.exif_transpose(image))
    elif isinstance(image, Tensor):
        image = image.cpu().numpy()
        image = np.moveaxis(image, 0, -1) if image.ndim == 3 else image
    if isinstance(image, np.ndarray):
        pixels = image[..., None] if image.ndim == 2 else image
        if pixels.ndim == 3 and pixels.shape[2] == len(channels) and pixels.size:
            return np.array(channels.scaled(pixels, name="the image"))
        raise UserError(
            f"an array {image.shape} is no image of {len(channels)} channels "
            f"({', '.join(channels.names)}); give (H, W, {len(channels)})"
        )
    raise UserError(f"{type(image).__name__!r} is no image; give a path, an array or a tensor")


def _device(given: str | torch.device | None) -> torch.device:
    if given is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(given)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device={given}: {str(error).splitlines()[0]}; give another") from error
    return device
