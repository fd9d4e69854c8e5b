"""The twin's server process, seen from outside: started in the background, found again, stopped."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEFAULT_PORT = 4566
_RECORD = "server.json"
_START_SECONDS = 60.0
_STOP_SECONDS = 30.0
_LOOK_SECONDS = 0.1


class TwinError(Exception):
    """Something that the user can mend; the message says what and how."""


class BusyPort(TwinError):
    """Something else listens on the port."""


@dataclass(frozen=True)
class Health:
    """A running twin, as it describes itself."""

    pid: int
    port: int
    home: Path
    project: Path


class ServerProcess:
    """The server of one home."""

    def __init__(self, project: Path, home: Path) -> None:
        """`project` is the folder of `twin.toml`, `home` that of the state."""
        self._project, self.home = project, home

    def health(self) -> Health | None:
        """Return the running twin of this home, or None."""
        port = self._recorded_port()
        found = _ask_health(port) if port else None
        return found if found is not None and found.home == self.home else None

    def _recorded_port(self) -> int | None:
        try:
            return int(json.loads((self.home / _RECORD).read_text())["port"])
        except (OSError, ValueError, KeyError):
            return None

    def start(self, port: int = DEFAULT_PORT) -> tuple[Health, bool]:
        """Start the twin in the background; returns it, and whether it was this call that started it.

        Raises `BusyPort` when something else has the port, `TwinError` when the twin does not come up.
        """
        running = self.health()
        if running is not None:
            return running, False
        self.clean_up_after_a_kill()
        self.check_port(port)
        self.home.mkdir(parents=True, exist_ok=True)
        output = self.home / "server.out"
        with output.open("wb") as file:
            process = subprocess.Popen(
                self.command(port),
                cwd=self._project,
                env=self.server_environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.record(process.pid, port)
        until = time.monotonic() + _START_SECONDS
        while time.monotonic() < until and process.poll() is None:
            found = _ask_health(port)
            if found is not None:
                return found, True
            time.sleep(_LOOK_SECONDS)
        process.kill()
        process.wait()
        (self.home / _RECORD).unlink(missing_ok=True)
        last = "\n".join("    " + line for line in output.read_text(errors="replace").splitlines()[-8:])
        raise TwinError(f"the twin did not start. Its last words ({output}):\n{last}")

    def command(self, port: int) -> list[str]:
        """Return the command that runs the server; raises `TwinError` when its environment is missing."""
        python = self._project / "build" / "envs" / "twin" / "bin" / "python"
        if not python.exists():
            raise TwinError("the twin's environment build/envs/twin is missing: run make setup")
        home, project = str(self.home), str(self._project)
        return [str(python), "-m", "twin.server", "--home", home, "--port", str(port), "--project", project]

    def server_environment(self) -> dict[str, str]:
        """Return the environment of the server: this one, with the twin's package in reach."""
        package_root = str(Path(__file__).resolve().parents[1])
        dropped = ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "AWS_PROFILE")
        return {**{k: v for k, v in os.environ.items() if k not in dropped}, "PYTHONPATH": package_root}

    def record(self, pid: int, port: int) -> None:
        """Note which process serves this home."""
        self.home.mkdir(parents=True, exist_ok=True)
        (self.home / _RECORD).write_text(json.dumps({"pid": pid, "port": port}))

    def check_port(self, port: int) -> None:
        """Raise `BusyPort` when the port is taken, saying by what where that is known."""
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                other = _ask_health(port)
                who = f"the twin of {other.home}" if other else "another program"
                cure = "stop it, or choose another port with --port"
                raise BusyPort(f"port {port} is in use by {who}: {cure}") from None

    def clean_up_after_a_kill(self) -> None:
        """End a server of this home that no longer answers, and forget the record of one that is gone."""
        try:
            pid = int(json.loads((self.home / _RECORD).read_text())["pid"])
        except (OSError, ValueError, KeyError):
            return
        if _is_server(pid, self.home):
            _end(pid)
        (self.home / _RECORD).unlink(missing_ok=True)

    def stop(self) -> bool:
        """Stop the twin, with its state kept; returns False when it was not running."""
        running = self.health()
        if running is None:
            self.clean_up_after_a_kill()
            return False
        _end(running.pid)
        (self.home / _RECORD).unlink(missing_ok=True)
        return True


def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never by way of the user's proxy


def fetch(url: str, method: str, timeout: float, body: Any = None) -> Any:
    """Return the JSON that the twin answers to `body` (sent as JSON); raises `TwinError`."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)  # noqa: S310  # http to this machine
    try:
        with _opener().open(request, timeout=timeout) as answer:
            return json.loads(answer.read())
    except urllib.error.HTTPError as fault:
        message = fault.read().decode(errors="replace")
        raise TwinError(f"the twin answered {fault.code}: {message}") from fault
    except (OSError, ValueError) as fault:
        raise TwinError(f"the twin does not answer: {fault}") from fault


def _ask_health(port: int) -> Health | None:
    try:
        told = fetch(f"http://127.0.0.1:{port}/_twin/health", "GET", 5)
        return Health(int(told["pid"]), int(told["port"]), Path(told["home"]), Path(told["project"]))
    except (TwinError, KeyError, TypeError, ValueError):
        return None


def _is_server(pid: int, home: Path) -> bool:
    """Whether a process is the server of this home, and not a stranger that got its number."""
    shown = subprocess.run(
        ["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    ).stdout
    return "twin.server" in shown and str(home) in shown


def _end(pid: int) -> None:
    """End a process politely, then by force; returns when it is gone."""
    for number, seconds in ((signal.SIGTERM, _STOP_SECONDS), (signal.SIGKILL, 5.0)):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            return
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if _is_gone(pid):
                return
            time.sleep(_LOOK_SECONDS / 2)


def _is_gone(pid: int) -> bool:
    try:
        if os.waitpid(pid, os.WNOHANG)[0] == pid:  # it may be a child of this very process
            return True
    except ChildProcessError:
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False
