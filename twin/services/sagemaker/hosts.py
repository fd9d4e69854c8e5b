"""The hosts of one run of a job: a container each, started, followed and ended together."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from twin import glue
from twin.images.container import Container
from twin.images.image import Image

# AWS sends SIGTERM and waits this long for the container to save what it has.
STOP_GRACE_SECONDS = 120
# What is left of a job that has failed already gets no time to save anything.
_FAILED_GRACE_SECONDS = 2


@dataclass(frozen=True)
class Program:
    """What runs on a host: command, variables and working directory (empty: the image's)."""

    words: Sequence[str]
    variables: Mapping[str, str]
    workdir: str = ""


@dataclass(frozen=True)
class Ending:
    """How the hosts ended: the exit code of the first that failed, or 0, and that host's name."""

    code: int
    host: str


class Hosts:
    """The containers of one run of a job, by the names of their hosts."""

    def __init__(self, image: Image, names: Sequence[str], folder: Path) -> None:
        """Lay out a container for every name, each in a folder of its own below `folder`."""
        self.image = image
        self.containers = {name: Container(image, folder / name) for name in names}
        self._lock = threading.Lock()
        self._failed: Ending | None = None

    @property
    def first(self) -> Container:
        """The container of the first host."""
        return next(iter(self.containers.values()))

    def start(self, programs: Mapping[str, Program], name: str) -> None:
        """Start the programs of all hosts; raises `ImageError` when one is not there."""
        try:
            for host, program in programs.items():
                label = name if len(programs) == 1 else f"{name} {host}"
                container = self.containers[host]
                container.start(program.words, program.variables, name=label, workdir=program.workdir)
        except Exception:
            self.kill()
            raise

    def follow(self, each: Callable[[str, list[str]], None]) -> Ending:
        """Hand lines to `each` (host, lines), one host at a time, until all have ended.

        A host that fails takes the others with it, as on AWS.
        """

        def follow_one(host: str, container: Container) -> None:
            def forward(lines: list[str]) -> None:
                with self._lock:
                    each(host, lines)

            code = container.follow(forward)
            if code:
                with self._lock:
                    is_first, self._failed = self._failed is None, self._failed or Ending(code, host)
                if is_first and len(self.containers) > 1:
                    self.end(_FAILED_GRACE_SECONDS)

        with ThreadPoolExecutor(len(self.containers), thread_name_prefix="twin-host") as pool:
            work = glue.keep_scope(follow_one)
            for future in [pool.submit(work, *item) for item in self.containers.items()]:
                future.result()
        return self._failed or Ending(0, next(iter(self.containers)))

    def end(self, grace_seconds: float = STOP_GRACE_SECONDS) -> None:
        """Ask every host to end; those that do not within the grace are killed."""
        for container in self.containers.values():
            container.terminate()
        timer = threading.Timer(grace_seconds, self.kill)
        timer.daemon = True
        timer.start()

    def kill(self) -> None:
        """End every host at once."""
        for container in self.containers.values():
            container.kill()

    def remove(self) -> None:
        """Delete the hosts' folders, as AWS deletes the instances."""
        for container in self.containers.values():
            container.remove()
