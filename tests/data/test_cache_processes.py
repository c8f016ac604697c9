"""A cache that processes share, and that a killed process leaves behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from cached import FORK, check, files, write_sample

from pspnet.data import cache as module
from pspnet.data.cache import Cache
from pspnet.data.datasets.base import Sample
from pspnet.data.image_io import read_image


def many(folder: Path, *, count: int) -> list[Sample]:
    return [write_sample(folder, str(number), seed=number) for number in range(count)]


def look(folder: Path, samples: list[Sample], start: Any, failed: Any) -> None:
    """Read all samples at the same time as other processes."""
    start.wait()
    try:
        for sample in samples:
            check(Cache(folder), sample)
    except BaseException:
        failed.set()
        raise


def test_processes_share_a_cache(tmp_path: Path) -> None:
    samples = many(tmp_path / "data", count=12)
    start, failed = FORK.Barrier(4), FORK.Event()
    processes = [
        FORK.Process(target=look, args=(tmp_path / "kept", samples, start, failed))
        for _ in range(4)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    assert not failed.is_set()
    kept = [path for path in (tmp_path / "kept").iterdir() if path.suffix == ".npy"]
    assert len(kept) == 24
    assert len(list((tmp_path / "kept").iterdir())) == 24  # and no part of one


def test_a_copy_that_another_process_has_made_stays(
    cache: Cache, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(path: Path, *_: object) -> np.ndarray:
        monkeypatch.setattr(module, "read_image", read_image)
        quick.image(path)
        states.append(files(cache)[0].stat())
        return read_image(path)

    quick, states = Cache(cache.folder), []
    monkeypatch.setattr(module, "read_image", slow)
    np.testing.assert_array_equal(cache.image(sample.image), read_image(sample.image))
    assert files(cache)[0].stat().st_ino == states[0].st_ino


def write_for_ever(folder: Path, samples: list[Sample], begun: Any) -> None:
    cache = Cache(folder)
    while True:
        for sample in samples:
            cache.image(sample.image)
            begun.set()
        for path in folder.glob("*.npy"):
            path.unlink()


def test_a_killed_writer_leaves_no_copy_in_part(tmp_path: Path) -> None:
    samples = many(tmp_path / "data", count=3)
    for delay in (0, 0.003, 0.007, 0.012):
        begun = FORK.Event()
        writer = FORK.Process(target=write_for_ever, args=(tmp_path / "kept", samples, begun))
        writer.start()
        assert begun.wait(60)
        time.sleep(delay)
        writer.kill()
        writer.join()
        for sample in samples:
            check(Cache(tmp_path / "kept"), sample)


def die_half_way(folder: Path, sample: Sample) -> None:
    def half(path: Path, content: bytes) -> NoReturn:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError

    Path.write_bytes = half  # type: ignore[method-assign]  # in a process of its own
    Cache(folder).image(sample.image)


def test_what_a_killed_writer_left_is_not_read_and_swept_later(
    cache: Cache, sample: Sample
) -> None:
    writer = FORK.Process(target=die_half_way, args=(cache.folder, sample))
    writer.start()
    writer.join()
    assert writer.exitcode == -signal.SIGKILL
    (partial,) = files(cache)
    check(Cache(cache.folder), sample)
    assert partial.exists()  # it could be another machine's, at work
    day = 24 * 60 * 60
    os.utime(partial, (time.time() - day - 60,) * 2)
    os.utime(files(cache)[-1], (time.time() - 9 * day,) * 2)
    check(Cache(cache.folder), sample)
    assert not partial.exists()
    assert len(files(cache)) == 2
