"""Runs commands as CodeBuild's agent does: each in its own process, environment and folder carried on."""

import os
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from twin import processes
from twin.services.codebuild.log import BuildLog

# `set -a`: a plain assignment in one command is seen by the next, as on AWS.
_SCRIPT = """. {environment}
cd "$(cat {folder})" || exit 1
set -a
{command}
CODEBUILD_LAST_EXIT=$?
export -p > {environment}
pwd > {folder}
exit $CODEBUILD_LAST_EXIT
"""


class TimedOut(Exception):
    """The build's time is over; its processes are ended."""


class Stopped(Exception):
    """Somebody stopped the build; its processes are ended."""


class Shell:
    """The shell that a build's commands share."""

    def __init__(
        self,
        scratch: Path,
        source: Path,
        environment: Mapping[str, str],
        log: BuildLog,
        *,
        program: str,
        deadline: float,
    ) -> None:
        """`scratch` holds the shell's own files; at `deadline` (`time.monotonic()`) the build times out."""
        scratch.mkdir(parents=True, exist_ok=True)
        self._scratch, self._source, self._log = scratch, source, log
        self._program, self._deadline = shutil.which(program) or program, deadline
        self._environment_file, self._folder_file = scratch / "env.sh", scratch / "dir.txt"
        self._environment_file.write_text(
            "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
        )
        self._folder_file.write_text(str(source))
        self._started: list[subprocess.Popen[bytes]] = []
        self._lock = threading.Lock()
        self._stopped = False

    def set_variable(self, name: str, value: str) -> None:
        """Set a variable for the commands that follow."""
        with self._environment_file.open("a") as file:
            file.write(f"export {name}={shlex.quote(value)}\n")

    def run(self, command: str) -> int:
        """Run one command to its end and return its exit status; raises `TimedOut` or `Stopped`."""
        script = self._scratch / "script.sh"
        script.write_text(
            _SCRIPT.format(
                environment=shlex.quote(str(self._environment_file)),
                folder=shlex.quote(str(self._folder_file)),
                command=command,
            )
        )
        with self._lock:
            if self._stopped:
                raise Stopped
            process = processes.start(
                [self._program, str(script)],
                name=f"build {self._scratch.parent.name}",
                cwd=self._source,
                env={"PATH": os.defpath},  # the script's first line sets the real environment
                stdout=self._log.stream,
            )
            self._started.append(process)
        try:
            status = process.wait(max(0.0, self._deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.end()
            raise TimedOut from None
        if self._stopped:
            raise Stopped
        if not _has_members(process.pid):  # else the command left something in the background: it may go on
            self._started.remove(process)
            processes.forget(process)
        return status

    def variables(self, names: tuple[str, ...]) -> dict[str, str]:
        """Return the values that the last command left in these variables; those unset are left out."""
        if not names:
            return {}
        shown = subprocess.run(
            [self._program, "-c", f". {shlex.quote(str(self._environment_file))}; env -0"],
            env={"PATH": os.defpath},
            capture_output=True,
            check=False,
        ).stdout.decode("utf-8", errors="replace")
        present = dict(item.split("=", 1) for item in shown.split("\0") if "=" in item)
        return {name: present[name] for name in names if name in present}

    def stop(self) -> None:
        """End the running command and refuse the next ones: they raise `Stopped`."""
        with self._lock:
            self._stopped = True
        self.end()

    def end(self) -> None:
        """End every process that the commands left behind, first politely."""
        for process in self._started:
            processes.end(process)
        self._started.clear()


def _has_members(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
