"""The options of fit, validate, test and predict beside those of the classes."""

from __future__ import annotations

from jsonargparse.typing import NonNegativeInt, PositiveInt
from lightning.pytorch.cli import LightningArgumentParser

from pspnet.callbacks.checkpoints import Every
from pspnet.callbacks.loggers import Wandb
from pspnet.callbacks.prediction_writers import PredictionWriter
from pspnet.command_line.parsing.option_types import ContinueFrom, InitFrom, Logs, Name, Version
from pspnet.command_line.starts.checkpoint_config import TRUST, class_path
from pspnet.models.pspnet import PSPNet


def add_options(parser: LightningArgumentParser) -> None:
    """Add the options of a run, and the defaults that they give to classes."""
    parser.add_argument(
        "--name", type=Name, default="pspnet", help="the run's folder is logs/NAME/VERSION"
    )
    parser.add_argument(
        "--version", type=Version | None, default=None, help="version_N, counted, if not given"
    )
    parser.add_argument("--logs", type=Logs, default="logs", help="folder of all runs")
    parser.add_argument(
        "--wandb", type=Wandb, default="auto", help="auto: online if a key is configured"
    )
    _add_wandb_options(parser)
    parser.add_argument(
        "--tensorboard", action="store_true", help="write events for TensorBoard, too"
    )
    _add_training_options(parser)
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="validate: fit the temperature of confidences, and store it in the checkpoint",
    )
    parser.add_argument(
        "--failures",
        type=bool,
        default=True,
        help="evaluations: write the scores of each image, and a page of the worst",
    )
    parser.add_argument("--trust", action="store_true", help=TRUST)
    parser.add_lightning_class_args(PredictionWriter, "output")
    parser.set_defaults({"model.network": {"class_path": class_path(PSPNet)}})


def _add_training_options(parser: LightningArgumentParser) -> None:
    """Add how a training starts, saves and ends."""
    parser.add_argument(
        "--checkpoint_every",
        type=Every,
        default=Every("10 minutes"),
        help="N steps or T minutes between two writings of last.ckpt",
    )
    parser.add_argument(
        "--early_stopping",
        type=PositiveInt | None,
        default=None,
        help="fit: end after so many validations without a better val/miou",
    )
    parser.add_argument(
        "--find_lr",
        action="store_true",
        help="fit: only test growing learning rates for 100 steps, and suggest one",
    )
    parser.add_argument("--resume", action="store_true", help="continue the newest run of the name")
    parser.add_argument(
        "--init_from",
        type=InitFrom | None,
        default=None,
        help="start a new run from the weights of a checkpoint that fit, published ones too",
    )
    parser.add_argument(
        "--continue_from",
        type=ContinueFrom | None,
        default=None,
        help="continue a training checkpoint of semseg or mmsegmentation at its step",
    )


def _add_wandb_options(parser: LightningArgumentParser) -> None:
    """Add where W&B puts a run, and what it is given beside numbers."""
    for part, default in (
        ("project", "WANDB_PROJECT, or pspnet"),
        ("entity", "the user or team of the key"),
        ("group", "NAME"),
    ):
        parser.add_argument(
            f"--wandb_{part}", type=str | None, default=None, help=f"default: {default}"
        )
    parser.add_argument(
        "--wandb_images",
        type=NonNegativeInt,
        default=4,
        help="fit: validation images that W&B gets after each validation, with masks",
    )
    parser.add_argument(
        "--wandb_checkpoint",
        action="store_true",
        help="fit: give W&B the best checkpoint as an artifact",
    )
