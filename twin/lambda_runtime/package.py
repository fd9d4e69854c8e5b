"""Unpacks function packages and layers, and finds the interpreter and the paths that make them run here."""

import hashlib
import io
import shutil
import tempfile
import threading
import zipfile
from dataclasses import dataclass
from pathlib import Path

from twin import config, environments, glue
from twin.glue import lambdas
from twin.lambda_runtime.function import Function
from twin.lambda_runtime.native import ForeignFile, foreign_files, machine

LOCK_FILE = "requirements.txt"
_BASE_REQUIREMENTS = Path(__file__).with_name("base-requirements.txt")
_unpacking = threading.Lock()


class PackageError(Exception):
    """The package cannot be executed here; the message names the function, the file and the cure."""


@dataclass(frozen=True)
class Prepared:
    """What an execution environment starts with."""

    interpreter: Path
    task_root: Path
    paths: tuple[str, ...]  # searched before what the runtime itself offers


def prepare(function: Function) -> Prepared:
    """Unpack a function and its layers, and build what its locked requirements need on this machine.

    Raises `PackageError`, and `environments.EnvironmentBuildError` when a package cannot be had.
    """
    version = function.python_version
    base = environments.environment_for(
        _BASE_REQUIREMENTS.read_text(), python=version, label=f"the Lambda runtime {function.runtime}"
    )
    task_root = unpack(function.code, "function")
    owner = f"function {function.name}"
    paths = [*_for_this_machine(task_root, version, owner), str(task_root)]
    for layer in function.layers:
        archive = glue.run_in_scope(function.account, function.region, lambdas.layer_archive, layer)
        if not archive:
            raise PackageError(f"{owner}: layer {layer} does not exist")
        root = unpack(archive, "layer") / "python"
        folders = [*sorted((root / "lib").glob("python*/site-packages")), root]
        for folder in (folder for folder in folders if folder.is_dir()):
            paths += [*_for_this_machine(folder, version, f"layer {layer}"), str(folder)]
    return Prepared(base, task_root, tuple(paths))


def check(function: Function) -> None:
    """Raise `PackageError` for what `prepare` would refuse whatever it could build; builds nothing."""
    here = environments.version_of(environments.interpreter(function.python_version))
    root = unpack(function.code, "function")
    _lock_for(root, foreign_files(root, here), here, f"function {function.name}")


def unpack(archive: bytes, kind: str) -> Path:
    """Return a folder with the content of a zip; the same content is unpacked once."""
    folder = config.current().folder("lambda", kind) / hashlib.sha256(archive).hexdigest()[:32]
    with _unpacking:
        if folder.exists():
            return folder
        partial = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".unpacking-"))
        try:
            with zipfile.ZipFile(io.BytesIO(archive)) as packed:
                for entry in packed.infolist():
                    written = Path(packed.extract(entry, partial))
                    # zipfile forgets Unix permissions, and bundled programs need theirs.
                    if mode := entry.external_attr >> 16 & 0o777:
                        written.chmod(mode | 0o600 | (0o100 if written.is_dir() else 0))
            partial.replace(folder)
        except zipfile.BadZipFile as fault:
            shutil.rmtree(partial, ignore_errors=True)
            raise PackageError(f"the {kind}'s package is not a zip archive: {fault}") from fault
    return folder


def temporary_folder() -> Path:
    """Return a new folder to stand for an execution environment's ``/tmp``."""
    return Path(tempfile.mkdtemp(dir=config.current().folder("lambda", "tmp")))


def remove_leftovers() -> None:
    """Remove what a killed twin left: temporary folders, and packages that were not wholly unpacked."""
    home = config.current().folder("lambda")
    for path in (home / "tmp", *home.glob("*/.unpacking-*")):
        shutil.rmtree(path, ignore_errors=True)


def remove_all() -> None:
    """Remove every unpacked package; they come back from the functions' code."""
    with _unpacking:
        shutil.rmtree(config.current().folder("lambda"), ignore_errors=True)


def _for_this_machine(root: Path, wanted: str, owner: str) -> list[str]:
    """Return the paths to search before `root`: none, or what its lock gives when built for this machine."""
    here = environments.version_of(environments.interpreter(wanted))
    foreign = foreign_files(root, here)
    if not foreign:
        return []
    text = _lock_for(root, foreign, here, owner)
    built = environments.environment_for(text, python=wanted, label=f"{owner}, {LOCK_FILE}")
    offered = environments.site_packages(built)
    names = {entry.name.split(".")[0].split("-")[0].lower() for entry in offered.iterdir()}
    missing = next((file for file in foreign if file.module.lower() not in names), None)
    if missing is not None:
        raise PackageError(
            f"{owner}: {missing.path} was built for {missing.made_for}, and nothing in its {LOCK_FILE} "
            f"provides {missing.module!r} for {machine()}: add the distribution that it comes from."
        )
    return [str(offered)]


def _lock_for(root: Path, foreign: list[ForeignFile], here: str, owner: str) -> str:
    """Return the package's locked requirements; raises `PackageError` where it needs some and has none."""
    lock = root / LOCK_FILE
    text = lock.read_text(encoding="utf-8") if lock.is_file() else ""
    if foreign and "--hash=" not in text:
        raise PackageError(_refusal(owner, foreign[0], here, text))
    return text


def _refusal(owner: str, foreign: ForeignFile, here: str, text: str) -> str:
    fault = "has no hashes" if text else "is missing"
    return (
        f"{owner}: {foreign.path} was built for {foreign.made_for}; this machine runs {machine()}, "
        f"Python {here}. The twin builds the same versions for this machine from {LOCK_FILE} at the root of "
        f"the package, which {fault}: compile it with `uv pip compile --universal --generate-hashes` and "
        "keep it in the package."
    )
