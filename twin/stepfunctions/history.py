"""An execution's history: its events as GetExecutionHistory gives them, and as its log group gets them."""

import datetime as dt
import json
import threading
import time
from typing import Any

from twin import glue

# Held while an execution gets its end and while it gets an event: it ends once, and nothing follows its end.
ENDING = threading.RLock()
_FATAL = ("ExecutionFailed", "ExecutionAborted", "ExecutionTimedOut")


def now() -> str:
    """Return the present moment as Step Functions writes it."""
    return dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def is_logged(level: str, kind: str) -> bool:
    """Whether an event of this kind goes to the log at a level (ALL, ERROR, FATAL, OFF)."""
    if level == "ALL":
        return True
    if level == "ERROR":
        return kind.endswith(("Failed", "TimedOut", "Aborted"))
    return level == "FATAL" and kind in _FATAL


class History:
    """Appends events to an execution's record; safe against branches that run at the same time."""

    def __init__(self, execution: dict[str, Any], logging: dict[str, Any], machine: str) -> None:
        """`logging` is the state machine's logging configuration, `machine` its name."""
        self._execution = execution
        self._level = logging.get("level", "OFF")
        self._with_data = bool(logging.get("includeExecutionData"))
        self._groups = [
            destination["cloudWatchLogsLogGroup"]["logGroupArn"]
            .removesuffix(":*")
            .partition(":log-group:")[2]
            for destination in logging.get("destinations") or []
        ]
        self._stream = f"states/{machine}/{time.strftime('%Y-%m-%d-%H-%M', time.gmtime())}/{id(self):x}"

    def add(self, kind: str, details_name: str = "", **details: Any) -> None:
        """Append an event; `details_name` is the member for its details (``taskFailedEventDetails``).

        What a state does that goes on behind the end of its execution is not told.
        """
        with ENDING:
            if self._execution["status"] != "RUNNING" and not kind.startswith("Execution"):
                return
            number = len(self._execution["events"]) + 1
            event: dict[str, Any] = {
                "id": number,
                "previousEventId": number - 1,
                "type": kind,
                "timestamp": now(),
            }
            if details_name:
                event[details_name] = details
            self._execution["events"].append(event)
        if self._groups and is_logged(self._level, kind):
            self._log(event, details)

    def _log(self, event: dict[str, Any], details: dict[str, Any]) -> None:
        kept = {
            name: value
            for name, value in details.items()
            if self._with_data or name not in ("input", "output", "parameters", "cause")
        }
        line = json.dumps(
            {
                "id": str(event["id"]),
                "type": event["type"],
                "details": kept,
                "previous_event_id": str(event["previousEventId"]),
                "event_timestamp": str(int(time.time() * 1000)),
                "execution_arn": self._execution["executionArn"],
            }
        )
        for group in self._groups:
            glue.put_log_lines(group, self._stream, [line])
