"""The two files of onnxruntime-web that a page needs, from npm or a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from pspnet.errors import UserError

PACKAGE = "onnxruntime-web@1.30.0"
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
OPTION = "--onnxruntime_web"


def check_folder(folder: Path) -> None:
    """Refuse a folder for the page that holds anything.

    Raises:
        UserError: if there is a file, or a folder that is not empty.
    """
    if os.path.lexists(folder) and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} is not an empty folder; name another")


def check_runtime(given: Path | None) -> None:
    """Refuse to start without onnxruntime-web.

    Args:
        given: a folder with its files, see `copy_runtime`; None takes npm.

    Raises:
        UserError: if the folder lacks the files, or there is no npm.
    """
    if given is None:
        if shutil.which("npm") is None:
            raise UserError(
                f"--page needs {PACKAGE}: install npm, which fetches it, or give {OPTION} FOLDER "
                "with the files of its npm package"
            )
    elif (missing := [name for name in FILES if not (_dist(given) / name).is_file()]) != []:
        raise UserError(f"{given} has no {missing[0]}; give the folder of {PACKAGE}'s npm package")


def copy_runtime(folder: Path, given: Path | None) -> None:
    """Write the files into a folder.

    Args:
        folder: it is made.
        given: the unpacked npm package or its dist/; None fetches the pinned version by npm.

    Raises:
        UserError: if npm cannot fetch it.
    """
    folder.mkdir()
    if given is not None:
        for name in FILES:
            shutil.copyfile(_dist(given) / name, folder / name)
        return
    with TemporaryDirectory() as fetched:
        npm = ["npm", "pack", PACKAGE, "--silent", "--pack-destination", fetched]
        done = subprocess.run(npm, capture_output=True, text=True, check=False, cwd=fetched)
        packed = next(Path(fetched).glob("*.tgz"), None)
        if done.returncode or packed is None:
            said = " ".join(done.stderr.split())[:200] or f"status {done.returncode}"
            raise UserError(f"npm cannot fetch {PACKAGE} ({said}); give {OPTION} FOLDER with it")
        with tarfile.open(packed) as archive:
            for name in FILES:
                member = archive.extractfile(f"package/dist/{name}")
                assert member is not None
                (folder / name).write_bytes(member.read())


def _dist(given: Path) -> Path:
    return given / "dist" if (given / "dist").is_dir() else given
