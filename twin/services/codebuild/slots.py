"""The folders that builds work in: one for each project, with a temporary folder beside the machine's own."""

import hashlib
import shutil
import tempfile
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twin import config, glue

_RUBBISH = "rubbish-"
_TEMPORARY = "tmp"
_lock = threading.Lock()
_taken: set[Path] = set()


def take(root: Path, record: Mapping[str, Any]) -> Path:
    """Return an empty folder for a build: the same one for a project's builds, unless they run at once.

    Environments that a build makes and caches hold absolute paths; in the same folder they stay usable.
    """
    account = record["arn"].split(":")[4]
    digest = hashlib.sha256(f"{account}/{record['projectName']}".encode()).hexdigest()[:6]
    base = f"{record['projectName'][:24]}-{digest}"
    with _lock:
        number = 0
        while (folder := root / f"{base}-{number}") in _taken:
            number += 1
        _taken.add(folder)
    _remove(folder)
    folder.mkdir(parents=True)
    return folder


def give_back(folder: Path) -> None:
    """Remove a build's folder, out of the way: thousands of files take seconds."""
    rubbish = folder.parent / f"{_RUBBISH}{uuid.uuid4().hex}"
    folder.rename(rubbish)
    glue.spawn(_remove, rubbish, name="build-rubbish")
    with _lock:
        _taken.discard(folder)


def temporary(folder: Path) -> Path:
    """Return the temporary folder of the build in `folder`, which goes with it.

    It lies among the machine's: sockets take paths of 107 bytes at most, and a build's own folder lies deep.
    """
    link = folder / _TEMPORARY
    if not link.is_symlink():
        link.symlink_to(tempfile.mkdtemp(prefix="build-"), target_is_directory=True)
    return link.readlink()


def remove_leftovers() -> None:
    """Remove what builds of an earlier run of the twin could not."""
    for folder in config.current().folder("codebuild", "work").glob(f"{_RUBBISH}*"):
        _remove(folder)


def _remove(folder: Path) -> None:
    link = folder / _TEMPORARY
    if link.is_symlink():
        shutil.rmtree(link.readlink(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
