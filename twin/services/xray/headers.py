"""The header that carries a trace from service to service, and the rule that decides what is sampled."""

import random
import re
import secrets
import threading
import time
from dataclasses import dataclass

_ROOT = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")
# X-Ray's default rule: the first request of each second, and 5 % of the others.
_FIXED_RATE = 0.05


@dataclass(frozen=True)
class TraceHeader:
    """A parsed ``X-Amzn-Trace-Id``; what it does not say is empty, or None for the decision to sample."""

    root: str = ""
    parent: str = ""
    sampled: bool | None = None

    def text(self) -> str:
        """Return the header's value."""
        parts = [f"Root={self.root}"]
        parts += [f"Parent={self.parent}"] if self.parent else []
        parts += [f"Sampled={int(self.sampled)}"] if self.sampled is not None else []
        return ";".join(parts)


def parse(value: str) -> TraceHeader:
    """Read a header; a root that X-Ray would not take counts as missing."""
    parts = dict(part.strip().split("=", 1) for part in value.split(";") if "=" in part)
    root = parts.get("Root", "")
    sampled = {"1": True, "0": False}.get(parts.get("Sampled", ""))
    return TraceHeader(root if _ROOT.fullmatch(root) else "", parts.get("Parent", ""), sampled)


def new_root() -> str:
    """Return the id of a new trace; it holds the second in which the trace began."""
    return f"1-{int(time.time()):08x}-{secrets.token_hex(12)}"


def new_id() -> str:
    """Return the id of a new segment or subsegment."""
    return secrets.token_hex(8)


class Sampler:
    """Decides by X-Ray's default rule, for each place where traces begin."""

    def __init__(self) -> None:
        """No request was seen yet."""
        self._seconds: dict[str, int] = {}
        self._lock = threading.Lock()

    def decide(self, place: str) -> bool:
        """Whether a request that arrives at `place` now, without a decision of its caller, is sampled."""
        now = int(time.monotonic())
        with self._lock:
            first, self._seconds[place] = self._seconds.get(place) != now, now
        return first or random.random() < _FIXED_RATE  # noqa: S311  # a share of traffic, not a secret
