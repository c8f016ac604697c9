"""A folder of predictions: whole files, each of which says what it was predicted from."""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING

from pspnet.errors import UserError
from pspnet.files.writing import make_folder, write_atomic
from pspnet.prediction.forms import FORMS, FormName, Options

if TYPE_CHECKING:
    from pspnet.prediction.prediction import Prediction

DEFAULT: tuple[FormName, ...] = ("overlay", "color", "index")  # the class ids last
KEYWORD = b"pspnet\0"  # begins a comment in PNG, JPEG and zip files
ORIGIN = re.compile(rb'pspnet[\0": ]+([0-9a-f]{64})')
HEAD = 2**18  # bytes at both ends of a file where its origin may stand
_HEADER = 33  # bytes of a PNG before its second chunk


class PredictionFolder:
    """The files of predictions below a folder, never over a file unless asked to.

    `index/NAME.png` holds the class ids; a palette in it lets viewers show colors. Pillow reads
    the values back (`np.array(Image.open(path))`), OpenCV would expand them to colors.
    `color/NAME.png` holds the colors, `overlay/NAME.jpg` the colors over the image; other forms are
    in folders of their names, see `prediction.forms`. Each file holds the `origin` of its
    prediction, so that a prediction that was stopped continues.

    Args:
        out_dir: the folder; it is created with the first file.
        forms: the files to write.
        options: what they depend on beside the prediction.
        overwrite: replace files that exist.

    Raises:
        UserError: if `out_dir` is a file, or a form is unknown.
    """

    def __init__(
        self,
        out_dir: Path,
        *,
        forms: Sequence[FormName] = DEFAULT,
        options: Options = Options(),  # noqa: B008  (frozen)
        overwrite: bool = False,
    ) -> None:
        if out_dir.exists() and not out_dir.is_dir():
            raise UserError(f"{out_dir} is a file; name a folder for the predictions")
        unknown = [repr(form) for form in forms if form not in FORMS]
        if isinstance(forms, str) or unknown or not forms:
            given = repr(forms) if isinstance(forms, str) else ", ".join(unknown) or "[]"
            raise UserError(f"forms: {given} is no list of {', '.join(FORMS)}")
        self.out_dir, self.forms, self.options = out_dir, tuple(forms), options
        self.overwrite = overwrite

    def check(
        self,
        names: Iterable[str],
        origin: Callable[[str], str | None],
        *,
        rasters: Collection[str] = (),
    ) -> list[str]:
        """Return the names whose predictions are there, of the same origin; none to overwrite.

        Names that cannot all be written are refused before anything is computed.

        Args:
            names: the names.
            origin: returns the origin of a name, see `write`.
            rasters: those of the names whose files are TIFFs.

        Raises:
            UserError: for a name that would leave the folder or occurs twice, and for the first
                file that exists and is of another origin, unless `overwrite` is set.
        """
        seen: set[str] = set()
        there = []
        for name in names:
            if name in seen:
                raise UserError(f"name {name!r} occurs twice; each prediction needs its own")
            seen.add(name)
            files = [*self.files(name, raster=name in rasters).values()]
            existing = [file for file in files if os.path.lexists(file)]
            if existing and not self.overwrite:
                self._refuse_existing(files, origin(name))
                there += [name] if len(existing) == len(files) else []
        return there

    def write(self, prediction: Prediction, *, origin: str | None = None) -> None:
        """Write the files of one prediction.

        Args:
            prediction: its `name` is a relative path without suffix, whose folders are kept.
            origin: a digest of all that the prediction follows from; None if it is not known.

        Raises:
            UserError: if the name would leave the folder, or one of the files exists and is of
                another origin, unless `overwrite` is set.
        """
        files = self.files(prediction.name)
        self._refuse_existing([*files.values()], origin)
        for form, file in files.items():
            content = FORMS[form].encode(prediction, self.options)
            make_folder(file.parent)
            marked = content if origin is None else with_origin(content, origin)
            write_atomic(file, marked, durable=False)

    def files(self, name: str, *, raster: bool = False) -> dict[FormName, Path]:
        """Return the file of each form of a prediction.

        Args:
            name: of the prediction.
            raster: images are TIFF files.

        Raises:
            UserError: if the name is empty, absolute, or holds `..`, `.` or empty parts.
        """
        posix, windows = PurePosixPath(name), PureWindowsPath(name)
        unsafe = posix.is_absolute() or windows.anchor or ".." in (*posix.parts, *windows.parts)
        if unsafe or not posix.parts or str(posix) != name:
            raise UserError(
                f"name {name!r} is no plain relative path; predictions stay below {self.out_dir}"
            )
        suffixes = {
            form: ".tif" if raster and form != "geojson" else FORMS[form].suffix
            for form in self.forms
        }
        return {form: self.out_dir / form / f"{name}{suffixes[form]}" for form in self.forms}

    def _refuse_existing(self, files: Sequence[Path], origin: str | None) -> None:
        for file in files:
            same = origin is not None and origin_of(file) == origin
            if not (self.overwrite or same) and os.path.lexists(file):
                other = "" if origin is None else " and is of another checkpoint, image or options"
                raise UserError(
                    f"{file} exists{other}; use another folder, or overwrite it:"
                    " --output.overwrite=true (in Python overwrite=True)"
                )


def origin_of(file: Path) -> str | None:
    """Return the origin that a file names, None if it names none or is missing."""
    try:
        with file.open("rb") as opened:
            start = opened.read(HEAD)
            opened.seek(max(0, opened.seek(0, os.SEEK_END) - HEAD))
            found = ORIGIN.search(start) or ORIGIN.search(opened.read())
    except OSError:
        return None
    return None if found is None else found[1].decode()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content, 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as opened:
        while block := opened.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def with_origin(content: bytes, origin: str) -> bytes:
    """Return a PNG, JPEG, JSON or zip file that names its origin."""
    text = KEYWORD + origin.encode()
    if content.startswith(b"\xff\xd8\xff\xe0"):  # a JPEG, whose first segment is JFIF's
        end = 4 + struct.unpack(">H", content[4:6])[0]
        comment = b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text
        return content[:end] + comment + content[end:]
    if content.startswith(b"{"):
        return b'{"pspnet": "' + origin.encode() + b'", ' + content[1:]
    if content.startswith(b"PK"):  # it ends with the length of its comment, 0
        return content[:-2] + struct.pack("<H", len(text)) + text
    chunk = b"tEXt" + text
    sized = struct.pack(">I", len(text)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return content[:_HEADER] + sized + content[_HEADER:]
