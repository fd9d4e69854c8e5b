"""Bad input gets a clear 4xx that names the field, and never reaches the endpoint (R35)."""

import base64
from collections.abc import Callable
from typing import Any

import pytest

from tests.lambda_src import odd_images as odd
from tests.lambda_src.predict.requests_and_answers import DIGIT, as_json, assert_problem, event


class TestBadInput:
    """Nothing here reaches the endpoint: the stub has nothing announced and would raise."""

    def test_missing_body(self, ask: Callable[..., Any]) -> None:
        assert_problem(ask(event(None)), 400, "missing-body", "body")
        assert_problem(ask(event("", "application/json")), 400, "missing-body", "body")

    @pytest.mark.parametrize(
        "content_type", ["text/plain", "image/gif", "application/octet-stream", "", None]
    )
    def test_other_media_types(self, ask: Callable[..., Any], content_type: str | None) -> None:
        assert_problem(ask(event(DIGIT, content_type)), 415, "unsupported-media-type", "Content-Type")

    @pytest.mark.parametrize(
        ("data", "status", "kind"),
        [
            (b"seven, I think", 400, "image-not-an-image"),
            (DIGIT[:-20], 400, "image-truncated"),
            (odd.animated("PNG"), 400, "image-animated"),
            (odd.png(30_000, 30_000, 8, 0, b""), 400, "image-too-large"),
            (odd.many_scans(40), 400, "image-too-many-scans"),
            (odd.saved(odd.gradient(), "TIFF"), 415, "image-unsupported-format"),
            (b"\xff\xd8\xff" + bytes(4 * 1024 * 1024), 413, "image-too-many-bytes"),
        ],
    )
    def test_unacceptable_images(self, ask: Callable[..., Any], data: bytes, status: int, kind: str) -> None:
        assert_problem(ask(event(data)), status, kind, "body")
        assert_problem(ask(as_json(image=base64.b64encode(data).decode())), status, kind, "image")

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ("{", "body"),
            ("[" * 100_000, "body"),
            ('{"image": ' + "9" * 5000 + "}", "body"),
            ('"image"', "body"),
            ("[]", "body"),
            ("{}", "image"),
            ('{"image": ""}', "image"),
            ('{"image": 7}', "image"),
            ('{"image": null}', "image"),
            ('{"image": "***"}', "image"),
            ('{"image": "\\ud800"}', "image"),
            ('{"image": "iVBOR"}', "image"),
            ('{"image": "data:image/png;base64,iVBORw0KGgo="}', "image"),
            ('{"image": "aGk=", "size": 3}', "size"),
        ],
    )
    def test_json_that_cannot_be_used(self, ask: Callable[..., Any], body: str, field: str) -> None:
        assert_problem(ask(event(body, "application/json")), 400, "bad-json", field)

    def test_bytes_that_are_not_utf8_as_json(self, ask: Callable[..., Any]) -> None:
        assert_problem(ask(event(b"\xff\xfe\x80", "application/json")), 400, "bad-json", "body")

    def test_broken_base64_of_the_body(self, ask: Callable[..., Any]) -> None:
        broken = event(DIGIT) | {"body": "abc"}
        assert_problem(ask(broken), 400, "bad-body", "body")

    def test_image_that_came_as_text(self, ask: Callable[..., Any]) -> None:
        """As it arrives when somebody removes the binary media types from the API."""
        text = event(DIGIT.decode("utf-8", "replace")) | {"isBase64Encoded": False}
        assert_problem(ask(text), 400, "image-not-an-image", "body")

    def test_path_that_is_not_served(self, ask: Callable[..., Any]) -> None:
        assert_problem(ask(event(DIGIT, path="/v1/else")), 404, "not-found", "path")

    def test_refusal_is_counted_as_one(
        self, ask: Callable[..., Any], capsys: pytest.CaptureFixture[str]
    ) -> None:
        ask(event(b"seven, I think"))
        assert '"RejectedRequests":[1.0]' in capsys.readouterr().out.replace(" ", "")
