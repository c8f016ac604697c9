"""The command line: `python -m pspnet fit | validate | test | predict`, on LightningCLI.

The constructors of `Segmentation`, `PSPNet`, `SegmentationData` and its sources are the options.
The classes come from the data, or from the checkpoint where images are predicted on.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI

import pspnet.data  # noqa: F401  (the sources, so that `--data.source=VOC` finds them)
from pspnet.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from pspnet.callbacks.prediction_writers import PredictionWriter
from pspnet.callbacks.range_test import RangeTest
from pspnet.callbacks.run_state import SaveConfig
from pspnet.callbacks.submission_writer import SubmissionWriter
from pspnet.checkpoints.initial_weights import InitialWeights, read_initial_weights
from pspnet.checkpoints.reading import read_checkpoint
from pspnet.checkpoints.resumed_state import check_training
from pspnet.checkpoints.temperature import store_temperature
from pspnet.command_line import find_lr, last_lines
from pspnet.command_line.early_checks import check_paths
from pspnet.command_line.normalization import set_normalization
from pspnet.command_line.options import add_options
from pspnet.command_line.parsing.option_types import Seed
from pspnet.command_line.parsing.parser import Parser, check_names
from pspnet.command_line.parsing.words import checkpoint_argument, from_python, given_options
from pspnet.command_line.quiet import quiet
from pspnet.command_line.refusals import check_options
from pspnet.command_line.run_loggers import log_best, loggers_of_run
from pspnet.command_line.run_parts import (
    callbacks_of_run,
    own_loggers,
    progress_of,
    with_own_parts,
)
from pspnet.command_line.starts import checkpoint_config, initial_config
from pspnet.command_line.starts.continued_config import parse_continued
from pspnet.command_line.starts.resumed_options import check_resume, parse_over
from pspnet.command_line.trainer import Trainer, refusals_in_one_line
from pspnet.data.datamodule import SegmentationData
from pspnet.data.datasets.classes import Classes
from pspnet.errors import UserError, one_line_errors
from pspnet.evaluation.calibration import Calibration
from pspnet.inference.numeric_precision import default_precision, on_gpu
from pspnet.runs import folder as run_folder
from pspnet.runs import resuming
from pspnet.runs.interruption import Interruption, Signals
from pspnet.task import Segmentation


class PSPNetCLI(LightningCLI):
    """LightningCLI whose checkpoints carry their network, and whose runs have a folder each."""

    checkpoint: dict[str, Any] | None = None
    initial_weights: InitialWeights | None = None
    continued: Any = None  # a ContinuedTraining; to import it takes seconds
    range_test: RangeTest | None = None

    def __init__(self, *args: Any, signals: Signals, commands: Any, **options: Any) -> None:
        self.signals = signals
        self.subcommands = lambda: commands  # type: ignore[method-assign]
        super().__init__(*args, **options)

    def add_default_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        parser.add_argument(
            "--seed_everything", type=bool | Seed, default=0, help="true draws a seed"
        )

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        add_options(parser)
        parser.link_arguments("seed_everything", "data.seed", compute_fn=int)
        for target, compute in (
            ("model.classes", self.classes),
            ("model.network.init_args.num_classes", self.num_classes),
            ("model.network.init_args.in_channels", lambda data: len(data.channels)),
            ("model.crop_size", lambda data: data.crop_size),
            ("model.base_size", lambda data: data.source.base_size),
        ):
            parser.link_arguments("data", target, compute_fn=compute, apply_on="instantiate")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Lay the checkpoint's configuration, if one is given, under that of the command line."""
        given = sys.argv[1:] if args is None else args
        assert isinstance(given, list)
        words = [from_python(word) for word in given]
        check_names(words)
        initial_config.check_command(words)
        words = resuming.resolve_words(words)
        named = {name for name, _ in given_options(words[1:])}
        self.placed = bool(named & {"logs", "name", "version"})
        self.says_wandb = "wandb" in named
        self.ckpt_path = checkpoint_argument(words)
        if self.ckpt_path is None:
            self.config = parser.parse_args(words)
            self.ckpt_path = self.config[self.config.subcommand].ckpt_path  # of a file's
        if self.ckpt_path is None:
            self._start_from_weights(parser, words)
            return
        self.checkpoint = read_checkpoint(self.ckpt_path)
        under = checkpoint_config.beneath(
            self.checkpoint, path=self.ckpt_path, command=words[0], words=words[1:]
        )
        if words[0] == "fit":
            check_training(self.checkpoint, path=self.ckpt_path)
        # to Lightning some words are other files
        self.ckpt_path = str(Path(self.ckpt_path).absolute())
        self.config = parse_over(parser, under, words)
        if words[0] == "fit":
            before = parser.parse_args(["fit", f"--config={json.dumps(under)}"]).fit.model
            check_resume(before, self.config.fit.model)
            initial_config.check_start(self.config.fit, under)
        # the network is the checkpoint's, whatever the command line says
        if "network" not in under["model"]:
            raise UserError(
                f"model.network: the network is that of {self.ckpt_path}; leave the option out, or "
                "give --trust to import its class"
            )
        layered = {self.config.subcommand: {"model": {"network": under["model"]["network"]}}}
        self.config = parser.parse_object(layered, self.config)
        # LightningCLI would read it, too, and refuse the links
        self.config[self.config.subcommand].ckpt_path = None

    def _start_from_weights(self, parser: LightningArgumentParser, words: list[str]) -> None:
        """Lay the options of initial weights, if they are given, under the command line."""
        config = self.config[self.config.subcommand]
        if self.config.subcommand == "fit" and config.continue_from is not None:
            self.continued, self.config = parse_continued(parser, self.config, words)
        if self.config.subcommand != "fit" or config.init_from is None:
            return
        self.initial_weights = read_initial_weights(config.init_from)
        under = initial_config.beneath_new(self.initial_weights, words=words[1:])
        self.config = parser.parse_args([words[0], f"--config={json.dumps(under)}", *words[1:]])

    def before_instantiate_classes(self) -> None:
        config = self.config[self.config.subcommand]
        check_options(config, command=self.config.subcommand, checkpoint=self.ckpt_path)
        if self.checkpoint is not None and self.config.subcommand == "fit":
            resuming.check_unfinished(config, self.checkpoint, self.ckpt_path)
        if self.ckpt_path is not None:
            config.ckpt_path = self.ckpt_path
        if self.config.subcommand != "fit" and not self.says_wandb:
            config.wandb = "off"  # W&B compares trainings
        if self.config.subcommand == "predict":
            config.return_predictions = False  # they are written as they come
        elif self.config.subcommand in ("validate", "test"):
            config.verbose = False  # the table of the last lines says more
        network = config.model.network.init_args
        starts = (self.ckpt_path, self.initial_weights, self.continued)
        if "encoder_weights" in network and any(start is not None for start in starts):
            network.encoder_weights = None  # they would be overwritten
        check_paths(config, self.config.subcommand)
        set_normalization(config, telling=self.config.subcommand == "fit")
        if config.trainer.deterministic:  # cuDNN's search for the fastest algorithm is not
            config.trainer.benchmark = False
        if config.trainer.precision is None:
            gpu = on_gpu(config.trainer.accelerator)
            config.trainer.precision = default_precision(torch.device("cuda" if gpu else "cpu"))

    def instantiate_classes(self) -> None:
        with refusals_in_one_line():  # of Lightning's callbacks and loggers
            super().instantiate_classes()

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        config = self.config_init[self.config.subcommand]
        fit = self.config.subcommand == "fit"
        own = own_loggers(config.trainer)
        if self.initial_weights is not None:  # before the run has a folder
            initial_config.load(self.initial_weights, self.model)
        if self.continued is not None:
            self.continued.load_weights(self.model)
        self.submission = SubmissionWriter()
        if config.find_lr:
            self.range_test = RangeTest()
            callbacks = [Interruption(self.signals), self.range_test, *progress_of(config.trainer)]
            options = find_lr.trainer_options(config, steps=self.range_test.steps)
        else:
            callbacks = callbacks_of_run(config, self.signals, self.submission, fit=fit)
            callbacks[:0] = [self.continued] if self.continued is not None else []
            options = self._place(config, own)
        self.trainer_defaults["callbacks"] = callbacks
        # CPUs cannot share statistics
        shares = config.trainer.sync_batchnorm and on_gpu(config.trainer.accelerator)
        trainer = super().instantiate_trainer(**kwargs, **options, sync_batchnorm=shares)
        assert isinstance(trainer, Trainer)
        return with_own_parts(trainer, resumes=fit)

    def _place(self, config: Namespace, own: list[Any]) -> dict[str, Any]:
        """Make the run's folder; return the trainer's loggers and root."""
        loggers = loggers_of_run(
            config,
            command=self.config.subcommand,
            checkpoint=self.ckpt_path,
            steps=self.checkpoint["global_step"] if self.checkpoint else 0,
            placed=self.placed,
        )
        # a run's, or its predictions' alone
        folder = loggers[0].log_dir if loggers else config.output.folder
        root = config.trainer.default_root_dir or str(folder)
        return {"logger": [*loggers, *own], "default_root_dir": root}

    def after_fit(self) -> None:
        """Evaluate the best checkpoint on the validation split; the last if none was scored."""
        if self.range_test is not None:
            find_lr.report(self.trainer, self.range_test)
            return
        callbacks = self.trainer.checkpoint_callbacks
        best = [c.best_model_path for c in callbacks if isinstance(c, BestCheckpoint)]
        last = [c.final for c in callbacks if isinstance(c, LastCheckpoint)]
        path = next((path for path in (*best, *last) if path), None)
        if path is not None:
            self.trainer.validate(self.model, self.datamodule, ckpt_path=path, verbose=False)
            last_lines.say_scores(self.trainer, self.model, split="val")
            last_lines.say_next(self.trainer)
            log_best(self.trainer.loggers, path, self.config_init.fit)

    def before_validate(self) -> None:
        if self.config_init.validate.calibrate:
            self.model.calibration = Calibration(len(self.model.classes))

    def after_validate(self) -> None:
        last_lines.say_scores(self.trainer, self.model, split="val")
        found = self.model.calibrated
        if found is not None and self.trainer.is_global_zero:
            assert self.ckpt_path is not None
            store_temperature(self.ckpt_path, found.temperature)
            last_lines.say_temperature(found, self.ckpt_path)

    def after_test(self) -> None:
        if self.submission.archive is not None:
            last_lines.say_archive(self.submission.archive, self.model.protocol.name)
        elif self.datamodule.submits:
            last_lines.say_archive(None, self.model.protocol.name)
        else:
            last_lines.say_scores(self.trainer, self.model, split="test")

    def before_predict(self) -> None:
        assert self.ckpt_path is not None
        self.config_init.predict.output.checkpoint = Path(self.ckpt_path)

    def after_predict(self) -> None:
        writer: PredictionWriter = self.config_init.predict.output
        if self.trainer.is_global_zero:
            print(writer.said())

    def num_classes(self, data: SegmentationData) -> int:
        """Return the length of the class table."""
        return len(self.classes(data))

    def classes(self, data: SegmentationData) -> Classes:
        """Return the data's class table, which must fit the checkpoint's; the latter for images."""
        if self.checkpoint is None:
            return data.classes
        table = checkpoint_config.class_table(self.checkpoint)
        if data.images is not None and self.config.subcommand == "predict":
            return table
        checkpoint_config.check_classes(data.classes, table, path=str(self.ckpt_path))
        return data.classes


def main(args: list[str] | None = None) -> None:
    """Run the command line; `args` stands in for `sys.argv[1:]`.

    Raises:
        SystemExit: with code 1 and one line for a UserError, 2 for wrong options.
    """
    torch.set_float32_matmul_precision("high")  # TF32 on GPUs that have it
    quiet()
    strict = {"allow_abbrev": False}
    commands, given = PSPNetCLI.subcommands(), sys.argv[1:] if args is None else args
    if given[:1] and given[0] in commands:  # the other parsers would take half of the start
        commands = {given[0]: commands[given[0]]}
    signals = Signals()
    with one_line_errors(), signals.taken(), run_folder.discarding_unused():
        PSPNetCLI(
            Segmentation,
            SegmentationData,
            signals=signals,
            commands=commands,
            trainer_class=Trainer,
            args=args,
            parser_class=Parser,
            parser_kwargs=strict | dict.fromkeys(commands, strict),
            save_config_callback=SaveConfig,
            save_config_kwargs={"save_to_log_dir": False},  # it writes the file itself
            seed_everything_default=0,
            auto_configure_optimizers=False,
            trainer_defaults={"num_sanity_val_steps": 0, "enable_model_summary": False},
        )
