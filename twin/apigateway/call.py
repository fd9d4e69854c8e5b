"""What is known of the request that the gateway is serving: kept while it runs, logged and counted after."""

import secrets
import time
import uuid
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property

from twin.glue.apigateway import Request
from twin.services import xray


@dataclass
class Call:
    """One request on its way; times are in seconds. What only turns up later starts empty."""

    request: Request
    account: str
    region: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    extended_id: str = field(default_factory=lambda: secrets.token_urlsafe(11) + "=")
    # Whether the stage traces, and whether this request is one of those that are recorded.
    traced: bool = False
    sampled: bool = False
    segment_id: str = field(default_factory=xray.new_id)
    # Of the part of the segment that stands for the call of the function.
    function_call_id: str = field(default_factory=xray.new_id)
    began: float = field(default_factory=time.time)
    clock: float = field(default_factory=time.monotonic)
    error_type: str = ""
    error_message: str = ""
    integration_began: float = 0.0
    integration_seconds: float | None = None
    integration_status: int | None = None
    # Why the integration was not called or gave no usable answer: for the execution log only.
    trouble: str = ""

    @cached_property
    def trace_root(self) -> str:
        """The id of the trace that the client sent, or of a new one."""
        return self.inbound.root or xray.new_root()

    @cached_property
    def inbound(self) -> xray.TraceHeader:
        """The trace that the client sent."""
        return xray.parse(str(self.request.headers.get("x-amzn-trace-id") or ""))

    @property
    def trace_header(self) -> str:
        """X-Amzn-Trace-Id as the client gets it; where the stage does not trace, its own comes back."""
        if self.traced:
            return xray.TraceHeader(self.trace_root, self.segment_id, self.sampled).text()
        return str(self.request.headers.get("x-amzn-trace-id") or f"Root={self.trace_root}")

    @property
    def sent_trace_header(self) -> str:
        """X-Amzn-Trace-Id as the function gets it."""
        if self.traced:
            return xray.TraceHeader(self.trace_root, self.function_call_id, self.sampled).text()
        return self.trace_header

    @property
    def host(self) -> str:
        """The API's own host name."""
        return f"{self.request.api_id}.execute-api.{self.region}.amazonaws.com"

    @property
    def source_ip(self) -> str:
        """The address that the client called from."""
        return str(self.request.headers.get("x-forwarded-for", "127.0.0.1")).split(",")[0].strip()


current: ContextVar[Call | None] = ContextVar("twin_api_call", default=None)
