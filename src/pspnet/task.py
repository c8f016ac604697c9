"""The LightningModule: steps, optimizer, logging."""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

import lightning
import torch
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from torchmetrics import MeanMetric, Metric

from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.errors import UserError
from pspnet.evaluation.inference import predict
from pspnet.evaluation.metrics import Absent, SegmentationMetrics
from pspnet.evaluation.protocols import Changes, ProtocolName, resolve
from pspnet.evaluation.summary import Summary, summary
from pspnet.evaluation.whole import Coarse
from pspnet.losses import CrossEntropy, Loss
from pspnet.lr_schedules import poly_schedule
from pspnet.models.pspnet import PSPNet
from pspnet.ops.activation_recompute import Recomputation
from pspnet.ops.conv_bn_fusion import fold


class Segmentation(lightning.LightningModule):
    """Trains and evaluates a PSPNet as section 5.1 of the paper does.

    A checkpoint holds what rebuilds the network and names its classes:
    `Segmentation.load_from_checkpoint(path).network`.

    Args:
        network: the network.
        classes: names, colors and groups of its classes; from the data, not from the options.
        loss: loss of the main and of the auxiliary logits; None is plain cross-entropy.
        auxiliary_weight: weight of the auxiliary loss (table 2: 0.4 is best).
        lr: learning rate of the encoder before the poly decay.
        new_layer_factor: the learning rate of all new layers is this times `lr`.
        momentum: of SGD.
        weight_decay: of SGD, on every parameter.
        power: of the poly decay.
        floor: the learning rate that the decay ends at, relative to `lr`.
        warmup_steps: steps over which the learning rate also grows linearly.
        absent: what a class absent from truth and prediction does to a mean: "skip" or count as
            "zero".
        norm_decay: whether the scales and shifts of normalizations decay as well; not in the
            authors' Caffe training.
        protocol: how images are evaluated and predicted on, see `evaluation.protocols.resolve`.
        inference: what is done in another way than the protocol's name says.
        crop_size: height and width of the windows of protocols that have some; from the data.
        base_size: the data set's long side in the paper's tests; from the data.
        compile: whether `torch.compile` makes the training's network, and that of evaluations; the
            first steps take minutes.
        recompute: whether trainings make maps behind normalizations and residual sums anew in the
            backward pass, for less memory; see `pspnet.ops.activation_recompute`.

    Raises:
        ValueError: for a class table of another length than the network's logits, or an option out
            of range.
    """

    def __init__(
        self,
        network: PSPNet,
        classes: Classes,
        loss: Loss | None = None,
        auxiliary_weight: float = 0.4,
        lr: float = 0.01,
        new_layer_factor: float = 10.0,
        momentum: float = 0.9,
        weight_decay: float = 1e-4,
        power: float = 0.9,
        floor: float = 0.0,
        warmup_steps: int = 0,
        absent: Absent = "skip",
        norm_decay: bool = True,
        protocol: ProtocolName = "whole",
        inference: Changes = Changes(),  # noqa: B008  (frozen)
        crop_size: tuple[int, int] | None = None,
        base_size: int | None = None,
        compile: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        if len(classes) != network.num_classes:
            raise UserError(
                f"{len(classes)} classes for a network of {network.num_classes}; "
                f"set num_classes={len(classes)}"
            )
        for name, value in (("lr", lr), ("new_layer_factor", new_layer_factor)):
            if not 0 < value < math.inf:
                raise UserError(f"model.{name}={value}: give a number above 0")
        for name, value in (
            ("auxiliary_weight", auxiliary_weight),
            ("momentum", momentum),
            ("weight_decay", weight_decay),
        ):
            if not 0 <= value < math.inf:
                raise UserError(f"model.{name}={value}: give 0 or more")
        if loss is not None and loss.class_weights is not None:
            loss.pixel_weights(torch.zeros(1, 1, 1, dtype=torch.long), len(classes))
        if compile and recompute:
            raise UserError(
                "model.recompute=true with model.compile=true: torch.compile decides itself what to"
                " keep; leave one of them out"
            )
        self.network = network.to(memory_format=torch.channels_last)
        self.classes = classes
        self.loss = loss or CrossEntropy()
        self.auxiliary_weight, self.absent = auxiliary_weight, absent
        self.lr, self.new_layer_factor = lr, new_layer_factor
        self.momentum, self.weight_decay = momentum, weight_decay
        self.power, self.floor, self.warmup_steps = power, floor, warmup_steps
        self.compiled = compile
        self._forgetting = Recomputation(self.network) if recompute else nullcontext
        self.norm_decay, self.crop_size, self.base_size = norm_decay, crop_size, base_size
        self.protocol = resolve(protocol, inference, crop_size=crop_size, base_size=base_size)
        self.evaluation = SegmentationMetrics(len(classes), absent=absent, ignore_index=IGNORE)
        self.evaluation_loss = MeanMetric()
        self._folded: list[PSPNet] = []  # for inference; in a list, as it is no part of the module
        self.matrix = self.evaluation.confmat  # (C, C), of the last evaluation, all processes

    def setup(self, stage: str) -> None:
        if self.compiled and stage == "fit":
            self.network.compile()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        with self._forgetting():
            output = self.network(_channels_last(batch["image"]), upsample=False)
        logits, auxiliary = output if isinstance(output, tuple) else (output, None)
        align = self.network.align_corners
        main: Tensor = self.loss(logits, batch["label"], align_corners=align)
        loss = main
        if auxiliary is not None:
            extra: Tensor = self.loss(auxiliary, batch["label"], align_corners=align)
            loss = main + self.auxiliary_weight * extra
            self.log_dict({"train/loss_main": main, "train/loss_auxiliary": extra})
        finite = bool(torch.isfinite(loss))
        if not self.trainer.strategy.reduce_boolean_decision(finite):  # all stop, or none
            raise UserError(
                f"the loss is {loss.item()} at step {self.global_step}; lower model.lr="
                f"{self.lr:g}, warm up with model.warmup_steps, or clip the gradients"
            )
        self.log("train/loss", loss, prog_bar=True)
        self.log("lr", self._current_lr(), prog_bar=True, logger=False)
        return loss

    def on_train_start(self) -> None:
        """Puts the first step of a resumed run on the curve, whose end may have been moved."""
        schedule = self.lr_schedulers()
        assert isinstance(schedule, LambdaLR)
        rates = zip(schedule.base_lrs, schedule.lr_lambdas, strict=True)
        for group, (base, factor) in zip(
            self.trainer.optimizers[0].param_groups, rates, strict=True
        ):
            group["lr"] = base * factor(schedule.last_epoch)

    def on_validation_epoch_start(self) -> None:
        self.evaluation.reset()
        self.evaluation_loss.reset()
        self._fold()

    on_test_epoch_start = on_validation_epoch_start

    def on_predict_epoch_start(self) -> None:
        self._fold()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        return self._evaluate(batch, split="val")

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        if "label" not in batch:  # of a benchmark's server: the predictions are submitted
            return self.predict_step(batch, batch_idx)
        return self._evaluate(batch, split="test")

    def on_validation_epoch_end(self) -> None:
        self._log_scores(split="val")

    def on_test_epoch_end(self) -> None:
        if self.evaluation.update_called:
            self._log_scores(split="test")

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """Class ids (N, H, W) uint8 of the images' own size."""
        return self._predict(batch["image"])[0]

    def scores(self) -> Summary:
        """Every score of the last evaluation, over all processes."""
        return summary(
            self.matrix,
            names=self.classes.names,
            groups=self.classes.groups,
            categories=self.classes.categories,
            absent=self.absent,
        )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        steps = self.trainer.estimated_stepping_batches
        if not math.isfinite(steps):
            raise UserError("the poly decay needs an end: set trainer.max_steps or max_epochs")
        groups = self.network.parameter_groups(
            lr=self.lr, new_layer_factor=self.new_layer_factor, norm_decay=self.norm_decay
        )
        optimizer = torch.optim.SGD(
            groups,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            # one kernel for all parameters; with a loss scale Lightning could not clip gradients,
            # and torch's kernel for CPUs copies every channels-last gradient first
            fused=self.trainer.scaler is None and self.device.type == "cuda",
        )
        schedule = poly_schedule(
            optimizer,
            total_steps=int(steps),
            power=self.power,
            floor=self.floor,
            warmup_steps=self.warmup_steps,
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["hyper_parameters"] = {
            "network": self.network.options,
            "classes": asdict(self.classes),
            "crop_size": None if self.crop_size is None else list(self.crop_size),
            "base_size": self.base_size,
            "_instantiator": "lightning.pytorch.cli.instantiate_module",
        }

    def _evaluate(self, batch: dict[str, Any], *, split: str) -> Tensor:
        label = batch["label"]
        prediction, scores = self._predict(batch["image"])
        self.evaluation.update(prediction, label)
        logged: list[tuple[str, Metric]] = [("miou", self.evaluation)]
        if self.protocol.average == "scores":  # the loss takes no probabilities
            if isinstance(scores, Coarse):
                loss = scores.loss(self.loss, label, ignore=IGNORE)
            else:
                loss = self.loss(scores, label)
            self.evaluation_loss.update(loss, weight=(label != IGNORE).sum())
            logged.append(("loss", self.evaluation_loss))
        for name, metric in logged:
            bar, log, size = name == "miou", self._logged, len(label)
            self.log(f"{split}/{name}", metric, prog_bar=bar, logger=log, batch_size=size)
        return prediction

    @property
    def _logged(self) -> bool:
        # the best checkpoint, evaluated after a training, is not a point of the training's curve
        alone = self.trainer.state.fn == TrainerFn.VALIDATING
        return not (alone and self.trainer.global_step > 0)

    def _fold(self) -> None:
        folded = fold(self.network)
        if self.compiled:
            folded.compile(dynamic=True)  # images of all sizes
        self._folded = [folded]

    def _predict(self, image: Tensor) -> tuple[Tensor, Coarse | Tensor]:
        network = self._folded[0] if self._folded else self.network
        return predict(network, image, self.protocol)

    def _log_scores(self, *, split: str) -> None:
        self.matrix = self.evaluation.total().cpu()
        scores = self.scores()
        named = {
            f"{split}/pixel_accuracy": scores["pixel_accuracy"],
            f"{split}/mean_accuracy": scores["mean_accuracy"],
            f"{split}/category_miou": scores["category_miou"],
            **{f"{split}/iou/{name}": iou for name, iou in scores["iou"].items()},
            **{f"{split}/miou/{group}": iou for group, iou in scores["groups"].items()},
        }
        # the scores are the same on every process: there is nothing to synchronize
        present = {name: value for name, value in named.items() if value is not None}
        self.log_dict(present, sync_dist=False, logger=self._logged)

    def _current_lr(self) -> float:
        optimizer = self.trainer.optimizers[0]
        return float(optimizer.param_groups[0]["lr"])


def _channels_last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
