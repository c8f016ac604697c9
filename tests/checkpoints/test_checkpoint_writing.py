"""Checkpoints are whole or absent, and a changed one is refused."""

import errno
import os
from pathlib import Path

import pytest
import torch

from pspnet.checkpoints.writing import VerifiedCheckpointIO, remove_drafts
from pspnet.errors import UserError
from pspnet.models.torch_file import check_archive

WEIGHTS = {"state_dict": {"a": torch.ones(40_000), "b": torch.ones(40_000)}, "epoch": 3}


@pytest.fixture
def written(tmp_path) -> Path:
    path = tmp_path / "checkpoints" / "last.ckpt"
    VerifiedCheckpointIO().save_checkpoint(WEIGHTS, path)
    return path


def test_a_checkpoint_is_a_file_of_torch_alone_in_its_folder(written):
    check_archive(written)
    assert torch.equal(torch.load(written)["state_dict"]["b"], torch.ones(40_000))
    assert list(written.parent.iterdir()) == [written]


@pytest.mark.parametrize("damage", ["zeros", "cut"])
def test_a_changed_file_is_refused(written, damage):
    content = bytearray(written.read_bytes())
    if damage == "zeros":
        start = content.index(torch.ones(1024).numpy().tobytes()) + 4096
        content[start : start + 4096] = bytes(4096)
    written.write_bytes(content[:-100] if damage == "cut" else content)
    if damage == "zeros":
        torch.load(written)  # sees nothing
    with pytest.raises(UserError, match=r"last.ckpt: not a readable weights file: damaged"):
        check_archive(written)


def test_a_compressed_record_is_not_read(tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "bomb.ckpt", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(1000))
    with pytest.raises(UserError, match="an archive larger than its file"):
        check_archive(tmp_path / "bomb.ckpt")


@pytest.mark.parametrize("moment", ["write_bytes", "fsync", "replace"])
def test_a_full_disk_leaves_the_earlier_checkpoint_and_no_draft(written, monkeypatch, moment):
    before = written.read_bytes()

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os if moment == "fsync" else Path, moment, full)
    with pytest.raises(UserError, match=r"last.ckpt cannot be written \(No space left"):
        VerifiedCheckpointIO().save_checkpoint({"epoch": 4}, written)
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]


def test_a_folder_that_vanished_is_not_made_again(tmp_path):
    writer, folder = VerifiedCheckpointIO(), tmp_path / "run"
    writer.save_checkpoint({"epoch": 1}, folder / "last.ckpt")
    (folder / "last.ckpt").unlink()
    folder.rmdir()
    with pytest.raises(UserError, match="No such file or directory"):
        writer.save_checkpoint({"epoch": 2}, folder / "last.ckpt")
    assert not folder.exists()


def test_drafts_of_killed_writers_are_removed(written):
    (written.parent / ".draft.last.ckpt.0").write_bytes(b"half")
    remove_drafts(written.parent)
    assert list(written.parent.iterdir()) == [written]
