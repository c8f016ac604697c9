"""A data set small enough to train on within seconds, in the form of a user's own folder."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from samples import is_slow
from shapes import paint
from sketch import sketch

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
# the order of files; the fuzz is first, as after some other tests it has been seen to read 1 as
# 1.0, see `Trainer`
FIRST = (
    "test_fuzz.py",
    # these fork, which hangs now and then where other tests have left threads
    *("test_kill_matrix.py", "test_disk_full.py", "test_interruption.py", "test_run_folder.py"),
    # few and long tests; dealt last, they would leave the other process without work
    *("test_explain.py", "test_cli.py", "test_task.py"),
)
# these train and evaluate; what their figures show is tested beside the figures' own code
SKETCHED = {
    *("test_extending.py", "test_task.py", "test_initial_config.py"),
    *("test_convert.py", "test_invariance.py", "test_sweep_trainings.py", "test_find_lr.py"),
    *("test_raster.py", "test_predicted_channels.py", "test_merge_results.py", "test_results.py"),
    *("test_training_scores.py", "test_exports.py", "test_costs.py", "test_kill_matrix.py"),
}
torch.set_num_threads(1)  # on busy machines two threads wait for each other longer than they work


@pytest.hookimpl(tryfirst=True)  # before pytest leaves out what is slow
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if is_slow(item.path.name, item.name):
            item.add_marker(pytest.mark.slow)
    place = {name: number for number, name in enumerate(FIRST)}
    items.sort(key=lambda item: place.get(item.path.name, len(FIRST)))


@pytest.fixture(scope="session", autouse=True)
def float32() -> Iterator[None]:
    """Runs of the command line compute alike on all machines, unless a precision is given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pspnet.cli.default_precision", lambda device: "32-true")
        yield


@pytest.fixture(scope="module", autouse=True)
def sketched_figures(request: pytest.FixtureRequest) -> Iterator[None]:
    """In the files of `SKETCHED` figures are laid out and not drawn."""
    with pytest.MonkeyPatch.context() as patch:
        if request.path.name in SKETCHED:
            patch.setattr("matplotlib.figure.Figure.savefig", sketch)
        yield


@pytest.fixture(scope="session", autouse=True)
def cache_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Facts about files are remembered in a folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache_home")))
        yield


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """10 training and 5 validation images of 48 × 64 pixels, three classes."""
    return paint(tmp_path_factory.mktemp("shapes") / "data", count=15)
