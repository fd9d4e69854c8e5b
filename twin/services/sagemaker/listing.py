"""Lists of resources as SageMaker answers them: filtered, sorted and in pages."""

import base64
import json
from collections.abc import Iterable
from typing import Any

from twin.json_service import ServiceError
from twin.services.sagemaker.records import Kind, Record

_DEFAULT_PAGE = {"Endpoint": 10}
_PAGE = 100


def page(
    kind: Kind,
    records: Iterable[Record],
    request: Record,
    *,
    status: str = "",
    newest_first: bool = False,
    name: str = "",
) -> tuple[list[Record], str | None]:
    """Return one page of `records` and the token of the next, None at the end.

    Args:
        kind: what is listed.
        records: candidates, in any order.
        request: the List operation's input: filters, sorting, `MaxResults`, `NextToken`.
        status: the member that `StatusEquals` compares.
        newest_first: how the operation sorts where the request does not say.
        name: the member that `NameContains` and sorting by name use; the kind's name when left out.
    """
    name = name or kind.name
    found = [record for record in records if _fits(record, request, name, status)]
    sort_by = {"Name": name, "Status": status}.get(request.get("SortBy", ""), "CreationTime")
    order = request.get("SortOrder", "Descending" if newest_first else "Ascending")
    found.sort(key=lambda record: record.get(sort_by, ""), reverse=order == "Descending")
    start = _offset(request.get("NextToken"))
    size = request.get("MaxResults", _DEFAULT_PAGE.get(kind.shape, _PAGE))
    more = start + size < len(found)
    return found[start : start + size], _token(start + size) if more else None


def _fits(record: Record, request: Record, name: str, status: str) -> bool:
    if request.get("NameContains", "").lower() not in str(record.get(name, "")).lower():
        return False
    if "StatusEquals" in request and record.get(status) != request["StatusEquals"]:
        return False
    for member in ("CreationTime", "LastModifiedTime"):
        value: Any = record.get(member, record["CreationTime"])
        if value < request.get(f"{member}After", value) or value > request.get(f"{member}Before", value):
            return False
    return True


def _token(offset: int) -> str:
    return base64.urlsafe_b64encode(json.dumps({"offset": offset}).encode()).decode()


def _offset(token: str | None) -> int:
    if token is None:
        return 0
    try:
        return int(json.loads(base64.urlsafe_b64decode(token))["offset"])
    except (ValueError, KeyError, TypeError) as fault:
        raise ServiceError(
            "ValidationException", "NextToken is not one that this operation returned"
        ) from fault
