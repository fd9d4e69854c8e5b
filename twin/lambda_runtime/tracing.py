"""What Lambda tells X-Ray of an invocation, and the daemon that functions send their own subsegments to."""

import logging
import time
from dataclasses import dataclass, field
from typing import Any

from twin import glue
from twin.lambda_runtime.function import Function
from twin.role_checks import role_may
from twin.services import xray

log = logging.getLogger("twin.lambda")
_sampler = xray.Sampler()


@dataclass(frozen=True)
class InvocationTrace:
    """One invocation's place in its trace: Lambda's own segment, and the function's below it."""

    function: Function
    inbound: xray.TraceHeader
    sampled: bool
    root: str
    service_id: str = field(default_factory=xray.new_id)
    function_id: str = field(default_factory=xray.new_id)

    @classmethod
    def begin(cls, function: Function, inbound: str) -> "InvocationTrace":
        """Continue the trace that the invocation came with, or begin one; the caller's decision counts."""
        came = xray.parse(inbound)
        sampled = came.sampled
        if sampled is None:
            sampled = function.traced and _sampler.decide(function.identity)
        return cls(function, came, sampled, came.root or xray.new_root())

    def header(self, lineage: str) -> str:
        """Return the value of ``_X_AMZN_TRACE_ID`` for the function; `lineage` is the chain of functions."""
        own = xray.TraceHeader(self.root, self.function_id, self.sampled)
        return f"{own.text()};Lineage={lineage}"

    def record(self, arn: str, request_id: str, began: float, *, failed: bool) -> None:
        """Record an invocation that began at `began` (epoch seconds) and has just ended."""
        function = self.function
        if not (self.sampled and function.traced):
            return
        common: dict[str, Any] = {
            "trace_id": self.root,
            "name": function.name,
            "start_time": began,
            "end_time": max(time.time(), began),
            **({"fault": True} if failed else {}),
        }
        service = {
            **common,
            "id": self.service_id,
            "origin": "AWS::Lambda",
            "resource_arn": arn,
            "http": {"response": {"status": 200}},
            "aws": {"request_id": request_id},
            **({"parent_id": self.inbound.parent} if self.inbound.parent else {}),
        }
        about = {"account_id": function.account, "function_arn": arn, "resource_names": [function.name]}
        own = {
            **common,
            "id": self.function_id,
            "parent_id": self.service_id,
            "origin": "AWS::Lambda::Function",
            "aws": about,
        }
        with glue.scope(function.account, function.region):
            xray.store.put(service)
            if _may_send(function):
                xray.store.put(own)


def open_daemon(function: Function) -> xray.DaemonPort:
    """Open the daemon of one execution environment: it sends with the function's role, if that may."""

    def deliver(document: Any) -> None:
        if fault := xray.fault_of(document):
            log.warning("%s sent a segment that X-Ray would not take: %s", function.name, fault)
            return
        with glue.scope(function.account, function.region):
            if _may_send(function):
                xray.store.put(document)

    return xray.DaemonPort(deliver)


def _may_send(function: Function) -> bool:
    """Whether the function's role may send segments; without, the trace just lacks them, as on AWS."""
    allowed = role_may(function.role_arn, "xray:PutTraceSegments", "*", function.name)
    if not allowed:
        log.warning("%s sends no trace: its role lacks xray:PutTraceSegments", function.name)
    return allowed
