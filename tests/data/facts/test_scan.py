"""Facts about files: counted right, remembered while the files stay as they are, and no longer."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shapes import paint

from pspnet.data import Folder
from pspnet.data.facts import label_counts, scan
from pspnet.data.facts.memory import Memory, state
from pspnet.errors import Findings


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Folder(paint(tmp_path / "data", count=5))


def test_counts_are_those_of_the_labels(source: Folder) -> None:
    samples = source.samples("train")
    counts = label_counts(source, samples)
    assert counts.shape == (len(samples), len(source.classes) + 1)
    for sample, row in zip(samples, counts, strict=True):
        label = source.read_label(sample)
        expected = [int((label == value).sum()) for value in (*range(len(source.classes)), 255)]
        assert row.tolist() == expected


def test_loading_processes_find_the_same_in_the_same_order(
    source: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = source.samples("train")
    monkeypatch.setattr(scan, "BATCH", 1)
    alone = scan.scan(source, samples)
    monkeypatch.setattr(Memory, "recall", lambda self, sample: None)
    shared = scan.scan(source, samples, workers=2)
    assert [facts.digest for facts in shared] == [facts.digest for facts in alone]


def test_files_are_read_again_only_after_a_change(
    source: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = source.samples("train")
    before = scan.scan(source, samples)
    read = []
    monkeypatch.setattr(scan, "read_facts", lambda source, sample: read.append(sample) or before[0])
    again = scan.scan(source, samples)
    assert read == []
    for old, new in zip(before, again, strict=True):
        assert (old.counts == new.counts).all()
        assert (old.thumb == new.thumb).all()
        assert vars(old.label) == vars(new.label)
        assert old.edges.plain() == new.edges.plain()
        assert (old.size, old.digest, old.mean, old.square) == (
            *(new.size, new.digest, new.mean, new.square),
        )
    label = samples[1].label
    assert label is not None
    status = label.stat()
    Image.fromarray(np.array(Image.open(label))).save(label)
    os.utime(label, ns=(status.st_atime_ns, status.st_mtime_ns))
    scan.scan(source, samples)
    assert read == [samples[1]]


def test_all_wrong_files_are_named_and_looked_at_again(source: Folder) -> None:
    samples = source.samples("train")
    for sample in samples[:2]:
        sample.image.write_bytes(sample.image.read_bytes()[:200])
    with pytest.raises(Findings) as caught:
        label_counts(source, samples)
    assert len(caught.value.lines) == 2
    assert Memory(source).recall(samples[0]) is None
    assert Memory(source).recall(samples[2]) is not None


@pytest.mark.parametrize("damage", ["cut off", "none of ours", "folder"])
def test_a_memory_that_cannot_be_used_fails_nothing(source: Folder, damage: str) -> None:
    samples = source.samples("train")
    expected = label_counts(source, samples)
    path = Memory(source).path
    content = path.read_bytes()
    path.unlink()
    if damage == "folder":
        path.mkdir()
    else:
        path.write_bytes(content[:-40] if damage == "cut off" else b"[]")
    assert (label_counts(source, samples) == expected).all()
    assert state(samples[0])
