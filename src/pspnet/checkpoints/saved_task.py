"""The entries of a task in a checkpoint, and its rebuilding from them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning
from jsonargparse import ArgumentError
from torch import Tensor, nn

from pspnet.checkpoints.reading import VERSION, check_network, check_state, read_checkpoint
from pspnet.checkpoints.trust import check_hyper_parameters
from pspnet.data.channels import RGB
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError
from pspnet.evaluation.metrics import Absent
from pspnet.inference.protocols import ProtocolName, ProtocolOverrides
from pspnet.losses import computed_weights
from pspnet.models.options import check_structure, class_and_options, plain_data, structure
from pspnet.models.pspnet import PSPNet

if TYPE_CHECKING:
    from typing_extensions import Self


def adopt_classifier(network: PSPNet, count: int) -> None:
    """Let a network's number of classes follow a convolution that has replaced its classifier.

    Args:
        network: any; it is left as it is unless its last convolution has `count` channels.
        count: the number of classes that are trained.
    """
    layers = [layer for layer in network.decoder.modules() if isinstance(layer, nn.Conv2d)]
    if layers and layers[-1].out_channels == count != network.num_classes:
        network.num_classes = count
        network.options = {**network.options, "num_classes": count}


class SavedTask(lightning.LightningModule):
    """A LightningModule whose checkpoints hold what rebuilds its network and names its classes."""

    network: PSPNet
    loss: nn.Module
    classes: Classes
    absent: Absent
    protocol_name: ProtocolName
    inference: ProtocolOverrides
    crop_size: tuple[int, int] | None
    base_size: int | None
    temperature: float

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["hyper_parameters"] = {
            "network": class_and_options(self.network, plain=PSPNet),
            "classes": asdict(self.classes),
            "absent": self.absent,
            "protocol": self.protocol_name,
            "inference": plain_data(self.inference),
            "temperature": self.temperature,
            "crop_size": None if self.crop_size is None else list(self.crop_size),
            "base_size": self.base_size,
            "_instantiator": "lightning.pytorch.cli.instantiate_module",
        }
        checkpoint["structure"] = structure(self.network, without="encoder")
        # not in the state dict: averaged copies of the module are older than these weights
        checkpoint["class_weights"] = {
            name: loss.class_weights for name, loss in computed_weights(self.loss).items()
        }
        checkpoint.setdefault("config", self._config())  # the command line's, where it trains

    def _config(self) -> dict[str, Any]:
        """Return the options that a command needs of a training from Python."""
        data = getattr(self._trainer, "datamodule", None)
        normalization = {key: getattr(data, key, None) for key in ("mean", "std")}
        options: dict[str, Any] = {k: [*map(float, v)] for k, v in normalization.items() if v}
        if self.crop_size is not None:
            options["crop_size"] = list(self.crop_size)
        channels = getattr(data, "channels", RGB)
        if not channels.is_rgb:
            options["channels"] = plain_data(channels)
        return {
            "data": options,
            "model": {
                "absent": self.absent,
                "protocol": self.protocol_name,
                "inference": plain_data(self.inference),
            },
        }

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls, checkpoint_path: str | Path, *args: Any, trust: bool = False, **options: Any
    ) -> Self:
        """Load a task with its network, as `LightningModule.load_from_checkpoint`.

        Args:
            checkpoint_path: the file.
            args: as there.
            trust: import the network's class even if it is neither the package's nor imported.
            options: as there: arguments that replace those of the file.

        Raises:
            UserError: if the file is damaged, or names a class that is not trusted.
        """
        parts = ("state_dict", "hyper_parameters", VERSION)
        checkpoint = read_checkpoint(checkpoint_path, parts=parts)
        saved = {k: v for k, v in checkpoint["hyper_parameters"].items() if k not in options}
        check_hyper_parameters(cls, saved, path=checkpoint_path, trust=trust)
        if "network" in saved:
            check_network(checkpoint, path=checkpoint_path)
        if "classes" in saved:
            Classes.from_plain(saved["classes"])
        try:
            return super().load_from_checkpoint(checkpoint_path, *args, **options)
        except ArgumentError as error:
            raise UserError(f"{checkpoint_path}: {error}") from error

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self._trainer is not None and self._trainer.precision == "64-true":
            self.double()  # Lightning does so after it has loaded the weights into float32
        saved = checkpoint["state_dict"]
        kept = checkpoint.get("class_weights")
        for name, loss in computed_weights(self.loss).items():
            weights = kept.get(name) if isinstance(kept, dict) else None
            if isinstance(weights, Tensor):
                loss.set_class_weights(weights.to(self.device))
                loss.check_classes(len(self.classes))
        own = self.state_dict()
        for key in [key for key in saved if key.startswith("loss.") and key not in own]:
            del saved[key]  # of the loss that it was trained with, which is not part of the network
        checkpoint["state_dict"] = dict(saved)  # without attributes
        path = self._trainer.ckpt_path if self._trainer is not None else None
        check_state(own, saved, path=path or "the checkpoint")
        check_structure(self.network, checkpoint.get("structure", {}), without="encoder")
