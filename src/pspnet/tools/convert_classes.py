"""Classes of a converted checkpoint: a known data set's, one's own, or those of the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pspnet.data.datasets.classes import Classes
from pspnet.data.datasets.known import KNOWN, known_data, plain_classes, same_name
from pspnet.data.datasets.own_data.classes_yaml import read_classes
from pspnet.errors import UserError

if TYPE_CHECKING:
    from pspnet.models.published.load import PublishedNetwork


def own_classes(published: PublishedNetwork, given: str) -> Classes:
    """Return the classes of a `classes.yaml`, or as many as given with the file's names, colors."""
    if not given.isdecimal():
        return read_classes(Path(given))[0]
    return plain_classes(published.class_names or int(given), published.class_colors)


def file_classes(published: PublishedNetwork, path: Path) -> Classes:
    """Return the classes that the file names, in its colors."""
    assert published.class_names is not None
    try:
        return plain_classes(published.class_names, published.class_colors)
    except UserError as error:
        raise UserError(f"{path}: {error}, by --classes=classes.yaml") from error


def infer_dataset(published: PublishedNetwork, path: Path) -> str | None:
    """Return the data set of the file's classes, by their number and names; None if unknown."""
    count, names = published.network.num_classes, published.class_names
    if names is not None and len(names) != count:
        line = f"its classifier has {count} classes, and its CLASSES has {len(names)}"
        raise UserError(f"{path}: {line}; give --classes=classes.yaml with {count} names")
    dataset = known_data(count, names)
    if dataset is None and names is None:
        known = ", ".join(f"{name} {len(source().classes)}" for name, source in KNOWN.items())
        line = f"has {count} classes, unlike every known data set ({known}), and no names of them"
        raise UserError(f"{path}: {line}; give --classes={count}")
    return dataset


def origin(published: PublishedNetwork) -> str:
    """Tell whose classes they are, and which known data set has as many of other names."""
    names = published.class_names or ()
    colored = "names and colors" if len(published.class_colors or ()) == len(names) else "names"
    line = f"{colored} of the file, of no known data set"
    for dataset, source in KNOWN.items():
        known = source().classes.names
        if len(known) == len(names):
            pairs = enumerate(zip(names, known, strict=True))
            index, theirs, ours = next((i, *pair) for i, pair in pairs if not same_name(*pair))
            line += f" (class {index} is {theirs!r}, and {dataset}'s is {ours!r};"
            line += f" give --dataset={dataset} if its classes are that data set's)"
    return line
