"""Runs an image as a process: a private folder stands for its file system, and paths are rewritten."""

import os
import re
import selectors
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from twin import config, glue, processes
from twin.images.dockerfile import BASE_PATH
from twin.images.image import Image, ImageError

ML = "/opt/ml"
_PYTHON = re.compile(r"^(?:/usr/(?:local/)?bin/|/opt/conda/bin/)?python(?:3(?:\.\d+)?)?$")
_READ_BYTES = 65536
_POLL_SECONDS = 0.2
_URL, _SIGNS = "file://", r"\s:=,;|'\"(\[\])"
# What every base image has: a file copied there is the image's own, its neighbours are the machine's.
_SHARED = {"/", "/bin", "/etc", "/home", "/lib", "/opt", "/root", "/sbin", "/srv", "/tmp", "/usr", "/var"} | {  # noqa: S108
    f"/usr/{path}" for path in ("bin", "lib", "local", "local/bin", "local/lib", "sbin", "share")
}


class Container:
    """One run of an image, in `folder`, which it owns."""

    def __init__(self, image: Image, folder: Path) -> None:
        """Lay out the file system: what the image holds, its working directory, and ``/opt/ml``."""
        self.image = image
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        shutil.rmtree(folder, ignore_errors=True)
        if image.files is not None:
            shutil.copytree(image.files, folder)
        for path in (ML, image.workdir, "/tmp"):  # noqa: S108  # a path inside of the container
            self.path(path).mkdir(parents=True, exist_ok=True)
        own = {ML, image.workdir} | (_own_paths(image.files) if image.files is not None else set())
        names = "|".join(re.escape(path) for path in sorted(own - {"/"}, key=len, reverse=True))
        # A path begins a word or a file URL, or follows a sign that commands and variables join paths with.
        self._own = re.compile(rf"(?:(?<={_URL})|(?<![^{_SIGNS}]))(?:{names})(?![^/{_SIGNS}])")

    def path(self, inside: str) -> Path:
        """Return where a path of the container lies on this machine."""
        return self.folder / inside.lstrip("/")

    def rewrite(self, text: str) -> str:
        """Replace the container's own paths in a text by the places they have on this machine."""
        return self._own.sub(lambda match: f"{self.folder}{match[0]}", text)

    def environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a process inside: the image's, then `variables`, and nothing else."""
        inside = {**self.image.env, **variables}
        path = self.rewrite(inside.pop("PATH", BASE_PATH))
        return {
            "HOME": str(self.folder),
            "TMPDIR": str(self.path("/tmp")),  # noqa: S108
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            **{name: self.rewrite(value) for name, value in inside.items()},
            "PATH": f"{self.image.interpreter.parent}:{path}",
        }

    def command(self, words: Sequence[str]) -> list[str]:
        """Return a command of the container as it runs here; ``python`` is the image's own interpreter."""
        first, *rest = words
        program = str(self.image.interpreter) if _PYTHON.match(first) else self.rewrite(first)
        return [program, *(self.rewrite(word) for word in rest)]

    def start(
        self, words: Sequence[str], variables: Mapping[str, str], *, name: str, workdir: str = ""
    ) -> None:
        """Start the container's process; `name` says in the twin's process record what it is.

        Raises `ImageError` when the program is not there.
        """
        if not words:
            raise ImageError(f"image {self.image.uri} has no entry point, and the request names none")
        try:
            self.process = processes.start(
                self.command(words),
                name=name,
                cwd=self.path(workdir or self.image.workdir),
                env=self.environment(variables),
                stdout=subprocess.PIPE,
            )
        except OSError as fault:
            raise ImageError(
                f'exec: "{words[0]}": {fault.strerror or fault} (image {self.image.uri})'
            ) from fault

    def follow(self, each: Callable[[list[str]], None]) -> int:
        """Hand output to `each` in lines as they come; return the exit code when the process has ended.

        A process killed by a signal gives 128 and its number, as a container does.
        """
        process, rest = self._running(), b""
        for chunk in _chunks(process):
            *lines, rest = (rest + chunk).split(b"\n")
            if lines:
                each([line.decode(errors="replace").rstrip("\r") for line in lines])
        if rest:
            each([rest.decode(errors="replace")])
        code = process.wait()
        processes.forget(process)
        return code if code >= 0 else 128 - code

    def terminate(self) -> None:
        """Ask the process to end; `kill` ends it."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process and everything it started at once."""
        self._signal(signal.SIGKILL)

    def remove(self) -> None:
        """Delete the container's folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None:
            raise RuntimeError("the container was not started")
        return self.process

    def _signal(self, number: int) -> None:
        if self.process is not None and self.process.poll() is None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return


def _own_paths(files: Path) -> set[str]:
    """Return the folders that only this image has, and its files in folders that every image has."""
    own: set[str] = set()
    for path in files.rglob("*"):
        if path.is_file():
            inside = f"/{path.relative_to(files).as_posix()}"
            folder = inside.rpartition("/")[0] or "/"
            own.add(inside if folder in _SHARED else folder)
    return own


def _chunks(process: subprocess.Popen[bytes]) -> Iterator[bytes]:
    """Yield the output of a process until it has ended, even if what it left behind holds the pipe."""
    if process.stdout is None:
        raise RuntimeError("the process was started without a pipe")
    with process.stdout as output, selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        while True:
            ended = process.poll() is not None
            ready = selector.select(_POLL_SECONDS)
            if not ready and ended:
                return
            if ready:
                chunk = os.read(output.fileno(), _READ_BYTES)
                if not chunk:
                    return
                yield chunk


def aws_environment(credentials: Mapping[str, str]) -> dict[str, str]:
    """Return what SDKs inside of a container find: credentials, region and the twin's endpoint."""
    region = glue.current_scope().region
    return {
        **credentials,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ENDPOINT_URL": config.current().endpoint,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
