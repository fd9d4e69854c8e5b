"""The log of every IAM decision, one JSON line each in `<home>/iam.jsonl`, and its summary."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from typing import IO, Any

from twin import config, glue

_MOST_DENIALS = 500  # in a summary: enough for a reader, small enough for a terminal
_lock = threading.Lock()
_file: IO[str] | None = None


class _Log:
    """Lets `reset` start the log anew; it needs no snapshot, being a file already."""

    def get_state(self) -> None:
        """Nothing to save."""

    def load_persisted_state(self, data: Any, /) -> None:
        """Nothing to load."""

    def reset(self) -> None:
        """Empty the log."""
        _open("w")


def install() -> None:
    """Open the log of this twin's home, to be continued."""
    _open("a")
    glue.register_state("iam_decisions", _Log())


def _open(mode: str) -> None:
    global _file  # noqa: PLW0603  # one log per process
    with _lock:
        if _file is not None:
            _file.close()
        path = config.current().home / "iam.jsonl"
        _file = path.open(mode, buffering=1, encoding="utf-8")


def record(principal: str, action: str, resource: str, decision: str, reason: str = "") -> None:
    """Note one decision: ``Allow``, ``Deny``, ``ImplicitDeny`` or an authentication error's code."""
    entry = {
        "time": round(time.time(), 3),
        "principal": principal,
        "action": action,
        "resource": resource,
        "decision": decision,
    }
    if reason:
        entry["reason"] = reason
    line = json.dumps(entry) + "\n"
    with _lock:
        if _file is not None:
            _file.write(line)


def summarise(since: float = 0) -> dict[str, Any]:
    """Return the decisions since a time (epoch seconds): counts, denials, and what each principal used."""
    allowed, denials = 0, list[dict[str, Any]]()
    used: dict[str, set[str]] = defaultdict(set)
    for entry in _entries():
        if entry["time"] < since:
            continue
        if entry["decision"] == "Allow":
            allowed += 1
            used[_role_of(entry["principal"])].add(entry["action"])
        else:
            denials.append(entry)
    return {
        "decisions": allowed + len(denials),
        "allowed": allowed,
        "denied": len(denials),
        "denials": denials[-_MOST_DENIALS:],
        "used": {principal: sorted(actions) for principal, actions in sorted(used.items())},
    }


def last_uses(role_arn: str) -> dict[str, float]:
    """Return when each action was last allowed to a role (epoch seconds), by the action's name."""
    found: dict[str, float] = {}
    for entry in _entries():
        if entry["decision"] == "Allow" and _role_of(entry["principal"]) == role_arn:
            found[entry["action"]] = entry["time"]
    return found


def _entries() -> Iterator[dict[str, Any]]:
    """Every decision of the log, but for one that is being written."""
    with (config.current().home / "iam.jsonl").open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)


def _role_of(principal: str) -> str:
    """Return the role of a role session, so that sessions add up; any other principal as it is."""
    if ":assumed-role/" not in principal:
        return principal
    account, role = principal.split(":")[4], principal.split("/")[1]
    return f"arn:aws:iam::{account}:role/{role}"
