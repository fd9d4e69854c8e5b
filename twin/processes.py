"""Child processes of the twin: each in its own group, recorded on disk, swept up after a kill of the twin."""

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twin import config

# In the environment of every child: tells our processes from a stranger that got the same id later.
MARKER = "TWIN_PROCESS_OF"
_RECORD = "processes.json"
_lock = threading.Lock()
_children: dict[int, tuple[str, subprocess.Popen[bytes]]] = {}


def start(
    command: Sequence[str],
    *,
    name: str,
    cwd: Path,
    env: Mapping[str, str],
    stdin: Any = subprocess.DEVNULL,
    stdout: Any = subprocess.DEVNULL,
    stderr: Any = subprocess.STDOUT,
) -> subprocess.Popen[bytes]:
    """Start a program in a process group of its own; `name` says in the record what it is.

    End it with `end`, or tell `forget` when it has ended by itself.
    """
    process = subprocess.Popen(
        list(command),
        cwd=cwd,
        env={**env, MARKER: str(config.current().home)},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )
    with _lock:
        _children[process.pid] = (name, process)
        _write()
    return process


def end(process: subprocess.Popen[bytes], grace_seconds: float = 2.0) -> None:
    """End a process and everything it started: SIGTERM, then SIGKILL after `grace_seconds`."""
    _signal(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(grace_seconds)
    _signal(process.pid, signal.SIGKILL)
    process.wait()
    _drop(process.pid)


def forget(process: subprocess.Popen[bytes]) -> None:
    """Note that a process has ended by itself; what it left running in its group is killed."""
    _signal(process.pid, signal.SIGKILL)
    _drop(process.pid)


def hold_all() -> None:
    """Stop every child where it is, until `end_all`: the state that is saved then is of one moment."""
    for process in _running():
        _signal(process.pid, signal.SIGSTOP)


def end_all(grace_seconds: float = 2.0) -> None:
    """End every child that is still there, and those started meanwhile; returns when all are gone."""
    while children := _running():  # a supervisor may have replaced a child that was told to end
        for process in children:
            _signal(process.pid, signal.SIGTERM)
            _signal(process.pid, signal.SIGCONT)  # who is held hears of it
        deadline = time.monotonic() + grace_seconds
        while any(process.poll() is None for process in children) and time.monotonic() < deadline:
            time.sleep(0.02)
        for process in children:
            _signal(process.pid, signal.SIGKILL)
            process.wait()
            _drop(process.pid)


def _running() -> list[subprocess.Popen[bytes]]:
    with _lock:
        children = [process for _, process in _children.values()]
    # A group whose leader was waited for may be gone, and its number a stranger's by now.
    return [p for p in children if p.poll() is None or _is_ours(p.pid, config.current().home)]


def sweep(home: Path) -> list[str]:
    """Kill what a killed twin of this home left behind; returns the names from its record."""
    record = home / _RECORD
    try:
        left = {int(group): str(name) for group, name in json.loads(record.read_text()).items()}
    except (OSError, ValueError):
        return []
    found = [name for group, name in left.items() if _is_ours(group, home)]
    for group in left:
        if _is_ours(group, home):
            _signal(group, signal.SIGKILL)
    record.unlink(missing_ok=True)
    return found


def _write() -> None:
    path = config.current().home / _RECORD
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps({group: name for group, (name, _) in _children.items()}))
    temporary.replace(path)


def _drop(group: int) -> None:
    with _lock:
        _children.pop(group, None)
        _write()


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _is_ours(group: int, home: Path) -> bool:
    """Whether a member of the process group carries our marker in its environment."""
    wanted = f"{MARKER}={home}"
    if Path("/proc/self/environ").exists():
        return any(wanted.encode() in environment.split(b"\0") for environment in _environments(group))
    listing = subprocess.run(
        ["ps", "-E", "-ww", "-g", str(group), "-o", "command="], capture_output=True, check=False
    )
    return wanted in listing.stdout.decode(errors="replace").split()


def _environments(group: int) -> list[bytes]:
    found: list[bytes] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):  # it may end while we look
                if os.getpgid(int(entry.name)) == group:
                    found.append((entry / "environ").read_bytes())
    return found
