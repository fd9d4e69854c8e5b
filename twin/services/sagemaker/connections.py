"""Connections to a container: they live on from request to request, as SageMaker keeps them."""

import http.client
import select
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

# Below what servers wait for the next request on a connection: few close it just as it is used again.
_IDLE_SECONDS = 20.0


class ModelUnreachableError(Exception):
    """The model's process did not answer: it is not there, died, or took too long."""


class UndeliveredError(ModelUnreachableError):
    """Nothing listened: the request was not handed over, and another server may have it."""


@dataclass(frozen=True)
class Answer:
    """What a model answered to an invocation."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Connections:
    """Those to the server on one port of this machine; as many as requests are under way at once."""

    def __init__(self, port: int) -> None:
        """Nothing is connected yet."""
        self._port = port
        self._idle: list[tuple[float, http.client.HTTPConnection]] = []
        self._lock = threading.Lock()

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes, timeout: float) -> Answer:
        """Return the answer to one request; raises `ModelUnreachableError`.

        A request is sent once: one that was cut off may have been worked on.
        """
        connection = self._take(timeout)
        keep = False
        try:
            connection.request(method, path, body=body, headers=dict(headers))
            response = connection.getresponse()
            answer = Answer(response.status, dict(response.getheaders()), response.read())
            keep = not response.will_close
        except TimeoutError as fault:
            raise ModelUnreachableError(
                "Your invocation timed out while waiting for a response from container primary. Review the "
                "latency metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
            ) from fault
        except (OSError, http.client.HTTPException) as fault:
            raise ModelUnreachableError(_words(fault)) from fault
        finally:
            if not keep:
                connection.close()
        with self._lock:
            self._idle.append((time.monotonic(), connection))
        return answer

    def close(self) -> None:
        """Close those that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    def _take(self, timeout: float) -> http.client.HTTPConnection:
        while True:
            with self._lock:
                since, connection = self._idle.pop() if self._idle else (0.0, None)
            if connection is None:
                return self._new(timeout)
            if time.monotonic() - since < _IDLE_SECONDS and _is_open(connection):
                connection.sock.settimeout(timeout)
                return connection
            connection.close()

    def _new(self, timeout: float) -> http.client.HTTPConnection:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.connect()
        except OSError as fault:
            raise UndeliveredError(_words(fault)) from fault
        return connection


def _is_open(connection: http.client.HTTPConnection) -> bool:
    """Tell whether a connection can be used again: one with something to read was closed, or out of step."""
    if connection.sock is None:
        return False
    ready = select.poll()
    ready.register(connection.sock, select.POLLIN)
    return not ready.poll(0)


def _words(fault: Exception) -> str:
    return f"The container did not answer ({type(fault).__name__}: {fault})"
