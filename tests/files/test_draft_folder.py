"""Folders are whole or absent; drafts of killed processes go, those of living ones stay."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from full_disk import full_from

from pspnet.errors import NotWritten
from pspnet.files.draft_folder import draft_folder
from pspnet.files.writing import write_atomic

FORK = multiprocessing.get_context("fork")


def test_a_draft_is_renamed_or_removed(tmp_path):
    with draft_folder(tmp_path / "new" / "a") as draft:
        (draft / "file").write_text("content")
        draft.replace(tmp_path / "new" / "a")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]
    with pytest.raises(KeyError), draft_folder(tmp_path / "b") as draft:
        raise KeyError(draft)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_a_full_disk_is_said_of_the_folder(tmp_path):
    with full_from("file"), pytest.raises(NotWritten) as error, draft_folder(tmp_path / "a") as d:
        write_atomic(d / "file", b"content")
    assert str(error.value).startswith(f"{tmp_path / 'a' / 'file'} cannot be written (")
    assert not list(tmp_path.iterdir())


def begin(folder, begun):
    """Write a part, and wait to be killed."""
    with draft_folder(folder) as draft:
        (draft / "part").write_text("")
        begun.set()
        signal.pause()


def test_only_drafts_of_killed_writers_are_removed(tmp_path):
    (tmp_path / ".a.draft-of-mine").write_text("a file of somebody's")
    writers = [(begun := FORK.Event(), FORK.Process(target=begin, args=(tmp_path / "a", begun)))]
    writers += [(begun := FORK.Event(), FORK.Process(target=begin, args=(tmp_path / "a", begun)))]
    drafts: list[Path] = []
    for begun, writer in writers:
        writer.start()
        assert begun.wait(60)
        drafts += [path for path in tmp_path.iterdir() if path.is_dir() and path not in drafts]
    os.kill(writers[0][1].pid, signal.SIGKILL)
    writers[0][1].join()
    with draft_folder(tmp_path / "a"):
        assert [path.exists() for path in drafts] == [False, True]
    assert (tmp_path / ".a.draft-of-mine").exists()
    writers[1][1].kill()
    writers[1][1].join()
