"""Whatever a value in an annotation file is replaced by, it is read, or refused in one line."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from export_writers import WRITERS, put_json

from pspnet.data.datasets.base import Source
from pspnet.errors import UserError

HOSTILE = (None, True, -3, 0.5, 1e300, "\x00x", [], {"a": []})
FILES = {
    "LabelMe": ["s1.json"],
    "COCO": ["annotations/instances_default.json"],
    "Supervisely": ["meta.json", "pets/ann/s1.png.json"],
}


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value; of lists the first two items."""
    yield place
    keys = value if isinstance(value, dict) else range(2) if isinstance(value, list) else ()
    for key in [key for key in keys if isinstance(value, dict) or key < len(value)]:
        yield from places(value[key], (*place, key))


def replaced(value: Any, place: tuple[Any, ...], by: Any) -> Any:
    if not place:
        return by
    changed = copy.deepcopy(value)
    inner = changed
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = by
    return changed


def read_all(source: Source) -> None:
    assert len(source.classes) > 1
    for split in ("train", "val"):
        for sample in source.samples(split):
            source.read_label(sample)


def refusal(source: Source) -> str:
    try:
        read_all(source)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", WRITERS)
def test_every_value_is_read_or_refused(tmp_path: Path, name: str) -> None:
    source = type(WRITERS[name](tmp_path, count=2))
    refused = 0
    for path in (tmp_path / file for file in FILES[name]):
        value = json.loads(path.read_text())
        for place in places(value):
            for by in HOSTILE:
                put_json(path, replaced(value, place, by))
                if message := refusal(source(tmp_path)):
                    assert str(tmp_path) in message
                    assert "\n" not in message
                    refused += 1
        put_json(path, value)
    assert refused > 100
    read_all(source(tmp_path))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no JSON"),
        (b'{"shapes": [', "is no JSON"),
        (b"\xff\xfe{}", "is no UTF-8 text"),
        (b"[" * 100_000, "nests lists too deeply"),
        (b'{"a": NaN}', "NaN is no number"),
    ],
)
def test_files_that_are_no_json(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    source = type(WRITERS[name](tmp_path))
    for file in FILES[name]:
        path = tmp_path / file
        kept = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(UserError, match=f"{path.name}.*{message}"):
            read_all(source(tmp_path))
        path.write_bytes(kept)
