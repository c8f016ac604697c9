"""Silence for what libraries say in every run and nobody has asked for."""

from __future__ import annotations

import logging
import sys
import warnings

LOGGERS = (
    *("lightning.pytorch.utilities.rank_zero", "lightning.fabric.utilities.rank_zero"),
    "lightning.fabric.utilities.seed",
)
# beginnings of Lightning's lines: advertisements, and what the opening lines say as well
SILENT = (
    *("💡 Tip: ", "GPU available: ", "TPU available: ", "Seed set to ", "`Trainer.fit` stopped: "),
    "Loading `train_dataloader` to estimate number of stepping batches",
    *("Restoring states from the checkpoint path ", "Loaded model weights from the checkpoint "),
    "Restored all states from the checkpoint ",
)
WARNINGS = (
    # Lightning 2.6 calls torch's tree functions in a way that torch 2.15 announces to retire
    (".*LeafSpec.*", FutureWarning),
    # a run that is continued
    ("Checkpoint directory .* exists and is not empty", UserWarning),
    # a prediction that is complete
    ("Total length of `DataLoader` across ranks is zero", UserWarning),
    # scores are of all processes' images already: there is nothing to synchronize
    (
        r".*self\.log\(.(train|val|test)/(\w+_accuracy|category_miou|miou|(iou|miou)/.*)., \.\.\., "
        "sync_dist",
        UserWarning,
    ),
)


class _Wanted(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith(SILENT)


_WANTED = _Wanted()  # one for all calls: a logger takes it once


class _Stderr:
    """The stderr of the moment, which bars replace while they are drawn to print above them."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


def quiet() -> None:
    """Leave out those lines and warnings from now on, and let all others stand above the bars."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        for handler in logging.getLogger(name).handlers:
            if type(handler) is logging.StreamHandler:  # no heir, such as those of tests
                handler.setStream(_Stderr())
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_WANTED)
    for message, category in WARNINGS:
        warnings.filterwarnings("ignore", message=message, category=category)
