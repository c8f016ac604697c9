"""The help of the commands that train and evaluate."""

import re
import shlex

import pytest

from pspnet.__main__ import main
from pspnet.command_line.help import EXAMPLES, LONGEST, shortened_lists


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


def test_a_short_list_of_classes_stands_and_a_long_one_is_counted():
    few = "the loss (type: <class 'Module'>, known\n   subclasses: a.B,\n   c.D)"
    assert shortened_lists(few) == few
    many = "known subclasses: " + ",\n  ".join(f"torch.nn.C{i}" for i in range(40)) + ")"
    assert shortened_lists(many) == "known subclasses: torch.nn.C0 and 39 others)"


@pytest.mark.parametrize("line", EXAMPLES["fit"][:2])
def test_the_examples_are_accepted(line, capsys):
    assert "class_path: pspnet.PSPNet" in output([*shlex.split(line)[1:], "--print_config"], capsys)
