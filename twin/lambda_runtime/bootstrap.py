"""Runs inside a function's process: imports the handler, answers invocations, words errors as Lambda does.

Stands alone on the standard library: the function's interpreter has none of the twin's packages. Requests
come as JSON lines on stdin and answers leave on the stdout that the process was started with; whatever the
function itself prints goes to the other pipe, where a mark closes the lines of each invocation.
"""

import importlib
import json
import logging
import os
import resource
import sys
import time
import traceback
from types import TracebackType
from typing import Any, BinaryIO

RECORD_SEPARATOR = "\x1e"  # stands for a line break inside one log event
MARK = "\x1e\x1eend"
PIPE_BYTES = 1 << 19  # read at once: an event may hold a photo
# Set by what starts the process, and nothing that Lambda would offer.
_FOREIGN_VARIABLES = ("TWIN_PROCESS_OF", "PYTHONPYCACHEPREFIX")


class Fault(Exception):
    """An error payload, ready to be sent."""

    def __init__(self, message: str, kind: str, trace: list[str] | None = None) -> None:
        """`kind` is Lambda's errorType."""
        super().__init__(message)
        self.payload: dict[str, Any] = {"errorMessage": message, "errorType": kind, "requestId": ""}
        self.payload["stackTrace"] = trace or []


class Context:
    """What a handler gets as its second argument."""

    def __init__(self, call: dict[str, Any]) -> None:
        """`call` is one invocation as the parent sent it."""
        self.aws_request_id: str = call["request_id"]
        self.invoked_function_arn: str = call["invoked_function_arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.client_context = None
        self.identity = None
        self._deadline = time.time() + call["timeout_ms"] / 1000

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the function is ended for its timeout."""
        return max(0, int((self._deadline - time.time()) * 1000))

    def log(self, message: object) -> None:
        """Write to the function's log."""
        sys.stdout.write(str(message))


class LogHandler(logging.Handler):
    """Puts records of the `logging` module into the function's log: one event each, with the request's id."""

    def __init__(self, as_json: bool) -> None:
        """`as_json` is the function's log format."""
        super().__init__()
        self.as_json = as_json
        self.request_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        try:
            text = record.getMessage()
            if record.exc_info:
                text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip()
            if self.as_json:
                line = json.dumps(
                    {
                        "timestamp": stamp + "Z",
                        "level": record.levelname,
                        "message": text,
                        "logger": record.name,
                        "requestId": self.request_id,
                    }
                )
            else:
                when = f"{stamp}.{int(record.msecs):03d}Z"
                line = f"[{record.levelname}]\t{when}\t{self.request_id}\t{text}"
            _log(line)
        except Exception:
            self.handleError(record)


def _log(event: str) -> None:
    sys.stdout.write(event.replace("\n", RECORD_SEPARATOR) + "\n")


def _frames(trace: TracebackType | None) -> list[str]:
    """Return the formatted frames of the function's own code."""
    frames = traceback.extract_tb(trace)
    while frames and ("importlib" in frames[0].filename or frames[0].filename == __file__):
        frames.pop(0)
    return traceback.format_list(frames)


def _described(error: BaseException, request_id: str, as_json: bool) -> dict[str, Any]:
    """Return the error payload of an exception, and write it to the log as Lambda does."""
    if isinstance(error, Fault):
        payload = {**error.payload, "requestId": request_id}
    else:
        payload = {
            "errorMessage": str(error),
            "errorType": type(error).__name__,
            "requestId": request_id,
            "stackTrace": _frames(error.__traceback__),
        }
    if as_json:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        _log(json.dumps({"timestamp": stamp, "log_level": "ERROR", **payload}))
        return payload
    lines = [f"[ERROR] {payload['errorType']}: {payload['errorMessage']}"]
    if payload["stackTrace"]:
        lines += ["Traceback (most recent call last):", "".join(payload["stackTrace"]).rstrip()]
    _log("\n".join(lines))
    return payload


def _load(handler: str) -> Any:
    """Import the handler (``module.function``); raises `Fault` for what Lambda words specially."""
    module_name, dot, function_name = handler.rpartition(".")
    if not dot:
        text = f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)"
        raise Fault(text, "Runtime.MalformedHandlerName")
    module_name = module_name.replace("/", ".")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        text = f"Unable to import module '{module_name}': {error}"
        raise Fault(text, "Runtime.ImportModuleError") from error
    except SyntaxError as error:
        place = f'  File "{error.filename}" Line {error.lineno}\n    {(error.text or "").rstrip()}\n'
        text = f"Syntax error in module '{module_name}': {error}"
        raise Fault(text, "Runtime.UserCodeSyntaxError", [place]) from error
    try:
        return getattr(module, function_name)
    except AttributeError as error:
        text = f"Handler '{function_name}' missing on module '{module_name}'"
        raise Fault(text, "Runtime.HandlerNotFound") from error


def _marshal_default(value: object) -> object:
    # Lambda's own encoder writes decimals as numbers: DynamoDB items come with them.
    if type(value).__name__ == "Decimal":
        number = float(str(value))
        return int(number) if number.is_integer() else number
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _marshal(value: object) -> str:
    try:
        return json.dumps(value, default=_marshal_default, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise Fault(f"Unable to marshal response: {error}", "Runtime.MarshalError") from error


def _prepare(start: dict[str, Any]) -> LogHandler:
    for variable in _FOREIGN_VARIABLES:
        os.environ.pop(variable, None)
    sys.path[:0] = start["paths"]
    own = os.environ.get("PYTHONPATH")
    sys.path[len(start["paths"]) : len(start["paths"])] = own.split(os.pathsep) if own else []
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, encoding="utf-8")  # type: ignore[union-attr]
    handler = LogHandler(start["log_format"] == "JSON")
    logging.Formatter.converter = time.gmtime
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(start["log_level"] or logging.WARNING)
    return handler


class Channel:
    """The two pipes to the parent: JSON lines in, JSON lines out, and the mark that closes the log lines."""

    def __init__(self) -> None:
        """Take stdin and stdout for the protocol, and leave the function with stderr for both its outputs."""
        self._requests: BinaryIO = os.fdopen(os.dup(0), "rb", PIPE_BYTES)
        self._answers: BinaryIO = os.fdopen(os.dup(1), "wb")
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(2, 1)

    def receive(self) -> dict[str, Any] | None:
        """Return the next message, or None when the parent is gone."""
        line = self._requests.readline()
        return json.loads(line) if line else None

    def send(self, answer: dict[str, Any]) -> None:
        """Close the log lines so far with the mark, then send."""
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        answer["max_rss_kb"] = peak // 1024 if sys.platform == "darwin" else peak
        sys.stdout.flush()
        sys.stderr.flush()
        os.write(1, f"{MARK}\n".encode())
        self._answers.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
        self._answers.flush()


def _answer(handler: Any, call: dict[str, Any], log: LogHandler) -> dict[str, Any]:
    log.request_id = call["request_id"]
    os.environ["_X_AMZN_TRACE_ID"] = call["trace_id"]
    try:
        return {"payload": _marshal(handler(call["event"], Context(call)))}
    except Exception as error:
        return {"error": _described(error, call["request_id"], log.as_json)}


def main() -> None:
    """Initialise the function, then answer invocations until the parent closes the pipe."""
    channel = Channel()
    start = channel.receive()
    if start is None:
        return
    log = _prepare(start)
    try:
        handler = _load(start["handler"])
    except Exception as error:
        channel.send({"error": _described(error, "", log.as_json)})
        return
    channel.send({"ready": True})
    while (call := channel.receive()) is not None:
        channel.send(_answer(handler, call, log))


if __name__ == "__main__":
    main()
