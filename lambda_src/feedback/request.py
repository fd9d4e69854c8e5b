"""Takes a label out of an API Gateway event; everything a caller can get wrong becomes a Problem."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from labels import Told

from vision_runtime.json_request import bad_json, read_object
from vision_runtime.problem import Problem

MOST_BYTES = 16 * 1024
FIELDS = ("prediction_id", "label", "labelled_at", "source")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._:@/-]{0,63}")
# RFC 3339, which asks for a zone: without one nobody knows which of two labels is the later.
_TIME = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
# A label from the future could not be corrected before it; clocks differ by this much at most.
CLOCK_SKEW = timedelta(minutes=5)


def read_label(event: Mapping[str, Any], classes: Sequence[str], now: datetime) -> Told:
    """The label of a request; its prediction may not be known yet. Raises Problem."""
    fields = read_object(event, most_bytes=MOST_BYTES)
    for name in fields:
        if name not in FIELDS:
            raise bad_json(name[:64], f"the field {name[:64]!r} is unknown; there are {', '.join(FIELDS)}")
    source = fields.get("source")
    if source is not None and not (isinstance(source, str) and _SOURCE.fullmatch(source)):
        raise bad_json("source", "it must be a name of 1 to 64 letters, digits, spaces and ._:@/-")
    return Told(
        prediction_id=_prediction_id(fields),
        label=_label(fields, classes),
        labelled_at=_labelled_at(fields, now),
        source=source,
    )


def _prediction_id(fields: Mapping[str, Any]) -> str:
    value = _text(fields, "prediction_id")
    if not _ID.fullmatch(value):
        raise bad_json(
            "prediction_id",
            "it must be the id that came with the prediction: 1 to 128 letters, digits and ._:-",
        )
    return value


def _label(fields: Mapping[str, Any], classes: Sequence[str]) -> str:
    value = _text(fields, "label")
    if value not in classes:
        known = ", ".join(repr(each) for each in classes[:50])
        more = "" if len(classes) <= 50 else f" and {len(classes) - 50} more"
        raise Problem(
            "unknown-label",
            "The label is no class of the model",
            400,
            f"{value[:64]!r} is no class; there are {known}{more}",
            field="label",
        )
    return value


def _labelled_at(fields: Mapping[str, Any], now: datetime) -> datetime | None:
    value = fields.get("labelled_at")
    if value is None:
        return None
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        raise bad_json("labelled_at", "it must be a time with its zone, such as 2026-11-30T12:00:00Z")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise bad_json("labelled_at", f"there is no such time: {error}") from error
    if moment > now + CLOCK_SKEW:
        raise bad_json("labelled_at", "it lies in the future; send when the label was decided")
    return moment


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise bad_json(name, f"the field {name!r} is missing or not a text")
    return value
