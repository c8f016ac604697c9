"""The LightningModule: steps, optimizer, logging."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable, ReduceLROnPlateau
from lightning.pytorch.plugins.layer_sync import TorchSyncBatchNorm
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_info
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler
from torchmetrics import Metric

from pspnet.checkpoints.saved_task import SavedTask, adopt_classifier
from pspnet.data.datasets.classes import IGNORE, Classes
from pspnet.data.facts.class_weights import class_weights
from pspnet.errors import UserError
from pspnet.evaluation.calibration import Calibrated, Calibration
from pspnet.evaluation.crop_counts import crop_counts
from pspnet.evaluation.image_scores import ByImage, ImageScores
from pspnet.evaluation.metrics import Absent, SegmentationMetrics, WeightedMean
from pspnet.evaluation.summary import Summary, log_names, summary
from pspnet.inference.class_scores import label_and_confidence, predict, probabilities
from pspnet.inference.memory import check_memory
from pspnet.inference.network_copy import InferenceCopy
from pspnet.inference.protocols import ProtocolName, ProtocolOverrides, resolve
from pspnet.inference.single_pass import FeatureLogits, why_not_chunked
from pspnet.losses import CrossEntropy, Loss, computed_weights
from pspnet.lr_schedules import PolyLR, build_optimizer, build_scheduler, set_rates
from pspnet.models.dropout import set_sample_seeds
from pspnet.models.pspnet import PSPNet
from pspnet.models.pyramid_pooling import BatchNorm2d
from pspnet.ops.activation_recompute import ActivationRecompute
from pspnet.ops.arriving import Arriving
from pspnet.ops.loss_forms import why_not_chunked as why_loss_not_chunked
from pspnet.ops.memory_format import fastest_format, in_format_of, set_format
from pspnet.ops.sync_batchnorm import SyncBatchNorms, share_buffers
from pspnet.step_mean import LossMean, StepMean

PLAIN_NORMS = (nn.BatchNorm2d, BatchNorm2d)  # those that `ops.activation_recompute` knows


class Segmentation(SavedTask):
    """Trains and evaluates a PSPNet as section 5.1 of the paper does.

    A checkpoint holds what rebuilds the network and names its classes:
    `Segmentation.load_from_checkpoint(path).network`.

    Args:
        network: the network.
        classes: names, colors and groups of its classes; from the data, not from the options.
        loss: any module of logits (N, C, H, W) and target (N, H, W), 255 where ignored; it is
            applied to the main and to the auxiliary logits. None is cross-entropy.
        loss_mean: take the mean of a loss over the entire "step", so that it does not depend on
            how processes and accumulated batches divide it, or over the batch of each "process"
            first, as published code does.
        auxiliary_weight: weight of the auxiliary loss (table 2: 0.4 is best).
        optimizer: of the parameter groups; its `lr` is the encoder's.
        lr_scheduler: stepped every iteration, ReduceLROnPlateau every validation.
        new_layer_factor: the learning rate of all new layers is this times the encoder's.
        norm_decay: let the scales and shifts of normalizations decay as well; not in the authors'
            Caffe training.
        absent: what a class absent from target and prediction does to a mean: "skip" or count as
            "zero".
        protocol: how images are evaluated and predicted on, see `inference.protocols.resolve`.
        inference: overrides of individual fields of the named protocol.
        temperature: by which logits are divided where the confidence of a prediction is computed;
            `python -m pspnet validate --calibrate` fits it.
        crop_size: height and width of the windows of protocols that slide; from the data.
        base_size: the data set's long side in the paper's tests; from the data.
        compile: run training and evaluation by `torch.compile`; the first steps take minutes.
        recompute: recompute BN and ReLU outputs in the backward pass to save memory, see
            `ops.activation_recompute`.

    Raises:
        UserError: for a class table of another length than the network's logits, or an option out
            of range.
    """

    def __init__(
        self,
        network: PSPNet,
        classes: Classes,
        loss: nn.Module | None = None,
        loss_mean: LossMean = "step",
        auxiliary_weight: float = 0.4,
        optimizer: OptimizerCallable = lambda params: torch.optim.SGD(
            params, lr=0.01, momentum=0.9, weight_decay=1e-4
        ),
        lr_scheduler: LRSchedulerCallable = lambda optimizer: PolyLR(optimizer, power=0.9),
        new_layer_factor: float = 10.0,
        norm_decay: bool = True,
        absent: Absent = "skip",
        protocol: ProtocolName = "whole",
        inference: ProtocolOverrides = ProtocolOverrides(),  # noqa: B008  (frozen)
        temperature: float = 1.0,
        crop_size: tuple[int, int] | None = None,
        base_size: int | None = None,
        compile: bool = False,
        recompute: bool = False,
    ) -> None:
        super().__init__()
        adopt_classifier(network, len(classes))
        if len(classes) != network.num_classes:
            raise UserError(
                f"{len(classes)} classes for a network of {network.num_classes}; "
                f"set num_classes={len(classes)}"
            )
        if not 0 < new_layer_factor < math.inf:
            raise UserError(f"model.new_layer_factor={new_layer_factor}: give a number above 0")
        if not 0 <= auxiliary_weight < math.inf:
            raise UserError(f"model.auxiliary_weight={auxiliary_weight}: give 0 or more")
        if not 0 < temperature < math.inf:
            raise UserError(f"model.temperature={temperature}: give a number above 0")
        if compile and recompute:
            raise UserError(
                "model.recompute=true with model.compile=true: torch.compile decides itself what to"
                " keep; leave one of them out"
            )
        self.network = network.to(memory_format=torch.channels_last)
        self.classes = classes
        self.loss = loss or CrossEntropy()
        if isinstance(self.loss, Loss):
            self.loss.check_classes(len(classes))
        self.step_mean = StepMean(loss_mean)
        self.auxiliary_weight, self.absent = auxiliary_weight, absent
        self.optimizer, self.lr_scheduler = optimizer, lr_scheduler
        self.new_layer_factor, self.norm_decay = new_layer_factor, norm_decay
        self.protocol_name, self.inference = protocol, inference
        self.temperature = temperature
        self.crop_size, self.base_size = crop_size, base_size
        self.protocol = resolve(protocol, inference, crop_size=crop_size, base_size=base_size)
        self.compiled = compile
        self.recompute = ActivationRecompute(self.network, norms=PLAIN_NORMS) if recompute else None
        self.chunked = self._evaluates_chunked = False  # losses take low-resolution logits
        self.inference_copy = InferenceCopy(compile=compile)
        self.evaluation = SegmentationMetrics(len(classes), absent=absent, ignore_index=IGNORE)
        self.evaluation_loss = WeightedMean()
        self.matrix = self.evaluation.confmat  # (C, C), of the last evaluation, all processes
        self.calibration: Calibration | None = None  # collects in an evaluation that calibrates
        self.calibrated: Calibrated | None = None
        self.image_scores: ImageScores | None = None  # collects in an evaluation of its own
        self.by_image: ByImage | None = None
        self.crop_counts: Tensor | None = None  # of the last training batch
        self._step_loss: tuple[int, Arriving] | None = None  # of the last step, until checked
        self._lr: float | None = None  # set by a learning rate finder
        self.checks_loss = True  # not in a test of learning rates, which ends where it diverges

    @property
    def backbone(self) -> nn.Module:
        """The encoder, by the name that Lightning's BackboneFinetuning asks for."""
        return self.network.encoder

    @property
    def lr(self) -> float:
        """The encoder's base learning rate; Lightning's LearningRateFinder sets it."""
        if self._lr is None:
            probe = build_optimizer(self.optimizer, [{"params": [nn.Parameter(torch.zeros(1))]}])
            return float(probe.defaults["lr"])
        return self._lr

    @lr.setter
    def lr(self, value: float) -> None:
        self._lr = value

    def setup(self, stage: str) -> None:
        strategy = self.trainer.strategy
        if type(getattr(strategy, "_layer_sync", None)) is TorchSyncBatchNorm:
            strategy._layer_sync = SyncBatchNorms()  # type: ignore[attr-defined]
        device, precision = strategy.root_device, str(self.trainer.precision)
        set_format(self.network, fastest_format(self.network, device=device, precision=precision))
        for loss in computed_weights(self.loss).values() if stage == "fit" else ():
            assert loss.weight_formula is not None
            data = self.trainer.datamodule  # type: ignore[attr-defined]
            if not hasattr(data, "label_counts"):
                raise UserError(
                    f"class_weights={loss.weight_formula} needs the labels of a"
                    " SegmentationData; give a list of weights"
                )
            weights = class_weights(data.label_counts())[loss.weight_formula]
            loss.set_class_weights(torch.from_numpy(weights))
            said = zip(self.classes.names, weights, strict=True)
            rank_zero_info(f"class weights: {', '.join(f'{name} {it:.3g}' for name, it in said)}")
        if self.compiled and stage == "fit":
            # torch.compile traces no comparison of both forms
            self.network.fused_pyramid &= self.network.why_not_fused() is None
            self.network.compile()

    def on_fit_start(self) -> None:
        reasons = {
            "fused pyramid": self.network.why_not_fused(),
            "chunked loss": self._why_not_chunked(),
            **({"recompute": self.recompute.why_inactive()} if self.recompute else {}),
        }
        active = [name for name, reason in reasons.items() if reason is None]
        off = [f"{name} off: {reason}" for name, reason in reasons.items() if reason is not None]
        rank_zero_info("; ".join([f"substitutes: {', '.join(active) or 'none'}", *off]))
        if (reason := self.step_mean.start(self.trainer, self.loss, len(self.classes))) is not None:
            rank_zero_info(f"loss: mean per process and accumulated batch: {reason}")

    def on_train_epoch_start(self) -> None:
        self.chunked = self._why_not_chunked() is None

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        image, target = batch["image"], batch["label"]
        seeds = batch.get("seed")  # none in a loader of somebody's own
        if seeds is not None:
            set_sample_seeds(self.network, torch.as_tensor(seeds, device=image.device))
        with self._recomputing():
            output = self.network(in_format_of(self.network, image), upsample=not self.chunked)
        logits = output if isinstance(output, tuple) else (output,)  # main and auxiliary
        stride, align = self.network.output_stride, self.network.align_corners
        self.crop_counts = crop_counts(logits[0], target, stride=stride, align_corners=align)
        losses = [self._loss(each, target) for each in logits]
        losses = self.step_mean.scaled(self.trainer, losses, batch)
        if (mean := self.step_mean.add(self.trainer, losses, batch_idx)) is not None:
            self._log_losses(mean)
        return self._total(losses)

    def on_train_batch_end(self, *_: Any) -> None:
        set_sample_seeds(self.network, None)

    def on_train_start(self) -> None:
        """Take over the rate that a learning rate finder has set after the optimizer was built."""
        self.on_train_epoch_start()  # a run that continues within an epoch does not start it
        if self._lr is not None:
            set_rates(self.trainer.optimizers[0], self._lr)
            schedule = self.lr_schedulers()
            if isinstance(schedule, PolyLR):
                schedule.apply()
            elif isinstance(schedule, LRScheduler):
                groups = self.trainer.optimizers[0].param_groups
                schedule.base_lrs = [group.get("initial_lr", group["lr"]) for group in groups]

    def on_validation_epoch_start(self) -> None:
        self.evaluation.reset()
        self.evaluation_loss.reset()
        share_buffers(self.network)
        self.inference_copy.update(self.network)
        self._evaluates_chunked = self._why_not_chunked() is None

    on_test_epoch_start = on_validation_epoch_start

    def on_predict_epoch_start(self) -> None:
        self.inference_copy.update(self.network)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        return self._evaluate(batch, split="val")

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        if "label" not in batch:  # of a benchmark's server: the predictions are submitted
            check_memory(self.network, batch["image"], self.protocol)
            return self._predict(batch["image"])[0]
        return self._evaluate(batch, split="test")

    def on_validation_epoch_end(self) -> None:
        self.inference_copy.release()
        if self.calibration is not None:
            self.calibrated = self.calibration.compute()
        self._log_scores(split="val")

    def on_test_epoch_end(self) -> None:
        self.inference_copy.release()
        if self.evaluation.update_called:
            self._log_scores(split="test")

    def on_predict_epoch_end(self) -> None:
        self.inference_copy.release()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> tuple[Tensor, Tensor]:
        """Return class ids (N, H, W) uint8 and their probabilities (N, H, W) float32.

        An image that is too large for the memory is left out as an unreadable one is, and one that
        is read by windows is left to the callback that writes it.
        """
        if any(batch.get("raster", ())):
            return torch.zeros(0), torch.zeros(0)
        network, image = self.inference_network, batch["image"]
        try:
            check_memory(network, image, self.protocol, scores=False)
        except UserError as error:
            if "unreadable" not in batch:
                raise
            batch["unreadable"] = [f"{name}: {error}" for name in batch["name"]]
            return torch.zeros(0), torch.zeros(0)
        found = [
            label_and_confidence(network, each[None], self.protocol, temperature=self.temperature)
            for each in image
        ]
        return torch.cat([label for label, _ in found]), torch.cat([one for _, one in found])

    def probabilities(self, image: Tensor) -> Tensor:
        """Return the probability of every class, (N, C, H, W) float32, of normalized images."""
        _, scores = self._predict(image)
        return probabilities(scores, self.protocol, temperature=self.temperature)

    @property
    def inference_network(self) -> PSPNet:
        """The network that evaluation and prediction run, a copy while they do."""
        return self.inference_copy.network or self.network

    def scores(self) -> Summary:
        """Return every score of the last evaluation, over all processes."""
        return summary(
            self.matrix,
            names=self.classes.names,
            groups=self.classes.groups,
            categories=self.classes.categories,
            absent=self.absent,
        )

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        groups = self.network.parameter_groups(
            new_layer_factor=self.new_layer_factor, norm_decay=self.norm_decay
        )
        learned = [parameter for parameter in self.loss.parameters() if parameter.requires_grad]
        if learned:
            factor = self.new_layer_factor
            groups.append({"name": "loss", "params": learned, "lr_factor": factor})
        if not groups:
            raise UserError("no parameter of the network trains; lower model.network.frozen_stages")
        optimizer = build_optimizer(self.optimizer, groups)
        set_rates(optimizer, self.lr)
        scheduler = build_scheduler(self.lr_scheduler, optimizer)
        if isinstance(scheduler, ReduceLROnPlateau):
            plateau = {"scheduler": scheduler, "interval": "epoch", "monitor": scheduler.monitor}
            return {"optimizer": optimizer, "lr_scheduler": plateau}  # type: ignore[typeddict-item]
        if isinstance(scheduler, PolyLR) and scheduler.total_steps is None:
            steps = self.trainer.estimated_stepping_batches
            if not math.isfinite(steps):
                raise UserError("the poly decay needs an end: set trainer.max_steps or max_epochs")
            scheduler.set_total_steps(int(steps))
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _why_not_chunked(self) -> str | None:
        return why_not_chunked(self.network) or why_loss_not_chunked(self.loss, len(self.classes))

    def _recomputing(self) -> AbstractContextManager[None]:
        return nullcontext() if self.recompute is None else self.recompute()

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        if not self.chunked:
            loss: Tensor = self.loss(logits, target)
            return loss
        assert isinstance(self.loss, nn.Module)
        chunked: Tensor = self.loss.chunked(  # type: ignore[operator]
            logits, target, align_corners=self.network.align_corners
        )
        return chunked

    def _total(self, losses: Sequence[Tensor] | Tensor) -> Tensor:
        """Return the main loss, plus the weighted auxiliary one if there is one."""
        return losses[0] + self.auxiliary_weight * losses[1] if len(losses) > 1 else losses[0]

    def _log_losses(self, mean: Tensor) -> None:
        """Log the main and auxiliary loss of a step, (2,) or (1,), the same on each process.

        A loss that is still being computed is checked in the next step, or before it is saved.
        """
        self.check_loss()
        loss = self._total(mean)
        self._step_loss = (self.global_step + 1, Arriving(loss))
        if not self._step_loss[1].is_late:
            self.check_loss()
        if len(mean) > 1:
            self.log_dict({"train/loss_main": mean[0], "train/loss_auxiliary": mean[1]})
        self.log("train/loss", loss, prog_bar=True)
        self.log("lr", self._current_lr(), prog_bar=True, logger=False)

    def check_loss(self) -> None:
        """Check the loss of the last step.

        Raises:
            UserError: if it is not finite.
        """
        if self._step_loss is None:
            return
        (step, arriving), self._step_loss = self._step_loss, None
        loss = arriving.item()
        if self.checks_loss and not math.isfinite(loss):
            raise UserError(
                f"the loss is {loss} at step {step}; lower model.optimizer.lr={self.lr:g}, warm up "
                "with model.lr_scheduler.warmup_steps, or clip the gradients"
            )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.check_loss()  # no checkpoint is replaced by weights that are not finite
        super().on_save_checkpoint(checkpoint)

    def _evaluate(self, batch: dict[str, Any], *, split: str) -> Tensor:
        target = batch["label"]
        check_memory(self.network, batch["image"], self.protocol)
        prediction, scores = self._predict(batch["image"])
        weight = batch.get("weight")
        self.evaluation.update(prediction, target, weight)
        labels = target if weight is None else target.where(weight > 0, IGNORE)
        if self.calibration is not None:
            self.calibration.update(scores, labels, batch["name"], self.protocol)
        if self.image_scores is not None and "name" in batch:  # none in one of somebody's own
            self.image_scores.update(prediction, scores, labels, batch["name"], self.protocol)
        logged: list[tuple[str, Metric]] = [("miou", self.evaluation)]
        if self.protocol.average == "scores":  # the loss takes no probabilities
            loss = self._evaluation_loss(scores, target)
            self.evaluation_loss.update(loss, weight=(target != IGNORE).sum())
            logged.append(("loss", self.evaluation_loss))
        for name, metric in logged:
            bar, log, size = name == "miou", self._logged, len(target)
            self.log(f"{split}/{name}", metric, prog_bar=bar, logger=log, batch_size=size)
        return prediction

    def _evaluation_loss(self, scores: FeatureLogits | Tensor, target: Tensor) -> Tensor:
        if isinstance(scores, Tensor):
            loss: Tensor = self.loss(scores, target)
        elif self._evaluates_chunked:
            loss = scores.loss(self.loss.chunked, target, ignore_index=IGNORE)  # type: ignore[arg-type]
        else:
            loss = self.loss(scores.upsample(), target)
        return loss

    @property
    def _logged(self) -> bool:
        # the best checkpoint, evaluated after a training, is not a point of the training's curve
        alone = self.trainer.state.fn == TrainerFn.VALIDATING
        return not (alone and self.trainer.global_step > 0)

    def _predict(self, image: Tensor) -> tuple[Tensor, FeatureLogits | Tensor]:
        return predict(self.inference_network, image, self.protocol)

    def _log_scores(self, *, split: str) -> None:
        self.matrix = self.evaluation.total().cpu()
        self.by_image = None if self.image_scores is None else self.image_scores.compute()
        # the scores are the same on every process: there is nothing to synchronize
        self.log_dict(log_names(self.scores(), split), sync_dist=False, logger=self._logged)

    def _current_lr(self) -> float:
        return float(self.trainer.optimizers[0].param_groups[0]["lr"])
