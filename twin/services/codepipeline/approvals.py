"""Approvals that wait for a decision, by their tokens, and how long they still may."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twin import endpoints
from twin.services.codepipeline.records import ActionRun

EXPIRED = "Expired"
EXPIRE_PATH = "approvals/expire"


@dataclass
class Decision:
    """One approval: undecided until `made` is set."""

    token: str
    pipeline: str
    stage: str
    action: str
    close: Callable[[], object]
    made: threading.Event = field(default_factory=threading.Event)
    status: str = ""
    summary: str = ""
    by: str = ""


class Approvals:
    """All approvals that wait."""

    def __init__(self) -> None:
        """Start with none."""
        self._open: dict[str, Decision] = {}

    def open(self, pipeline: str, run: ActionRun, token: str) -> Decision:
        """Begin to wait for the approval of a running action, by its token; or go on waiting."""
        known = self._open.get(token)
        if known is not None:
            return known
        decision = Decision(
            token=token,
            pipeline=pipeline,
            stage=run.stage,
            action=run.action,
            close=lambda: self._open.pop(token, None),
        )
        self._open[token] = decision
        return decision

    def find(self, token: str) -> Decision | None:
        """Return the approval of this token if it is still undecided."""
        decision = self._open.get(token)
        return decision if decision is not None and not decision.made.is_set() else None

    def expire(self, request: endpoints.Request) -> list[dict[str, Any]]:
        """Let the time of an approval that waits be over now: the twin's own call, AWS has none like it.

        The query names `pipeline`, and `stage` and `action` where several wait. Raises `BadRequest`.
        """
        wanted = request.query
        if "pipeline" not in wanted:
            raise endpoints.BadRequest("say whose approval: ?pipeline=NAME[&stage=STAGE][&action=ACTION]")
        waiting = [decision for decision in list(self._open.values()) if not decision.made.is_set()]
        chosen = [d for d in waiting if all(wanted.get(k, v) == v for k, v in _place(d).items())]
        if len(chosen) > 1:
            places = ", ".join(f"{d.stage}/{d.action}" for d in chosen)
            raise endpoints.BadRequest(f"several approvals wait: choose one of {places}")
        for decision in chosen:
            decision.status = EXPIRED
            decision.made.set()
        return [_place(decision) for decision in chosen]


def _place(decision: Decision) -> dict[str, str]:
    return {"pipeline": decision.pipeline, "stage": decision.stage, "action": decision.action}
