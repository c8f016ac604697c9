"""The help of fit, validate, test and predict: options of the run first, Lightning's last."""

from __future__ import annotations

import argparse
import re

# groups of options in the order of the help; those of the run itself come before
ORDER = ("data", "model", "output", "trainer")
LONGEST = 12  # names of classes that a list may have
KNOWN = re.compile(r"known(\s+)subclasses:\s+([^)]*)\)")
EXAMPLES = {
    "fit": (
        "pspnet fit -c base -c scenes_pspnet --name=bins_1 --model.network.bins=[1]",
        "pspnet fit -c base -c voc_pspnet --data.source.root=path/to/voc --data.batch_size=8",
        "pspnet fit --resume --name=scenes_pspnet",
        "pspnet fit -c base -c scenes_pspnet --find_lr",
    ),
    "validate": (
        "pspnet validate --ckpt_path=best.ckpt",
        "pspnet validate --ckpt_path=best.ckpt --model.protocol=paper-ss",
    ),
    "test": ("pspnet test --ckpt_path=best.ckpt --data.source.root=path/to/voc",),
    "predict": (
        "pspnet predict --ckpt_path=best.ckpt --data.images=photos --output.folder=predicted",
    ),
}
CHECKPOINT = {
    "fit": "checkpoint of a training, which is continued",
    "predict": "checkpoint to predict with",
    **dict.fromkeys(("validate", "test"), "checkpoint to evaluate"),
}

# Lightning's texts name other defaults than the run's
OWN = {
    "precision": "numbers of training and evaluation, as 32-true, 16-mixed or bf16-mixed; null is "
    "the checkpoint's, and in a new run bf16-mixed where the hardware computes it (GPUs of compute "
    "capability 8.0 and above, CPUs with AMX or AVX512_BF16), otherwise 32-true",
    "logger": "further loggers, beside those of the run's folder, --wandb and --tensorboard",
    "enable_checkpointing": "false writes neither best.ckpt nor last.ckpt",
}
DEFAULT = re.compile(r"\s*Default: ``[^`]*``\.")


def arrange(parser: argparse.ArgumentParser) -> str:
    """Give a command's parser a short usage and its groups in order; return examples to append."""
    command = parser.prog.rpartition(" ")[2]
    if command not in EXAMPLES:
        return ""
    parser.usage = f"pspnet {command} [-c CONFIG]… [--OPTION=VALUE]…"
    parser.description = None  # Lightning's, of the method that it calls
    groups = [group for group in parser._action_groups if group.title != "Linked arguments"]
    parser._action_groups = sorted(groups, key=_rank)
    for action in parser._actions:
        group, _, name = action.dest.partition(".")
        if group == "trainer" and isinstance(action.help, str):
            # jsonargparse appends the default that is true
            its = action.help if action.default is None else DEFAULT.sub("", action.help)
            action.help = OWN.get(name, its)
        if action.dest == "ckpt_path":
            action.help = CHECKPOINT[command]
            action.container.title = "checkpoint"  # type: ignore[attr-defined]
    return "\nexamples:\n" + "".join(f"  {line}\n" for line in EXAMPLES[command])


def shortened_lists(text: str) -> str:
    """Return a help text in which no list of classes is longer than a few lines."""

    def short(found: re.Match[str]) -> str:
        names = re.split(r",\s+", found[2].strip())
        if len(names) <= LONGEST:
            return found[0]
        return f"known subclasses: {names[0]} and {len(names) - 1} others)"

    return KNOWN.sub(short, text)


def _rank(group: argparse._ArgumentGroup) -> int:
    """Return a group's place by the first part of its options' names."""
    first = next((action.dest.partition(".")[0] for action in group._group_actions), "")
    return 1 + ORDER.index(first) if first in ORDER else 0
