"""A tiny data set, and a cache with a sample."""

from pathlib import Path

import pytest
from cached import write_sample
from tiny import TinySource

from pspnet.data.cache import Cache
from pspnet.data.datasets.base import Sample


@pytest.fixture
def source(tmp_path: Path) -> TinySource:
    source = TinySource(str(tmp_path / "data"))
    source.prepare()
    return source


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    return write_sample(tmp_path / "data", "a")


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "some" / "kept")
