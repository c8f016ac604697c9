"""The command line: `python -m pspnet fit | validate | test | predict`, on LightningCLI.

The constructors of `Segmentation`, `PSPNet`, `SegmentationData` and its sources are the options;
the classes come from the data, or from the checkpoint where pictures are predicted on.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_only

import pspnet.data  # noqa: F401  (the sources, so that `--data.source=VOC` finds them)
from pspnet.callbacks.costs import AuxiliaryGradient, Costs
from pspnet.callbacks.loggers import Wandb, default_loggers
from pspnet.callbacks.report import Randomness, Report, SaveConfig
from pspnet.callbacks.writers import PredictionWriter, SubmissionWriter
from pspnet.checkpoints import read_checkpoint
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError
from pspnet.evaluation.summary import format_table
from pspnet.parsing import Parser, checkpoint_argument, from_python, one_line
from pspnet.precision import default_precision
from pspnet.task import Segmentation


class PSPNetCLI(LightningCLI):
    """LightningCLI whose checkpoints carry their network, and whose runs have a folder each."""

    checkpoint: dict[str, Any] | None = None

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--name", type=str, default="pspnet", help="the run's folder is logs/NAME/VERSION"
        )
        parser.add_argument(
            "--version", type=str | None, default=None, help="version_N, counted, if not given"
        )
        parser.add_argument("--logs", type=str, default="logs", help="folder of all runs")
        parser.add_argument(
            "--wandb", type=Wandb, default="auto", help="auto: online if a key is configured"
        )
        parser.add_lightning_class_args(PredictionWriter, "output")
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        for target, compute in (
            ("model.classes", self.classes),
            ("model.network.num_classes", self.num_classes),
            ("model.crop_size", lambda data: data.crop_size),
            ("model.base_size", lambda data: data.source.base_size),
        ):
            parser.link_arguments("data", target, compute_fn=compute, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Lays the checkpoint's configuration, if one is given, under that of the command line."""
        given = sys.argv[1:] if args is None else args
        assert isinstance(given, list)
        words = [from_python(word) for word in given]
        self.ckpt_path = checkpoint_argument(words)
        if self.ckpt_path is None:
            self.config = parser.parse_args(words)
            self.ckpt_path = self.config[self.config.subcommand].ckpt_path  # of a file's
        if self.ckpt_path is None:
            return
        self.checkpoint = read_checkpoint(self.ckpt_path)
        fit = words[0] == "fit"
        if fit and "optimizer_states" not in self.checkpoint:
            raise UserError(
                f"ckpt_path={self.ckpt_path}: converted weights have no optimizer to go on with; "
                "evaluate them, or start a run with model.network.encoder_weights"
            )
        kept = ("name", "data", "model", *(("seed_everything", "trainer") if fit else ()))
        saved = {key: self.checkpoint["config"][key] for key in kept}
        self.config = parser.parse_args([words[0], f"--config={json.dumps(saved)}", *words[1:]])
        if fit:
            self._check_resume(saved["model"])
        network = dict(self.checkpoint["hyper_parameters"]["network"])
        del network["num_classes"]  # linked
        layered = {self.config.subcommand: {"model": {"network": network}}}
        self.config = parser.parse_object(layered, self.config)
        # else LightningCLI, too, would read it, and refuse the links
        self.config[self.config.subcommand].ckpt_path = None

    def _check_resume(self, saved: dict[str, Any]) -> None:
        for key in ("lr", "new_layer_factor", "momentum", "weight_decay"):
            now = self.config.fit.model[key]
            if now != saved[key]:
                raise UserError(
                    f"model.{key}={now}: a resumed run goes on with its optimizer, {saved[key]}; "
                    "leave the option out, or start a new run without ckpt_path"
                )

    def before_instantiate_classes(self) -> None:
        config = self.config[self.config.subcommand]
        if self.ckpt_path is not None:
            config.ckpt_path = self.ckpt_path
        if self.config.subcommand == "predict":
            config.return_predictions = False  # they are written as they come
        elif self.config.subcommand in ("validate", "test"):
            config.verbose = False  # the table of the last lines says more
        if self.config.subcommand != "fit" and config.ckpt_path is None:
            raise UserError(
                f"{self.config.subcommand} needs a trained network; give --ckpt_path=FILE.ckpt"
            )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config_init[self.config.subcommand]
        more = config.trainer.logger
        if more is False:
            raise UserError(
                "trainer.logger=false: a run's folder is its logger's; to log less use --wandb=off"
            )
        own = more if isinstance(more, list) else [] if more in (None, True) else [more]
        if config.version is not None:
            resumed = config.ckpt_path if self.config.subcommand == "fit" else None
            _make_room(Path(config.logs) / config.name / config.version, resumed=resumed)
        loggers = default_loggers(
            config.logs, name=config.name, version=config.version, wandb=config.wandb
        )
        gpu = torch.cuda.is_available() and config.trainer.accelerator != "cpu"
        self.submission = SubmissionWriter()
        fit = self.config.subcommand == "fit"
        saving = fit and config.trainer.enable_checkpointing is not False
        self.trainer_defaults["callbacks"] = [
            *(_checkpoints() if saving else []),
            Report(),
            self.submission,
            *(
                [LearningRateMonitor("step"), AuxiliaryGradient(), Costs(), Randomness()]
                if fit
                else []
            ),
        ]
        return super().instantiate_trainer(
            **kwargs,
            precision=config.trainer.precision
            or default_precision(torch.device("cuda" if gpu else "cpu")),
            logger=[*loggers, *own],
            sync_batchnorm=config.trainer.sync_batchnorm and gpu,  # CPUs cannot share statistics
        )

    def after_fit(self) -> None:
        """Evaluates the best checkpoint on the validation split; the last if none was scored."""
        saved = [c for c in self.trainer.checkpoint_callbacks if isinstance(c, ModelCheckpoint)]
        path = next((c.best_model_path for c in saved if c.best_model_path), None)
        if path is not None:
            self.trainer.validate(self.model, self.datamodule, ckpt_path=path, verbose=False)
            self._say(split="val")

    def after_validate(self) -> None:
        self._say(split="val")

    def after_test(self) -> None:
        if self.submission.archive is not None:
            protocol = self.model.protocol.name
            print(f"\npredictions of the test split ({protocol}): {self.submission.archive}")
        elif self.datamodule.submits:
            print("no archive is written: not every image of the test split was predicted on")
        else:
            self._say(split="test")

    def after_predict(self) -> None:
        writer: PredictionWriter = self.config_init.predict.output
        if self.trainer.is_global_zero:
            print(f"{len(writer.names)} predictions written to {writer.writer.out_dir}")

    def num_classes(self, data: SegmentationData) -> int:
        """The length of the class table."""
        return len(self.classes(data))

    def classes(self, data: SegmentationData) -> Classes:
        """The data's class table, which must fit the checkpoint's; the latter for pictures."""
        if self.checkpoint is None:
            return data.classes
        saved = self.checkpoint["hyper_parameters"]["classes"]
        table = Classes(**{**saved, "names": tuple(saved["names"])})
        if data.pictures is not None and self.config.subcommand == "predict":
            return table
        if data.classes.names != table.names:
            raise UserError(
                f"{self.ckpt_path} was trained on {_count(table)}, and the data has "
                f"{_count(data.classes)}; give the data it was trained on, or another checkpoint"
            )
        return data.classes

    def _say(self, *, split: Literal["val", "test"]) -> None:
        log_dir = self.trainer.log_dir  # asks the first process, so all must ask
        if not self.trainer.is_global_zero:
            return
        scores = self.model.scores()
        miou = "–" if scores["miou"] is None else f"{100 * scores['miou']:.2f} %"
        line = f"mIoU on {split} ({self.model.protocol.name}): {miou} of {self.trainer.ckpt_path}"
        print(f"\n{format_table(scores)}\n\n{line}")
        print(f"pictures, results.json and config.yaml: {log_dir}")


@rank_zero_only  # the other processes come when the first has begun to write
def _make_room(folder: Path, *, resumed: str | None) -> None:
    """Refuses a folder that holds a run, unless that run goes on: then its log is kept aside."""
    if not (folder / "config.yaml").is_file():  # each run's first file
        return
    if resumed is None or folder.resolve() not in Path(resumed).resolve().parents:
        raise UserError(
            f"version={folder.name}: {folder} holds a run; give another version, or go on with it "
            f"by fit --ckpt_path={folder}/checkpoints/last.ckpt"
        )
    log, kept = folder / "metrics.csv", len(list(folder.glob("metrics.before_*.csv")))
    if log.is_file():  # Lightning's logger would delete it
        log.rename(folder / f"metrics.before_{kept + 1}.csv")


def _checkpoints() -> list[Callback]:
    best = ModelCheckpoint(
        filename="best", monitor="val/miou", mode="max", enable_version_counter=False
    )
    # the `save_last` of `best` would save only when the best improves
    last = ModelCheckpoint(
        filename="last", save_on_train_epoch_end=True, enable_version_counter=False
    )
    return [best, last]


def _count(classes: Classes) -> str:
    return f"{len(classes)} classes ({', '.join(classes.names[:3])}, …)"


def main(args: list[str] | None = None) -> None:
    """Runs the command line; `args` stands in for `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for what this package refuses, 2 for wrong options.
    """
    torch.set_float32_matmul_precision("high")  # TF32 on GPUs that have it
    # Lightning 2.6 calls torch's tree functions in a way that torch 2.15 announces to retire
    warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
    strict = {"allow_abbrev": False}
    try:
        PSPNetCLI(
            Segmentation,
            SegmentationData,
            args=args,
            parser_class=Parser,
            parser_kwargs=strict | dict.fromkeys(PSPNetCLI.subcommands(), strict),
            save_config_callback=SaveConfig,
            save_config_kwargs={"overwrite": True},  # of a run that goes on in its folder
            seed_everything_default=0,
            auto_configure_optimizers=False,
            trainer_defaults={"num_sanity_val_steps": 0},
        )
    except Exception as error:
        line = one_line(error)
        if line is None:
            raise
        sys.stderr.write(f"error: {line}\n")
        raise SystemExit(1) from error
