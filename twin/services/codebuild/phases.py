"""The phases of a build record: begun, ended, and what went wrong in them."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from twin.services.codebuild.log import BuildLog
from twin.services.codebuild.shell import Stopped, TimedOut


class PhaseFailed(Exception):
    """A phase ended badly: `code` is CodeBuild's status code, the message its reason."""

    def __init__(self, code: str, message: str) -> None:
        """`code` is such as ``COMMAND_EXECUTION_ERROR``."""
        super().__init__(message)
        self.code = code


class Phases:
    """Writes the phases of one build into its record and its log."""

    def __init__(self, record: dict[str, Any], log: BuildLog) -> None:
        """`record` is the build as BatchGetBuilds answers it."""
        self._record, self._log = record, log

    @contextmanager
    def phase(self, name: str) -> Generator[None]:
        """Run the body as phase `name`; what it raises ends the phase and goes on to the caller."""
        self._record["currentPhase"] = name
        entry: dict[str, Any] = {"phaseType": name, "startTime": time.time()}
        self._record["phases"].append(entry)
        self._log.say(f"Entering phase {name}")
        try:
            yield
        except PhaseFailed as fault:
            self._end(entry, "FAILED", fault.code, str(fault))
            raise
        except TimedOut:
            self._end(entry, "TIMED_OUT", "BUILD_TIMED_OUT", "Build has timed out.")
            raise
        except Stopped:
            self._end(entry, "STOPPED", "", "")
            raise
        except BaseException as fault:
            self._end(entry, "FAULT", "INTERNAL_SERVICE_ERROR", f"{type(fault).__name__}: {fault}")
            raise
        self._end(entry, "SUCCEEDED", "", "")

    def point(self, name: str) -> None:
        """Note a phase that takes no time; COMPLETED has neither status nor end, as on AWS."""
        now = time.time()
        self._record["currentPhase"] = name
        entry: dict[str, Any] = {"phaseType": name, "startTime": now}
        if name != "COMPLETED":
            entry |= {"phaseStatus": "SUCCEEDED", "endTime": now, "durationInSeconds": 0}
        self._record["phases"].append(entry)

    def _end(self, entry: dict[str, Any], status: str, code: str, message: str) -> None:
        now = time.time()
        entry |= {
            "phaseStatus": status,
            "endTime": now,
            "durationInSeconds": round(now - entry["startTime"]),
            "contexts": [{"statusCode": code, "message": message}],
        }
        self._log.say(f"Phase complete: {entry['phaseType']} State: {status}")
        self._log.say(f"Phase context status code: {code} Message: {message}")


def first_failure(record: dict[str, Any]) -> dict[str, str] | None:
    """Return phase, code and message of the first phase that did not succeed, or None."""
    for entry in record["phases"]:
        if entry.get("phaseStatus", "SUCCEEDED") != "SUCCEEDED":
            context = (entry.get("contexts") or [{}])[0]
            return {
                "phase": entry["phaseType"],
                "code": context.get("statusCode", ""),
                "message": context.get("message", ""),
            }
    return None
