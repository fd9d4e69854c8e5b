"""Checks events of the platform against their documented schemas, as strictly as a sender has to be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "events"
SOURCE = "vision.platform"

Record = dict[str, Any]


@cache
def schemas() -> dict[str, Record]:
    """The newest schema of each kind of event, by detail-type."""
    found: dict[str, Record] = {}
    for path in sorted(FOLDER.glob("*.json"), key=lambda path: (path.name.split(".v")[0], version_of(path))):
        schema = json.loads(path.read_text())
        found[schema["title"]] = schema
    return found


def version_of(path: Path) -> int:
    """The version in a schema's file name, `<kind>.v<version>.json`."""
    return int(path.name.removesuffix(".json").rsplit(".v", 1)[1])


def detail_of(kind: str) -> Record:
    """The schema of a kind's detail: its `properties` and `required` keys."""
    return schemas()[kind]["properties"]["detail"]


def faults(event: Record) -> list[str]:
    """What is wrong with an event as a subscriber gets it; empty when it is as documented.

    Stricter than the schemas, which let subscribers pass keys that they do not know: a sender documents all.
    """
    kind = str(event.get("detail-type"))
    if kind not in schemas():
        return [f"{kind}: no schema in docs/events; there are {', '.join(schemas())}"]
    schema = schemas()[kind]
    wrong = sorted(Draft202012Validator(schema).iter_errors(event), key=lambda each: list(each.absolute_path))
    found = [f"{kind}: {'.'.join(map(str, each.absolute_path)) or 'event'}: {each.message}" for each in wrong]
    return found + [f"{kind}: {path}: is not documented" for path in _unknown(event, schema, "")]


def check(events: Iterable[Record]) -> int:
    """Raises AssertionError naming every fault of the platform's own events; answers how many there were.

    Events of other sources, which a rule on every event of the bus sees too, are passed over.
    """
    own = [event for event in events if event.get("source") == SOURCE]
    wrong = [fault for event in own for fault in faults(event)]
    assert not wrong, "events are not as docs/events says:\n" + "\n".join(wrong)
    return len(own)


def _unknown(value: Any, schema: Record, path: str) -> Iterator[str]:
    """Keys below `detail` that the schema does not name, where it names keys at all."""
    known = schema.get("properties")
    if not isinstance(value, dict) or known is None:
        return
    for key, inner in value.items():
        if key in known:
            yield from _unknown(inner, known[key], f"{path}.{key}".lstrip("."))
        elif path:
            yield f"{path}.{key}"
