"""Options as W&B's agent prints them."""

import json

import pytest

from pspnet.parsing import from_python


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("--model.loss=None", "--model.loss=null"),
        ("--model.network.bins=[]", "--model.network.bins=[]"),
        ("--x=[1, None, True]", "--x=[1, null, true]"),
        ("--x=(1, 2)", "--x=[1, 2]"),
        ("--a={'name': 'B1', 'reduce': False, 'loss': None}", None),
    ],
)
def test_python_literals_become_json(printed, expected):
    found = from_python(printed)
    if expected is None:
        assert found.startswith("--a=")
        assert json.loads(found[4:]) == {"name": "B1", "reduce": False, "loss": None}
    else:
        assert found == expected


@pytest.mark.parametrize(
    "word",
    [
        *("fit", "--name=None-such", "--x=[a, b]", "--x={a: 1}", "--help", "--x", "-c=None"),
        *("--model.pool=max", "--lr=0.1", '--x={"a": null}', "--x=[1, 2"),
    ],
)
def test_all_else_stays_as_it_is(word):
    assert from_python(word) == word
