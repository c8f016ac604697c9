"""The help of the commands that train and evaluate."""

import re
import shlex

import pytest

from pspnet.__main__ import main
from pspnet.command_line.parsing.help import EXAMPLES, LONGEST, OWN, shortened_lists


def output(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 0
    return capsys.readouterr().out


def test_options_of_the_run_come_first_and_lightnings_last(capsys):
    text = output(["fit", "--help"], capsys)
    options = ("--name", "--ckpt_path", "--data.source", "--model.network", "--output.folder")
    places = [text.index(f"\n  {option} ") for option in (*options, "--trainer.max_epochs")]
    assert places == sorted(places)
    assert text.startswith("usage: pspnet fit [-c CONFIG]… [--OPTION=VALUE]…\n")
    assert "Linked arguments" not in text
    assert all(line in text.rpartition("examples:")[2] for line in EXAMPLES["fit"])
    lists = re.findall(r"known\s+subclasses:\s+([^)]*)\)", text)
    assert lists
    assert all(names.count(",") < LONGEST for names in lists)


def test_no_text_of_lightnings_names_another_default_than_the_runs(capsys):
    text = " ".join(output(["fit", "--help"], capsys).split())
    _, *options = re.split(r" --(?=trainer\.)", text.partition("Lightning's Trainer,")[2])
    named = [re.search(r"Default: ``([^`]*)``", option) for option in options]
    true = [re.findall(r"default: ([^()]*)\)", option) for option in options]
    for option, said, its in zip(options, named, true, strict=True):
        assert said is None or its[-1].startswith("null"), option  # what null stands for
    assert all(f"{line} (type: " in text for line in OWN.values())


def test_mean_and_std_are_said_to_be_those_that_the_run_takes(capsys):
    """As `set_normalization` gives them, which test_normalization.py checks."""
    text = " ".join(output(["fit", "--help"], capsys).split())
    assert text.count("what the encoder's pretrained weights expect (in Python ImageNet's)") == 2


def test_a_short_list_of_classes_stands_and_a_long_one_is_counted():
    few = "the loss (type: <class 'Module'>, known\n   subclasses: a.B,\n   c.D)"
    assert shortened_lists(few) == few
    many = "known subclasses: " + ",\n  ".join(f"torch.nn.C{i}" for i in range(40)) + ")"
    assert shortened_lists(many) == "known subclasses: torch.nn.C0 and 39 others)"


@pytest.mark.parametrize("line", EXAMPLES["fit"][:2])
def test_the_examples_are_accepted(line, capsys):
    assert "class_path: pspnet.PSPNet" in output([*shlex.split(line)[1:], "--print_config"], capsys)
