"""Wrong and odd values of every option, argument and file: refused in one line, or sensible.

A handful by chance of what `python -m fuzz` tries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzz import commands, folders, tools
from fuzz.faults import Entry, broken_files, judged, judged_folder
from fuzz.values import drawn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WELL = ("refused", "sensible")


def few(examples: int) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """The same examples in every run: a suite that fails by chance teaches nobody."""
    checks = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    return settings(
        max_examples=examples, deadline=None, database=None, derandomize=True,
        suppress_health_check=checks,
    )  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with commands.sandbox(tmp_path_factory.mktemp("fuzz")) as top:
        tools.write_inputs(top)
        yield top


def check(entry: Entry, data: st.DataObject, options: list) -> None:
    option = data.draw(st.sampled_from(options))
    value = data.draw(drawn(option))
    end, said = judged(entry, option, value)
    assert end in WELL, f"{entry.name} {option.given(value)}: {said}"


@pytest.fixture(scope="module")
def fit(place: Path) -> Iterator[tuple[Entry, list]]:
    entry = commands.training("fit")
    options = entry.options()
    with commands.stopped_before_computing("fit"):
        yield entry, options


@few(4)
@given(data=st.data())
def test_options_of_a_training(fit, data):
    check(fit[0], data, fit[1])


@few(60)
@given(data=st.data())
def test_arguments_of_tools(place, data):
    with tools.stopped_before_computing():
        tool = data.draw(st.sampled_from(tools.TOOLS))
        check(tool, data, tool.options())


@pytest.mark.parametrize("kind", folders.KINDS)
def test_files_of_a_data_set(kind, place):
    every = list(broken_files(kind))

    @few(6)
    @given(case=st.sampled_from(every))
    def broken(case: tuple[Path, str]) -> None:
        end, said = judged_folder(kind, *case)
        assert end in WELL, f"{kind} {case}: {said}"

    broken()


# one of each kind that was found by hand
FOUND = """
name=..
name=/
name=a\\nb
logs=http:l
logs=
trainer.limit_train_batches=-1
trainer.accelerator=x
trainer.devices=1000000
data.cache=
data.crop_size=100000
data.workers=1000000
model.optimizer.lr=nan
model.optimizer.momentum=1
model.lr_scheduler.power=1e400
model.inference.scales=[1000]
seed_everything=4294967296
config=fifo.yaml
config=bomb.yaml
config=latin1.yaml
model=latin1.yaml
"""


@pytest.mark.slow
@pytest.mark.parametrize("word", FOUND.split())
def test_a_value_found_by_hand_is_refused(word, fit):
    option, _, value = word.partition("=")
    from fuzz.parsers import Option

    end, said = judged(fit[0], Option(option, None), value.replace("\\n", "\n"))
    assert end == "refused", said


def test_one_is_one_batch_and_one_point_zero_is_all(fit, place, monkeypatch):
    taken = []
    monkeypatch.setattr(
        "lightning.Trainer._run_stage", lambda trainer: taken.append(trainer.limit_train_batches)
    )
    for value in ("1", "1.0"):
        option = next(option for option in fit[1] if option.name == "trainer.limit_train_batches")
        fit[0].run(option, value)
    assert [repr(limit) for limit in taken] == ["1", "1.0"]
