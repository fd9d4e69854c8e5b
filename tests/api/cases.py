"""Requests drawn from the API's document, good and bad, and what the API answered to each."""

from __future__ import annotations

import base64
import io
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.api.caller import Caller

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
)
IMAGE_TYPES = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@dataclass
class Tally:
    """What was sent and answered: by operation and status, and what was not as documented."""

    answers: Counter[tuple[str, int]] = field(default_factory=Counter[tuple[str, int]])
    faults: list[str] = field(default_factory=list[str])

    @property
    def sent(self) -> int:
        return sum(self.answers.values())

    def table(self) -> str:
        """As Markdown: one line per operation, one column per status."""
        statuses = sorted({status for _, status in self.answers})
        names = sorted({name for name, _ in self.answers})
        lines = [
            "| operation | " + " | ".join(map(str, statuses)) + " | all |",
            "|---|" + "---|" * (len(statuses) + 1),
        ]
        for name in names:
            counts = [self.answers[name, status] for status in statuses]
            lines.append(f"| {name} | " + " | ".join(map(str, counts)) + f" | {sum(counts)} |")
        return "\n".join(lines)


@st.composite
def images(draw: st.DrawFn, format: str) -> bytes:
    """Mostly images, some of them cut or spoilt, and some bytes that are none."""
    kind = draw(st.sampled_from(["good", "good", "cut", "spoilt", "bytes"]))
    if kind == "bytes":
        return draw(st.binary(max_size=2000))
    mode = draw(st.sampled_from(["L", "RGB"]))
    size = draw(st.tuples(st.integers(1, 64), st.integers(1, 64)))
    stream = io.BytesIO()
    Image.new(mode, size, draw(st.integers(0, 255))).save(stream, format)
    data = stream.getvalue()
    if kind == "cut":
        return data[: draw(st.integers(0, len(data)))]
    if kind == "spoilt":
        place = draw(st.integers(0, len(data) - 1))
        return data[:place] + bytes([draw(st.integers(0, 255))]) + data[place + 1 :]
    return data


def register_images() -> None:
    """Let schemathesis draw bodies of the image types, and base64 that may hold an image."""
    for media_type, format in IMAGE_TYPES.items():
        schemathesis.openapi.media_type(media_type, images(format))
    schemathesis.openapi.format("byte", images("PNG").map(lambda data: base64.b64encode(data).decode()))


def draw_cases(caller: Caller, document: dict[str, Any], per_operation: int, mark: int) -> Tally:
    """Send about `per_operation` requests to each operation. The same `mark` draws the same requests."""
    register_images()
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=caller.url)
    tally = Tally()
    for found in schema.get_all_operations():
        for mode in MODES:
            _draw(caller, found.ok(), mode, count=per_operation // len(MODES), mark=mark, tally=tally)
    return tally


def _draw(
    caller: Caller, operation: Any, mode: GenerationMode, *, count: int, mark: int, tally: Tally
) -> None:
    name = f"{operation.method.upper()} {operation.path}"

    @seed(mark)
    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        response = case.call(session=caller.session, timeout=60)
        tally.answers[name, response.status_code] += 1
        checks = [check for check in CHECKS if check is not not_a_server_error or not _no_model(response)]
        try:
            case.validate_response(response, checks=checks)
        except BaseException as fault:
            if isinstance(fault, KeyboardInterrupt):
                raise
            tally.faults.append(f"{name} [{mode.value}]: {fault}"[:3000])
        if not response.headers.get("x-amzn-requestid"):
            tally.faults.append(f"{name}: no x-amzn-RequestId")

    try:
        send()
    except Exception as fault:
        tally.faults.append(f"{name} [{mode.value}] cannot be drawn: {type(fault).__name__}: {fault}"[:1500])


def _no_model(response: Any) -> bool:
    """Whether no model was there to ask: smoke tests alone bring one to their paths, and take it away."""
    return response.status_code == 503 and b"urn:vision:problem:no-model" in response.content
