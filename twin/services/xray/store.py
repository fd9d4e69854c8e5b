"""Keeps the newest traces of every account and region, and puts subsegments that came alone into place."""

import copy
import threading
from collections import OrderedDict
from typing import Any

from twin import glue

Document = dict[str, Any]
# AWS keeps traces for 30 days; the twin keeps the newest of them.
TRACES_KEPT = 1000


class TraceStore:
    """Segment documents by trace; safe against concurrent use, and persisted by the server."""

    def __init__(self) -> None:
        """Start empty."""
        self._places: dict[tuple[str, str], OrderedDict[str, dict[str, Document]]] = {}
        self._lock = threading.Lock()

    def put(self, document: Document) -> None:
        """Take one segment or subsegment of the current account and region; a newer one replaces its like."""
        with self._lock:
            traces = self._here()
            traces.setdefault(document["trace_id"], {})[document["id"]] = document
            while len(traces) > TRACES_KEPT:
                traces.popitem(last=False)

    def segments(self, trace_id: str) -> list[Document]:
        """Return the segments of a trace by their start, each with its subsegments inside.

        A subsegment whose segment has not come (yet) is left out, as X-Ray does.
        """
        with self._lock:
            documents = copy.deepcopy(self._here().get(trace_id, {}))
        known: dict[str, Document] = {}
        for document in documents.values():
            _walk(document, known)
        for document in documents.values():
            parent = known.get(document.get("parent_id", ""))
            if document.get("type") == "subsegment" and parent is not None:
                parent.setdefault("subsegments", []).append(document)
        found = [document for document in documents.values() if document.get("type") != "subsegment"]
        return sorted(found, key=lambda document: document["start_time"])

    def begun(self, start: float, end: float) -> list[str]:
        """Return the ids of the traces that began between two epoch seconds."""
        with self._lock:
            starts = {
                trace_id: [one["start_time"] for one in documents.values() if one.get("type") != "subsegment"]
                for trace_id, documents in self._here().items()
            }
        return [trace_id for trace_id, times in starts.items() if times and start <= min(times) <= end]

    def _here(self) -> OrderedDict[str, dict[str, Document]]:
        here = glue.current_scope()
        return self._places.setdefault((here.account, here.region), OrderedDict())

    def get_state(self) -> Any:
        """Return everything, JSON-able."""
        with self._lock:
            return [[*place, list(traces.items())] for place, traces in copy.deepcopy(self._places).items()]

    def load_persisted_state(self, data: Any, /) -> None:
        """Take up what `get_state` returned before the stop."""
        with self._lock:
            self._places = {(account, region): OrderedDict(traces) for account, region, traces in data}

    def reset(self) -> None:
        """Forget every trace."""
        with self._lock:
            self._places.clear()


def _walk(document: Document, known: dict[str, Document]) -> None:
    known[document["id"]] = document
    for inner in document.get("subsegments", []):
        _walk(inner, known)


store = TraceStore()
