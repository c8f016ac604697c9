"""Refusals of fit and its kind name the option, the value, and what to give."""

import pytest
from jsonargparse.typing import PositiveInt

from pspnet.__main__ import main
from pspnet.command_line.parsing.messages import _kinds

SCENES = ("-c", "base", "-c", "scenes_pspnet")
FOCAL = "--model.loss=OhemCrossEntropy"


def refusal(words, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    line = capsys.readouterr().err
    assert (stopped.value.code, line.count("\n")) == (2, 1)
    return line.removeprefix("error: ").rstrip("\n")


@pytest.mark.parametrize(
    ("words", "end"),
    [
        (["--data.batchsize=3"], "arguments: --data.batchsize=3; did you mean --data.batch_size?"),
        (["--lr=3"], "did you mean --model.optimizer.lr?"),
        (["--model.network.binz=[1]"], "'binz' is not accepted; did you mean model.network.bins?"),
        (["--model.network.dilation.stage_5=[1]"], "mean --model.network.dilation.stage5?"),
        (["--data.source.rot=x"], "did you mean data.source.root?"),
        (["--model.optimizer.lrr=1"], "did you mean model.optimizer.lr?"),
        ([FOCAL, "--model.loss.treshold=1"], "did you mean model.loss.threshold?"),
        (["--config={data: {batchsize: 3}}"], "did you mean data.batch_size?"),
        (["--config={model: {network: {binz: [3]}}}"], "did you mean model.network.bins?"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_misspelled_options_get_the_one_that_is_meant(words, end, capsys):
    assert refusal(["fit", *SCENES, *words], capsys).endswith(end)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--data.batch_size=abc"], "data.batch_size=abc: give a whole number"),
        (["--model.network.dropout=abc"], "model.network.dropout=abc: give a number"),
        (["--model.optimizer.lr=abc"], "model.optimizer.lr=abc: give a number"),
        (
            ["--model.optimizer=Sgd"],
            "model.optimizer=Sgd: no class has this name; did you mean SGD?",
        ),
        (
            ["--trainer.callbacks+=EarlyStoping"],
            "trainer.callbacks=EarlyStoping: no class has this name; did you mean EarlyStopping?",
        ),
        (
            ["--data.crop_size=abc"],
            "data.crop_size: abc is given; give a whole number or a list of 2 whole numbers",
        ),
        (
            ["--name=a/b"],
            "name='a/b': give the name of one folder, without / and at most 200 bytes long",
        ),
        (["--config={data: {batch_size: many}}"], "data.batch_size=many: give a whole number"),
    ],
    ids=lambda value: value[-1] if isinstance(value, list) else "",
)
def test_wrong_values_are_named_in_plain_words(words, line, capsys):
    assert refusal(["fit", *SCENES, *words], capsys) == line


def test_options_of_a_data_set_or_loss_without_its_name(capsys):
    line = refusal(["fit", "-c", "base", "--data.source.root=mydata"], capsys)
    assert line.startswith("data.source has no name; give --data.source=NAME before its options, ")
    assert "Folder, LabelMe" in line
    assert "OwnData" not in line  # cannot be built
    line = refusal(["fit", *SCENES, "--model.loss.gamma=3"], capsys)
    assert line.startswith("model.loss has no name; give --model.loss=NAME before its options, ")


def test_a_command_without_options_names_what_it_needs_first(capsys):
    for command in ("validate", "test", "predict"):
        line = f"{command} needs a trained network; give --ckpt_path=FILE.ckpt"
        assert refusal([command], capsys) == line
    begin = "data.source is missing; give -c EXPERIMENT, or --data.source=NAME, one of ADE20K"
    assert refusal(["fit"], capsys).startswith(begin)
    assert refusal(["check", "-c", "base"], capsys).startswith(begin)


def test_a_tool_on_data_proposes_its_own_options(capsys):
    assert refusal(["check", *SCENES, "--otu=3"], capsys).endswith("did you mean --out?")


def test_types_in_words():
    assert _kinds(int | None) == ["a whole number", "null"]
    assert _kinds(PositiveInt) == ["a whole number > 0"]
    assert _kinds(tuple[float, ...]) == ["a list of numbers"]
    assert _kinds(tuple[str, ...]) == ["a list of texts"]
    assert _kinds(int | str) == []  # any word is right
    assert _kinds(dict[str, int]) == []
