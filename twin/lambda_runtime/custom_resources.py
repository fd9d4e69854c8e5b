"""Ends a custom resource whose function failed without an answer; AWS would wait for it for an hour."""

import contextlib
import json
import urllib.request
from collections.abc import Mapping
from typing import Any

_REQUEST = frozenset({"LogicalResourceId", "RequestId", "RequestType", "ResponseURL", "StackId"})
_SECONDS = 10
# The address is the twin's own: a proxy of the machine must not be asked for it.
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def report_failure(event: Any, error: Mapping[str, Any]) -> None:
    """Answer CloudFormation in the function's stead, when `event` is one of its requests."""
    if not isinstance(event, dict) or not event.keys() >= _REQUEST:
        return
    reason = f"The function failed before it answered: {error.get('errorType')}: {error.get('errorMessage')}"
    answer = {
        "Status": "FAILED",
        "Reason": reason,
        "PhysicalResourceId": event.get("PhysicalResourceId") or event["LogicalResourceId"],
        "StackId": event["StackId"],
        "RequestId": event["RequestId"],
        "LogicalResourceId": event["LogicalResourceId"],
    }
    request = urllib.request.Request(  # noqa: S310  # CloudFormation's own address
        str(event["ResponseURL"]), data=json.dumps(answer).encode(), method="PUT"
    )
    # Where the function did answer and failed after that, nobody waits any more.
    with contextlib.suppress(OSError), _DIRECT.open(request, timeout=_SECONDS):
        pass
