"""X-Ray's API: takes segments, and gives traces back by id or by the time in which they began."""

import json
import time
from typing import Any

from twin import glue
from twin.json_service import JsonService, NotImplementedInTwin, Response, ServiceError, service_model
from twin.services.xray.documents import fault_of
from twin.services.xray.store import Document, store

_WIDEST_RANGE_SECONDS = 6 * 3600


class XRay(JsonService):
    """The operations; X-Ray names them by path, not by a header."""

    service_name = "xray"
    validation_code = "InvalidRequestException"

    def __init__(self) -> None:  # pyright: ignore[reportMissingSuperCall]  # X-Ray has no target prefix
        """Load the model."""
        self.model = service_model(self.service_name)
        self._by_path = {
            self.model.operation_model(name).http["requestUri"]: name for name in self.model.operation_names
        }

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Response:
        """Answer one request."""
        named = {**headers, "x-amz-target": f".{self._by_path.get(path, path)}"}
        return await super().handle(method, path, named, body, query)

    def PutTraceSegments(self, given: dict[str, Any]) -> dict[str, Any]:
        """Take segment documents; those that cannot be read are named in the answer."""
        unprocessed: list[dict[str, str]] = []
        for text in given["TraceSegmentDocuments"]:
            try:
                document = json.loads(text)
                fault = fault_of(document)
            except ValueError as error:
                document, fault = {}, f"not JSON: {error}"
            if fault:
                about = {"Id": str(document.get("id", "")), "ErrorCode": "ParseError", "Message": fault}
                unprocessed.append(about)
            else:
                store.put(document)
        return {"UnprocessedTraceSegments": unprocessed}

    def PutTelemetryRecords(self, given: dict[str, Any]) -> dict[str, Any]:
        """Accept what a daemon tells about itself; nobody can ask for it on AWS either."""
        del given
        return {}

    def BatchGetTraces(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return whole traces by their ids."""
        traces, missing = list[dict[str, Any]](), list[str]()
        for trace_id in given["TraceIds"]:
            if segments := store.segments(trace_id):
                parts = [{"Id": one["id"], "Document": json.dumps(one)} for one in segments]
                traces.append({"Id": trace_id, "Duration": _span(segments), "Segments": parts})
            else:
                missing.append(trace_id)
        return {"Traces": traces, "UnprocessedTraceIds": missing}

    def GetTraceSummaries(self, given: dict[str, Any]) -> dict[str, Any]:
        """Return what there is to say of the traces that began in a span of time."""
        for feature in ("FilterExpression", "SamplingStrategy", "TimeRangeType"):
            if given.get(feature):
                raise NotImplementedInTwin(f"xray:GetTraceSummaries with {feature}")
        start, end = given["StartTime"], given["EndTime"]
        if end - start > _WIDEST_RANGE_SECONDS:
            raise ServiceError(self.validation_code, "Time range cannot be larger than 6 hours")
        found = [_summary(trace_id, store.segments(trace_id)) for trace_id in store.begun(start, end)]
        return {
            "TraceSummaries": [summary for summary in found if summary],
            "ApproximateTime": time.time(),
            "TracesProcessedCount": len(found),
        }


def _span(segments: list[Document]) -> float:
    ends = [one.get("end_time", one["start_time"]) for one in segments]
    return round(max(ends) - min(one["start_time"] for one in segments), 3)


def _summary(trace_id: str, segments: list[Document]) -> dict[str, Any]:
    if not segments:
        return {}
    first = segments[0]
    request = (first.get("http") or {}).get("request") or {}
    response = (first.get("http") or {}).get("response") or {}
    http = {
        "HttpURL": request.get("url"),
        "HttpMethod": request.get("method"),
        "UserAgent": request.get("user_agent"),
        "ClientIp": request.get("client_ip"),
        "HttpStatus": response.get("status"),
    }
    return {
        "Id": trace_id,
        "StartTime": first["start_time"],
        "Duration": _span(segments),
        "ResponseTime": round(first.get("end_time", first["start_time"]) - first["start_time"], 3),
        "HasFault": any(one.get("fault") for one in segments),
        "HasError": any(one.get("error") for one in segments),
        "HasThrottle": any(one.get("throttle") for one in segments),
        "IsPartial": any(one.get("in_progress") for one in segments),
        "Http": {name: value for name, value in http.items() if value is not None},
        "EntryPoint": {"Name": first["name"], "Type": first.get("origin", "")},
        "ServiceIds": [{"Name": one["name"], "Type": one.get("origin", "")} for one in segments],
    }


def install() -> None:
    """Serve X-Ray; none of its operations has a resource that IAM could judge."""
    service = XRay()
    glue.register_service(
        "xray",
        service.handle,
        host_patterns=[r"^xray\."],
        botocore_names=["xray"],
        resource_arn=lambda *_: "*",
        state=store,
    )
