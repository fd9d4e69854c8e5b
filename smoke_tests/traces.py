"""Finds a request in X-Ray: from the gateway through the function to its call of the model."""

import json
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from smoke_tests.budget import Budget
from smoke_tests.faults import CheckFailed

# X-Ray shows a trace some seconds after its last segment has come.
SETTLES_WITHIN = 120.0
_STAGE, _LAMBDA, _FUNCTION = "AWS::ApiGateway::Stage", "AWS::Lambda", "AWS::Lambda::Function"


@dataclass(frozen=True)
class Hop:
    """One part of a trace; times in seconds, `begun` since the trace began."""

    name: str
    kind: str
    begun: float
    seconds: float
    depth: int


@dataclass(frozen=True)
class Trace:
    """One request's way, in the order of its parts' beginnings."""

    id: str
    hops: tuple[Hop, ...]


@dataclass(frozen=True)
class Asked:
    """Who serves the model, as the function's call of it shows in a trace."""

    service: str
    shown: str
    name: str


def of_endpoint(name: str) -> Asked:
    """The model behind an endpoint."""
    return Asked("SageMaker Runtime", "endpoint_name", name)


def of_function(name: str) -> Asked:
    """The model behind a function."""
    return Asked("Lambda", "function_name", name)


def new_header() -> str:
    """A header that begins a trace which is recorded, whatever the share of traces that usually is."""
    return f"Root=1-{int(time.time()):08x}-{secrets.token_hex(12)};Sampled=1"


def root_of(header: str) -> str:
    """The id of the trace in an answer's X-Amzn-Trace-Id; empty when there is none."""
    parts = dict(part.strip().split("=", 1) for part in header.split(";") if "=" in part)
    return parts.get("Root", "")


def find(xray: Any, trace_id: str, asked: Asked, budget: Budget) -> Trace:
    """The trace of a request that was answered by the model of `asked`.

    Raises:
        CheckFailed: naming the first part of the way that X-Ray does not know.
    """
    lacking = "its segments"
    for _ in budget.polls(f"looking for trace {trace_id}", at_most=SETTLES_WITHIN):
        answer = xray.batch_get_traces(TraceIds=[trace_id])
        documents = [json.loads(one["Document"]) for trace in answer["Traces"] for one in trace["Segments"]]
        lacking = _first_lacking(documents, asked)
        if not lacking:
            return Trace(trace_id, tuple(_hops(documents)))
    raise CheckFailed(f"trace {trace_id} lacks {lacking}")


def _first_lacking(documents: list[dict[str, Any]], asked: Asked) -> str:
    known = {document.get("origin") for document in documents}
    for origin in (_STAGE, _LAMBDA, _FUNCTION):
        if origin not in known:
            return f"a segment of {origin}; is tracing on there, and may it send?"
    parts = [part for document in documents for _, part in _inside(document, 0)]
    calls = [part for part in parts if part.get("name") == asked.service and part.get("namespace") == "aws"]
    if not any(call.get("aws", {}).get(asked.shown) == asked.name for call in calls):
        return f"the function's call of {asked.shown.partition('_')[0]} {asked.name}"
    return ""


def _hops(documents: list[dict[str, Any]]) -> Iterator[Hop]:
    ordered = sorted(documents, key=lambda document: document["start_time"])
    first = ordered[0]["start_time"]
    parents = {part["id"]: part for document in ordered for _, part in _inside(document, 0)}
    owner = {part["id"]: document["id"] for document in ordered for _, part in _inside(document, 0)}
    depths: dict[str, int] = {}
    for document in ordered:
        above = owner.get(document.get("parent_id", "")) if document.get("parent_id") in parents else None
        depths[document["id"]] = depths.get(above, -1) + 1 if above else 0
        for depth, part in _inside(document, depths[document["id"]]):
            ended = part.get("end_time", part["start_time"])
            kind = part.get("origin") or part.get("aws", {}).get("operation") or part.get("namespace", "")
            yield Hop(part["name"], str(kind), part["start_time"] - first, ended - part["start_time"], depth)


def _inside(part: dict[str, Any], depth: int) -> Iterator[tuple[int, dict[str, Any]]]:
    yield depth, part
    for inner in part.get("subsegments", []):
        yield from _inside(inner, depth + 1)
