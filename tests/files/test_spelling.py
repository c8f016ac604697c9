"""The option that a misspelled one means."""

import pytest

from pspnet.errors import Parser
from pspnet.files.spelling import nearest, nearest_option, with_proposals

KNOWN = (
    *("name", "data.batch_size", "data.workers", "model.inference.base_size"),
    *("trainer.max_epochs", "trainer.min_epochs", "model.network.dropout", "data.source.root"),
)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("data.batchsize", "data.batch_size"),
        ("data.batch-size", "data.batch_size"),
        ("batch_size", "data.batch_size"),  # the group is missing
        ("model.batch_size", "data.batch_size"),
        ("epochs", "trainer.max_epochs"),  # the first of two that are equally close
        ("root", "data.source.root"),  # and not dropout
        ("trainr.max_epochs", "trainer.max_epochs"),
        ("trainer.Max_Epochs", "trainer.max_epochs"),
        ("nmae", "name"),
        ("data.xyzzy", None),
        ("xyzzy", None),
    ],
)
def test_the_option_that_is_meant(given, meant):
    assert nearest_option(given, KNOWN) == meant


def test_names_far_away_are_none():
    assert nearest("sgd", ["Adam", "SGD"]) == "SGD"
    assert nearest("xyz", ["Adam", "SGD"]) is None
    assert nearest("x", []) is None


def test_lines_about_something_else_are_left_alone():
    assert with_proposals("the following arguments are required: name", KNOWN).endswith(": name")
    line = "unrecognized arguments: --data.batchsize=3 4 --xyzzy=1 --nmae"
    assert with_proposals(line, KNOWN) == f"{line}; did you mean --data.batch_size and --name?"
    line = "unrecognized arguments: data.workers=0 --data.batchsize+=3 workers"
    assert with_proposals(line, KNOWN).endswith("mean --data.workers and --data.batch_size?")


def test_a_tools_parser_proposes_its_options(capsys):
    parser = Parser()
    parser.add_argument("--val-share")
    with pytest.raises(SystemExit):
        parser.parse_args(["--val_shar=3"])
    assert capsys.readouterr().err == (
        "error: unrecognized arguments: --val_shar=3; did you mean --val-share?\n"
    )
