"""The API of a deployed environment as its callers meet it: every operation, through every layer (R22)."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any

import pytest
import requests

from tests.api.caller import Caller
from tests.api.conftest import World
from tests.lambda_src import odd_images as odd
from tests.lambda_src.contract import document, matches, resolved

PNG = odd.saved(odd.gradient(8, 8, "L"), "PNG")
BASE64 = base64.b64encode(PNG).decode()
LATER_SECONDS = 30


def documented(answer: requests.Response, path: str) -> Any:
    """The answer's body, which must be as the document says."""
    operation = document()["paths"][path][str(answer.request.method).lower()]
    response = resolved(operation["responses"][str(answer.status_code)])
    media_type = answer.headers["Content-Type"].partition(";")[0]
    body = answer.json()
    assert matches(response["content"][media_type]["schema"], body) == []
    assert body.get("request_id", answer.headers["x-amzn-RequestId"])
    return body


def problem(answer: requests.Response, status: int, kind: str, field: str | None = None) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")
    body = answer.json()
    assert body["type"].rpartition(":")[2] == kind if body["type"] != "about:blank" else body["title"] == kind
    assert (body["request_id"], body.get("field")) == (answer.headers["x-amzn-RequestId"], field)
    return body


class TestPredictions:
    def test_image_bytes_and_base64_get_the_same_prediction(self, owner: Caller) -> None:
        first = documented(owner.image(PNG), "/v1/predictions")
        second = documented(owner.call("POST", "/v1/predictions", json={"image": BASE64}), "/v1/predictions")
        assert first["probabilities"] == second["probabilities"]
        assert first["request_id"] != second["request_id"]

    def test_several_images_are_answered_each(self, owner: Caller) -> None:
        answer = owner.call("POST", "/v1/predictions", json={"images": [BASE64, "****", BASE64]})
        body = documented(answer, "/v1/predictions")
        assert ["label" in each for each in body["predictions"]] == [True, False, True]
        assert body["predictions"][1]["problem"]["field"] == "images[1]"

    def test_repetition_is_answered_once(self, owner: Caller) -> None:
        key = uuid.uuid4().hex
        first, second = owner.image(PNG, Idempotency_Key=key), owner.image(PNG, Idempotency_Key=key)
        assert documented(second, "/v1/predictions") == first.json()
        assert second.headers["Idempotent-Replayed"] == "true"
        problem(owner.image(PNG + b" ", Idempotency_Key=key), 422, "key-reused", "Idempotency-Key")

    def test_repetitions_at_the_same_time_ask_once(self, owner: Caller, world: World) -> None:
        from concurrent.futures import ThreadPoolExecutor

        key = uuid.uuid4().hex
        callers = [world.caller(owner.session.auth._signer.credentials) for _ in range(6)]
        with ThreadPoolExecutor(6) as pool:
            answers = list(pool.map(lambda each: each.image(PNG, Idempotency_Key=key), callers))
        assert {each.status_code for each in answers} <= {200, 409}
        told = {each.json()["request_id"] for each in answers if each.status_code == 200}
        assert len(told) == 1

    @pytest.mark.parametrize(
        ("body", "media_type", "status", "kind", "field"),
        [
            (b"{", "application/json", 400, "BAD_REQUEST_BODY", "body"),
            (b"{}", "application/json", 400, "BAD_REQUEST_BODY", "body"),
            (b'{"image": "x", "more": 1}', "application/json", 400, "BAD_REQUEST_BODY", "body"),
            (b'{"images": []}', "application/json", 400, "bad-json", "images"),
            (b"seven", "image/png", 400, "image-not-an-image", "body"),
            (PNG, "text/plain", 415, "unsupported-media-type", "Content-Type"),
            (b"", "image/png", 400, "missing-body", "body"),
            (b"x" * (10 * 1024 * 1024 + 1), "image/png", 413, "REQUEST_TOO_LARGE", None),
        ],
    )
    def test_bad_input_names_its_field(  # noqa: PLR0917
        self, owner: Caller, body: bytes, media_type: str, status: int, kind: str, field: str | None
    ) -> None:
        answer = owner.call("POST", "/v1/predictions", data=body, headers={"Content-Type": media_type})
        problem(answer, status, kind, field)


class TestLater:
    def test_submitted_image_is_predicted_by_and_by(self, owner: Caller) -> None:
        accepted = owner.image(PNG, "/v1/predictions:submit")
        body = documented(accepted, "/v1/predictions:submit")
        assert accepted.headers["Location"] == f"/v1/predictions/{body['id']}"
        assert _result(owner, body["id"])["status"] == "DONE"

    def test_upload_is_predicted_by_and_by(self, owner: Caller) -> None:
        form = _form(owner, "image/png")
        assert _send(form, PNG) == 204
        assert _result(owner, form["id"])["status"] == "DONE"

    def test_uploaded_nonsense_is_rejected_with_its_reason(self, owner: Caller) -> None:
        form = _form(owner, "image/png")
        assert _send(form, b"seven") == 204
        result = _result(owner, form["id"])
        assert (result["status"], result["problem"]["type"].rpartition(":")[2]) == (
            "REJECTED",
            "image-not-an-image",
        )

    @pytest.mark.parametrize(
        ("changed", "data", "status"),
        [
            ({"key": "uploads/p-0"}, PNG, 403),
            ({"key": "submitted/p-0"}, PNG, 403),
            ({"Content-Type": "text/html"}, PNG, 403),
            ({"x-amz-meta-more": "1"}, PNG, 403),
            ({"acl": "public-read"}, PNG, 403),
            ({"success_action_redirect": "https://evil.example"}, PNG, 403),
            ({"policy": "e30="}, PNG, 403),
            ({}, b"", 400),
            ({}, None, 400),
        ],
    )
    def test_form_can_be_used_for_nothing_else(
        self, owner: Caller, changed: dict[str, str], data: bytes | None, status: int
    ) -> None:
        form = _form(owner, "image/png")
        sent = b"x" * (form["max_bytes"] + 1) if data is None else data
        assert _send({**form, "fields": {**form["fields"], **changed}}, sent) == status
        assert owner.call("GET", f"/v1/predictions/{form['id']}").status_code == 404

    def test_form_is_of_no_use_after_its_time(self, owner: Caller) -> None:
        form = _form(owner, "image/png")
        policy = json.loads(base64.b64decode(form["fields"]["policy"]))
        left = time.mktime(time.strptime(policy["expiration"], "%Y-%m-%dT%H:%M:%SZ")) - time.mktime(
            time.gmtime()
        )
        assert 0 < left <= 300

    def test_unknown_prediction_is_a_404(self, owner: Caller) -> None:
        problem(owner.call("GET", f"/v1/predictions/p-{uuid.uuid4().hex}"), 404, "no-such-prediction", "id")


class TestAround:
    def test_model_is_told(self, owner: Caller) -> None:
        body = documented(owner.call("GET", "/v1/model"), "/v1/model")
        assert body["model_version"] == owner.image(PNG).json()["model_version"]
        assert "accuracy" in body["metrics"]

    def test_document_is_served_with_the_apis_address(self, owner: Caller) -> None:
        served = owner.call("GET", "/openapi.json").json()
        assert served["servers"] == [{"url": owner.url}]
        assert set(served["paths"]) == set(document()["paths"])

    def test_label_is_taken_for_a_prediction(self, owner: Caller) -> None:
        prediction = owner.image(PNG).json()
        label = {"prediction_id": prediction["request_id"], "label": prediction["label"]}
        body = documented(owner.call("POST", "/v1/feedback", json=label), "/v1/feedback")
        assert body["status"] in ("counted", "pending")


class TestCallers:
    def test_nobody_gets_in_without_a_signature(self, world: World) -> None:
        stranger = world.caller(None)
        for path, item in document()["paths"].items():
            for method in item:
                answer = stranger.call(method.upper(), path.replace("{id}", "p-0123456789"))
                problem(answer, 403, "MISSING_AUTHENTICATION_TOKEN")

    def test_smoke_tests_reach_the_smoke_model_alone(self, world: World) -> None:
        iam = world.platform.client("iam")
        role = next(each for each in iam.list_roles()["Roles"] if each["RoleName"] == "vision-dev-smoke")
        statement = json.loads(json.dumps(role["AssumeRolePolicyDocument"]))["Statement"][0]
        statement.pop("Condition", None)
        statement["Principal"] = {"AWS": role["Arn"].replace("role/vision-dev-smoke", "root")}
        iam.update_assume_role_policy(
            RoleName=role["RoleName"],
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )
        smoke = world.caller(world.session(role["Arn"]))
        assert problem(smoke.image(PNG), 403, "ACCESS_DENIED")
        assert smoke.image(PNG, "/v1/smoke/predictions").status_code == 503  # there is no smoke model
        problem(smoke.call("GET", "/v1/smoke/predictions/p-0123456789"), 404, "no-such-prediction", "id")


def _form(owner: Caller, media_type: str) -> dict[str, Any]:
    return documented(owner.call("POST", "/v1/uploads", json={"content_type": media_type}), "/v1/uploads")


def _send(form: dict[str, Any], data: bytes) -> int:
    """Post a form as a browser does: to S3, without any credentials but the form's own."""
    with requests.Session() as session:
        session.trust_env = False
        return session.post(
            form["url"], data=form["fields"], files={"file": data}, timeout=60, allow_redirects=False
        ).status_code


def _result(owner: Caller, id: str) -> dict[str, Any]:
    deadline = time.monotonic() + LATER_SECONDS
    while time.monotonic() < deadline:
        answer = owner.call("GET", f"/v1/predictions/{id}")
        body = documented(answer, "/v1/predictions/{id}")
        if answer.status_code == 200 and body["status"] != "QUEUED":
            return body
        time.sleep(0.2)
    raise AssertionError(f"no result within {LATER_SECONDS} s: {answer.text}")
