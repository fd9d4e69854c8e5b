"""How busy this machine's processors are, for decisions that cost processor time."""

import contextlib
import threading
import time
from pathlib import Path

_TIMES = Path("/proc/stat")
_SHORTEST_SECONDS = 0.5
_IDLE_FIELDS = (3, 4)  # of the line for all processors: idle, and waiting for a disk


class Processors:
    """The share of all processors' time that was used, from one look to the next."""

    def __init__(self, times: Path = _TIMES) -> None:
        """Where the machine tells no times, as outside of Linux, it counts as idle."""
        self._times, self._lock = times, threading.Lock()
        self._looked, self._share = 0.0, 0.0
        self._used, self._all = self._read()

    def busy_share(self) -> float:
        """Return the share (0 to 1) of the last half second or longer."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= _SHORTEST_SECONDS:
                used, everything = self._read()
                if everything > self._all:
                    self._share = (used - self._used) / (everything - self._all)
                self._looked, self._used, self._all = now, used, everything
            return self._share

    def _read(self) -> tuple[int, int]:
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = [int(field) for field in self._times.read_text().split("\n", 1)[0].split()[1:9]]
            return sum(fields) - sum(fields[place] for place in _IDLE_FIELDS), sum(fields)
        return 0, 0
