"""Python environments built from requirements with uv and cached: each is built once per machine."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

CACHE_VARIABLE = "TWIN_CACHE"
# Written last: a folder without it was left by a build that did not end.
COMPLETE_MARK = ".complete"
_COMPILED_MARK = ".compiled"
BUILD_TIMEOUT_SECONDS = 1800
_NETWORK_SIGNS = ("error sending request", "dns error", "connection refused", "failed to fetch", "timed out")


class EnvironmentBuildError(Exception):
    """An environment cannot be built; the message names what it was for, the reason and the cure."""


def cache_root() -> Path:
    """Return the folder that holds what is built once per machine (`TWIN_CACHE`, else the user's cache)."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "vision-twin"


@contextmanager
def exclusive(path: Path) -> Generator[None]:
    """Hold the lock file `path` against every other thread and process of this machine."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def environment_for(requirements_text: str, *, python: str | None = None, label: str) -> Path:
    """Return the interpreter of an environment that holds exactly these requirements.

    `python` is an interpreter or a version like ``3.13`` (default: the interpreter that runs this);
    `label` says what the environment is for, in errors. Requirements that carry hashes are all checked.
    Safe to call from any number of threads and processes. Raises `EnvironmentBuildError`.
    """
    base = interpreter(python)
    wanted = _significant(requirements_text)
    digest = hashlib.sha256(json.dumps([wanted, _identity(base)]).encode()).hexdigest()[:24]
    folder = cache_root() / "envs" / digest
    executable = folder / "bin" / "python"
    if (folder / COMPLETE_MARK).exists() and (folder / _COMPILED_MARK).exists():
        return executable
    with exclusive(folder.with_suffix(".lock")):
        if not (folder / COMPLETE_MARK).exists():
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder, wanted, base, label)
            (folder / COMPLETE_MARK).write_text(label + "\n")
        if not (folder / _COMPILED_MARK).exists():
            _compile(executable)
            (folder / _COMPILED_MARK).write_text(label + "\n")
    return executable


def site_packages(executable: Path) -> Path:
    """Return the folder of the packages of an environment made by `environment_for`."""
    found = next((executable.parent.parent / "lib").glob("python*/site-packages"), None)
    if found is None:
        raise EnvironmentBuildError(f"{executable} is not the interpreter of a virtual environment")
    return found


@cache
def interpreter(python: str | None = None) -> str:
    """Return the interpreter for a version like ``3.13`` (or a path).

    A version that this machine lacks is answered with the twin's own interpreter: the twin downloads
    packages, not interpreters. `version_of` tells which one it became.
    """
    if python is None:
        return getattr(sys, "_base_executable", None) or sys.executable
    if os.sep in python:
        return python
    found = subprocess.run(
        [uv(), "python", "find", "--no-python-downloads", "--no-project", "--system", python],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() if found.returncode == 0 else interpreter()


def version_of(executable: Path | str) -> str:
    """Return the version of Python that an interpreter runs, such as ``3.11``."""
    return ".".join(_identity(str(executable)).split("-")[1].split(".")[:2])


@cache
def uv() -> str:
    """Return the uv command; raises `EnvironmentBuildError` when there is none."""
    beside = [Path(sys.executable).parent / "uv", Path.cwd() / ".venv" / "bin" / "uv"]
    found = shutil.which("uv") or next((str(path) for path in beside if path.exists()), None)
    if found is None:
        raise EnvironmentBuildError("uv is not installed: run `make setup`, or install uv on PATH")
    return found


def installer_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the process environment for uv, with pip's package sources passed on: uv does not read them."""
    env = dict(os.environ if base is None else base)
    for ours, theirs in (("PIP_FIND_LINKS", "UV_FIND_LINKS"), ("PIP_INDEX_URL", "UV_DEFAULT_INDEX")):
        if env.get(ours):
            env.setdefault(theirs, env[ours])
    # Neither an active environment nor a project's own settings may change what is built.
    for variable in ("VIRTUAL_ENV", "PYTHONPATH", "PYTHONHOME"):
        env.pop(variable, None)
    return env


def _significant(text: str) -> str:
    lines = (line.strip() for line in text.splitlines())
    return "".join(f"{line}\n" for line in lines if line and not line.startswith("#"))


@cache
def _identity(executable: str) -> str:
    """Name implementation, version and platform, so that no environment is shared between them."""
    code = "import platform,sys;print('-'.join((sys.implementation.name,platform.python_version(),"
    code += "sys.platform,platform.machine())))"
    try:
        asked = subprocess.run([executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as fault:
        raise EnvironmentBuildError(f"the interpreter {executable} does not run: {fault}") from fault
    return asked.stdout.strip()


def _build(folder: Path, requirements: str, base: str, label: str) -> None:
    folder.mkdir(parents=True)
    _run([uv(), "venv", "--no-project", "--allow-existing", "--python", base, str(folder)], label)
    if not requirements:
        return
    listed = folder / "requirements.txt"
    listed.write_text(requirements)
    command = [uv(), "pip", "install", "--python", str(folder / "bin" / "python"), "-r", str(listed)]
    if "--hash=" in requirements:
        command.append("--require-hashes")
    _run(command, label)


def _compile(executable: Path) -> None:
    """Write bytecode, as installing with pip does in an image: a server's start is half as long with it."""
    # Packages' own tests are left out. What does not compile (templates) is passed over, as pip does.
    folder = str(site_packages(executable))
    command = [str(executable), "-m", "compileall", "-q", "-j", "0", "-x", r"[/\\]tests?[/\\]", folder]
    subprocess.run(command, env=installer_environment(), capture_output=True, check=False)


def _run(command: list[str], label: str) -> None:
    try:
        done = subprocess.run(
            command,
            env=installer_environment(),
            capture_output=True,
            text=True,
            timeout=BUILD_TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as fault:
        raise EnvironmentBuildError(
            f"{label}: uv did not end within {BUILD_TIMEOUT_SECONDS} s: is the package index reachable?"
        ) from fault
    if done.returncode == 0:
        return
    said = done.stderr.strip()
    tail = "\n".join(said.splitlines()[-12:])
    if any(sign in said.lower() for sign in _NETWORK_SIGNS):
        raise EnvironmentBuildError(
            f"{label}: the package index cannot be reached. Connect to the network, or set PIP_FIND_LINKS "
            f"to a folder of wheels.\n{tail}"
        )
    raise EnvironmentBuildError(f"{label}: a package cannot be had.\n{tail}")
