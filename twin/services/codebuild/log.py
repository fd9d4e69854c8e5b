"""A build's log: one file on this machine, followed into the project's CloudWatch log group."""

import datetime as dt
import threading
from pathlib import Path
from typing import IO

from twin import glue

_FOLLOW_SECONDS = 1.0


class BuildLog:
    """Lines of the agent and of the build's commands, in the order in which they are written.

    Commands write to `stream`. Everything is copied to CloudWatch Logs once a second, and at `close`.
    """

    def __init__(self, path: Path, group: str | None, stream_name: str) -> None:
        """Open `path`; without a `group` nothing goes to CloudWatch Logs."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self._group, self._stream_name = path, group, stream_name
        # O_APPEND: the agent's lines and those of several processes never overwrite each other.
        self.stream: IO[bytes] = path.open("ab", buffering=0)
        self._copied = 0
        self._closing = threading.Event()
        self._follower = glue.spawn(self._follow, name="build-log") if group else None

    def say(self, text: str) -> None:
        """Write a line of the agent's own."""
        now = dt.datetime.now(dt.UTC).strftime("%Y/%m/%d %H:%M:%S.%f")
        self.stream.write(f"[Container] {now} {text}\n".encode())

    def tail(self, lines: int) -> list[str]:
        """Return the last lines."""
        text = self.path.read_text(encoding="utf-8", errors="replace")
        return text.splitlines()[-lines:]

    def close(self) -> None:
        """Copy what is left, and close the file."""
        self._closing.set()
        if self._follower is not None:
            self._follower.join(timeout=10)
            self._copy(final=True)
        self.stream.close()

    def _follow(self) -> None:
        while not self._closing.wait(_FOLLOW_SECONDS):
            self._copy(final=False)

    def _copy(self, *, final: bool) -> None:
        if self._group is None:
            return
        with self.path.open("rb") as file:
            file.seek(self._copied)
            fresh = file.read()
        whole = fresh if final else fresh[: fresh.rfind(b"\n") + 1]
        self._copied += len(whole)
        # CloudWatch Logs accepts no empty event.
        lines = [line for line in whole.decode("utf-8", errors="replace").splitlines() if line]
        glue.put_log_lines(self._group, self._stream_name, lines)
