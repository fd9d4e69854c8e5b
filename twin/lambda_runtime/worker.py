"""One execution environment: a process with an initialised function, serving one invocation at a time."""

import contextlib
import fcntl
import json
import os
import secrets
import selectors
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from twin import environments, processes
from twin.lambda_runtime import package, tracing
from twin.lambda_runtime.bootstrap import MARK, PIPE_BYTES, RECORD_SEPARATOR
from twin.lambda_runtime.environment import process_environment
from twin.lambda_runtime.function import Function
from twin.services.xray import DaemonPort

BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
# Lambda gives initialisation 10 s, then once more within the function's own timeout.
INIT_SECONDS = 10
# The marks of log lines travel on another pipe than answers; a healthy process delivers both at once.
_LOG_GRACE_SECONDS = 2.0
_MARK = MARK.encode() + b"\n"


@dataclass
class Outcome:
    """How an invocation (or an initialisation) ended. `lines` are (epoch milliseconds, log event)."""

    began_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    payload: str | None = None
    error: dict[str, Any] | None = None
    timed_out: bool = False
    ended: bool = False  # the process cannot be used again
    lines: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    seconds: float = 0.0
    init_seconds: float | None = None
    memory_mb: int = 0


class _Died(Exception):
    """The process closed its pipe instead of answering."""


class Worker:
    """A function's process. `start` initialises it; `invoke` may then be called, by one thread at a time."""

    def __init__(self, function: Function) -> None:
        """Nothing is started yet."""
        self.function = function
        self.log_stream = (
            f"{time.strftime('%Y/%m/%d', time.gmtime())}/[{function.version}]{secrets.token_hex(16)}"
        )
        self.python = ""  # version of the interpreter, once started
        self.may_log: bool | None = None  # not asked yet
        self.born = self.idle_since = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._tmp: Path | None = None
        self._daemon: DaemonPort | None = None
        self._answers, self._log = bytearray(), bytearray()

    def start(self) -> Outcome:
        """Build what the function needs, start its process and import its handler.

        Raises `package.PackageError`, `environments.EnvironmentBuildError` or `glue.TrustError`.
        """
        prepared = package.prepare(self.function)
        self.python = environments.version_of(prepared.interpreter)
        self._tmp = package.temporary_folder()
        self._daemon = tracing.open_daemon(self.function)
        environment = process_environment(
            self.function, prepared.task_root, self._tmp, self.log_stream, self._daemon.address
        )
        began = time.monotonic()
        self._process = processes.start(
            [str(prepared.interpreter), "-I", str(BOOTSTRAP)],
            name=f"lambda {self.function.name}",
            cwd=prepared.task_root,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        _widen(self._process.stdin)
        message = {
            "handler": self.function.handler,
            "paths": prepared.paths,
            "log_format": self.function.log_format,
            "log_level": self.function.log_level,
        }
        outcome = self._exchange(message, INIT_SECONDS + self.function.timeout_seconds, request_id="")
        outcome.init_seconds = time.monotonic() - began
        if outcome.error is not None:
            self.stop()
            outcome.ended = True
        return outcome

    def invoke(
        self, event: Any, request_id: str, function_arn: str, trace_id: str, *, strike: str | None = None
    ) -> Outcome:
        """Run the handler once; after a timeout or an exit the worker is ended and must be dropped.

        `strike` ends it on purpose: ``crash`` kills the process, ``timeout`` lets its time be over at once.
        """
        message = {
            "event": event,
            "request_id": request_id,
            "invoked_function_arn": function_arn,
            "trace_id": trace_id,
            "timeout_ms": self.function.timeout_seconds * 1000,
        }
        if strike == "crash" and self._process is not None:
            self._process.kill()
        seconds = 0 if strike == "timeout" else self.function.timeout_seconds
        return self._exchange(message, seconds, request_id)

    def stop(self) -> None:
        """End the process and all that it started, and remove its temporary folder."""
        process, self._process = self._process, None
        if process is not None:
            # An execution environment gets no time to say goodbye on AWS either, without an extension.
            processes.end(process, grace_seconds=0)
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        if self._daemon is not None:
            self._daemon.close()
        if self._tmp is not None:
            shutil.rmtree(self._tmp, ignore_errors=True)

    def _exchange(self, message: dict[str, Any], seconds: float, request_id: str) -> Outcome:
        process = self._process
        if process is None or process.stdin is None or process.stdout is None or process.stderr is None:
            raise RuntimeError("the worker was not started, or has ended")
        text = _line(message)
        # As on AWS, time runs from the moment at which the function has its event.
        began = time.monotonic()
        outcome = Outcome()
        try:
            process.stdin.write(text)
            process.stdin.flush()
            answer = self._receive(process.stdout, process.stderr, began + seconds, outcome)
        except TimeoutError:
            outcome.timed_out = outcome.ended = True
            outcome.error = _timeout(request_id, self.function.timeout_seconds)
            self._collect_rest(process.stderr, outcome)
            self.stop()
        except (_Died, BrokenPipeError):
            outcome.ended = True
            outcome.error = _exit(request_id, process.wait())
            self._collect_rest(process.stderr, outcome)
            self.stop()
        else:
            outcome.payload, outcome.error = answer.get("payload"), answer.get("error")
            outcome.memory_mb = -(-answer["max_rss_kb"] // 1024)
        outcome.seconds = time.monotonic() - began
        return outcome

    def _receive(
        self, answers: IO[bytes], log: IO[bytes], deadline: float, outcome: Outcome
    ) -> dict[str, Any]:
        """Read both pipes until the answer and the mark behind its log lines are there."""
        answer: dict[str, Any] | None = None
        marked = False
        with selectors.DefaultSelector() as ready:
            ready.register(answers, selectors.EVENT_READ)
            ready.register(log, selectors.EVENT_READ)
            while True:
                if answer is not None and (marked or time.monotonic() >= deadline):
                    return answer
                if time.monotonic() >= deadline:
                    raise TimeoutError
                for key, _ in ready.select(deadline - time.monotonic()):
                    data = os.read(key.fd, 1 << 16)
                    if key.fileobj is log:
                        marked = self._take_log(data, outcome) or not data or marked
                        if not data:  # the function closed its outputs
                            ready.unregister(log)
                    elif not data:
                        raise _Died
                    elif (answer := self._take_answer(data)) is not None:
                        deadline = time.monotonic() + _LOG_GRACE_SECONDS

    def _take_answer(self, data: bytes) -> dict[str, Any] | None:
        """Add to the answer; returns it when it is whole."""
        self._answers += data
        if not data.endswith(b"\n"):
            return None
        whole = json.loads(self._answers)
        self._answers.clear()
        return whole

    def _take_log(self, data: bytes, outcome: Outcome) -> bool:
        """Split what was printed into log events; returns whether the mark was among it."""
        self._log += data
        now, marked = int(time.time() * 1000), False
        while (end := self._log.find(b"\n")) >= 0:
            line = bytes(self._log[: end + 1])
            del self._log[: end + 1]
            if line.endswith(_MARK):
                marked = True
                line = line[: -len(_MARK)]
            if text := line.decode("utf-8", "replace").rstrip("\r\n"):
                outcome.lines.append((now, text.replace(RECORD_SEPARATOR, "\n")))
        return marked

    def _collect_rest(self, log: IO[bytes], outcome: Outcome) -> None:
        """Take what a process printed before it ended, without waiting for its children."""
        os.set_blocking(log.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            while data := os.read(log.fileno(), 1 << 16):
                self._take_log(data, outcome)
        if self._log:
            self._take_log(b"\n", outcome)


def _line(message: Mapping[str, Any]) -> bytes:
    """A message as one line of JSON."""
    try:
        return orjson.dumps(message, option=orjson.OPT_APPEND_NEWLINE)
    except (
        TypeError
    ):  # what callers may send and it does not know: half characters, whole numbers beyond 64 bits
        return json.dumps(message).encode() + b"\n"


def _widen(pipe: IO[bytes] | None) -> None:
    """Let an event with a photo through in one piece, not with a switch of processes every 64 KiB."""
    # Only Linux has this, and there all pipes of a user have a limit together.
    with contextlib.suppress(AttributeError, OSError):
        if pipe is not None:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _timeout(request_id: str, seconds: int) -> dict[str, Any]:
    about = f"RequestId: {request_id} Error: " if request_id else ""
    return {
        "errorType": "Sandbox.Timedout",
        "errorMessage": f"{about}Task timed out after {seconds:.2f} seconds",
    }


def _exit(request_id: str, code: int) -> dict[str, Any]:
    how = f"signal: {-code}" if code < 0 else f"exit status {code}"
    text = "Runtime exited without providing a reason" if code == 0 else f"Runtime exited with error: {how}"
    return {"errorType": "Runtime.ExitError", "errorMessage": f"RequestId: {request_id} Error: {text}"}
