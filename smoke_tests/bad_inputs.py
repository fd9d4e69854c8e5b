"""Sends what no caller should send, and expects a refusal that tells the caller what is wrong."""

from collections.abc import Callable
from dataclasses import dataclass

from smoke_tests.answers import FUNCTION_PROBLEMS, read_refusal
from smoke_tests.api import Answer, Api
from smoke_tests.faults import CheckFailed
from smoke_tests.journal import require

# A document that many people really do upload by mistake.
_PDF = b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"


@dataclass(frozen=True)
class BadInput:
    """One thing that the API must refuse; `body` gets a good PNG image to spoil."""

    name: str
    title: str
    content_type: str
    body: Callable[[bytes], bytes]


@dataclass(frozen=True)
class Refusal:
    """What the API answered to a bad input."""

    bad_input: BadInput
    status: int
    title: str
    detail: str
    request_id: str
    faults: tuple[str, ...]
    by_function: bool = False  # not by the gateway in front of it


BAD_INPUTS = (
    BadInput("not-an-image", "A PDF that says it is a PNG", "image/png", lambda _: _PDF),
    BadInput("truncated-png", "A PNG cut off in the middle", "image/png", lambda png: png[: len(png) // 2]),
    BadInput("text-as-jpeg", "Plain text that says it is a JPEG", "image/jpeg", lambda _: b"seven, I think"),
    BadInput("wrong-content-type", "A good PNG sent as text/plain", "text/plain", lambda png: png),
    BadInput(
        "json-without-image", "JSON without an image", "application/json", lambda _: b'{"picture": "7"}'
    ),
)


def send(api: Api, bad_input: BadInput, good_png: bytes) -> Refusal:
    """Send one bad input; never tried twice, because a refusal must come at once."""
    answer = api.post(bad_input.body(good_png), bad_input.content_type, tries=1)
    body, faults = read_refusal(answer)
    return Refusal(
        bad_input=bad_input,
        status=answer.status,
        title=body.title if body else "",
        detail=body.detail if body else "",
        request_id=body.request_id if body else "",
        faults=tuple(faults),
        by_function=body is not None and body.type.startswith(FUNCTION_PROBLEMS),
    )


def require_refused(refusal: Refusal) -> str:
    """Fail unless the refusal is one that helps the caller; return it in short."""
    if refusal.faults:
        raise CheckFailed("; ".join(refusal.faults))
    return f"{refusal.status} {refusal.title}"


def require_unsigned_refused(answer: Answer) -> str:
    """Fail unless a call without a signature was turned away; return the answer in words."""
    require(
        answer.status == 403,
        f"an unsigned call was answered with {answer.status}; anybody on the internet could call the model",
    )
    return "403 for a call without a signature"
