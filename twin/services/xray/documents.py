"""What a segment document must hold to be taken."""

import re
from typing import Any

_NEEDED = {"name": str, "id": str, "trace_id": str, "start_time": (int, float)}
_SHAPES = {"id": re.compile(r"[0-9a-f]{16}"), "trace_id": re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")}


def fault_of(document: Any) -> str:
    """Return what is wrong with a segment document; empty when nothing is."""
    if not isinstance(document, dict):
        return "not an object"
    for name, kind in _NEEDED.items():
        if not isinstance(document.get(name), kind):
            return f"{name} is missing or of the wrong type"
        if name in _SHAPES and not _SHAPES[name].fullmatch(document[name]):
            return f"{name} is malformed"
    if "end_time" not in document and not document.get("in_progress"):
        return "neither end_time nor in_progress"
    return ""
