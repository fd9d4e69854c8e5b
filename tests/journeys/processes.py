"""What runs on this machine on behalf of one twin, and a port for it."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from pathlib import Path

_GONE_SECONDS = 15


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def assert_none_left(home: Path) -> None:
    """Holds that no process of a twin that has ended goes on."""
    until = time.monotonic() + _GONE_SECONDS
    while left := _processes(home):
        assert time.monotonic() < until, "the twin has ended and left:\n" + "\n".join(left)
        time.sleep(0.2)


def _processes(home: Path) -> list[str]:
    """Command lines of the processes that name the home of a twin or work inside it."""
    listed = subprocess.run(["ps", "-eww", "-o", "pid=,args="], capture_output=True, text=True, check=True)
    found: list[str] = []
    for line in listed.stdout.splitlines():
        pid = line.split()[0]
        if int(pid) not in (os.getpid(), os.getppid()) and (str(home) in line or _works_in(pid, home)):
            found.append(line)
    return found


def _works_in(pid: str, home: Path) -> bool:
    """Whether a process's folder is below `home`; only Linux tells."""
    try:
        return Path(f"/proc/{pid}/cwd").readlink().is_relative_to(home)
    except OSError:
        return False
