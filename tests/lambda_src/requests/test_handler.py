"""What is asked around predictions: routes, uploads, the model, the document, browsers (R22, R35)."""

import base64
import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from tests.lambda_src.contract import assert_accepted, assert_documented, document
from tests.lambda_src.requests.conftest import VARIABLES

REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"
MIB = 1024 * 1024
ORIGIN = "https://app.example.com"
CHAMPION = {
    "model_package_arn": {
        "S": "arn:aws:sagemaker:us-east-1:222222222222:model-package/vision-dev-champion/3"
    },
    "run_id": {"S": "r-1"},
    "dataset": {"S": "digits#v1"},
    "promoted_at": {"S": "2026-11-30T12:00:00.000Z"},
}


class Table:
    """The lineage table's items by pk and sk."""

    def __init__(self) -> None:
        self.items: dict[tuple[str, str], dict[str, Any]] = {}
        self.away = False

    def get_item(self, *, TableName: str, Key: dict[str, Any]) -> dict[str, Any]:
        if self.away:
            raise ClientError({"Error": {"Code": "ThrottlingException", "Message": ""}}, "GetItem")
        item = self.items.get((Key["pk"]["S"], Key["sk"]["S"]))
        return {} if item is None else {"Item": item}


@pytest.fixture(scope="session")
def function(
    load_function: Callable[..., ModuleType], tmp_path_factory: pytest.TempPathFactory
) -> ModuleType:
    made = load_function(
        "requests",
        **VARIABLES,
        LINEAGE_TABLE="lineage",
        UPLOAD_MAX_BYTES=str(20 * MIB),
        ALLOWED_ORIGINS=f"{ORIGIN} https://other.example.com",
    )
    # As packaging makes it of the YAML.
    made.document.PATH = tmp_path_factory.mktemp("package") / "openapi.json"
    made.document.PATH.write_text(json.dumps(document()))
    return made


@pytest.fixture
def lineage(function: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Table:
    table = Table()
    monkeypatch.setattr(function.champion, "dynamodb", table)
    return table


@pytest.fixture
def call(function: ModuleType, context: SimpleNamespace) -> Callable[..., SimpleNamespace]:
    """One request, whose answer must be one that the document describes."""

    def send(method: str, path: str, body: Any = None, **headers: str) -> SimpleNamespace:
        event = {
            "resource": path,
            "path": path,
            "httpMethod": method,
            "headers": {"Content-Type": "application/json", **headers},
            "body": body if isinstance(body, str) or body is None else json.dumps(body),
            "isBase64Encoded": False,
            "requestContext": {
                "requestId": REQUEST_ID,
                "domainName": "abc.execute-api.us-east-1.amazonaws.com",
                "path": f"/live{path}",
            },
        }
        answer = function.handler(event, context)
        if method.lower() in document()["paths"].get(path, {}):
            assert_documented(method, path, answer)
        text = answer["body"]
        return SimpleNamespace(
            status=answer["statusCode"], headers=answer["headers"], body=json.loads(text) if text else None
        )

    return send


def test_every_operation_of_the_document_is_answered_somewhere(function: ModuleType) -> None:
    described = {
        (method.upper(), path)
        for path, item in document()["paths"].items()
        for method in item
        if path not in ("/v1/predictions", "/v1/smoke/predictions", "/v1/feedback")
    }
    assert set(function.ROUTES) == described


def test_path_that_is_not_served_is_a_problem(call: Callable[..., Any]) -> None:
    answer = call("GET", "/v1/else")
    assert (answer.status, answer.body["type"]) == (404, "urn:vision:problem:not-found")
    assert answer.body["request_id"] == REQUEST_ID


class TestUploads:
    def test_form_is_bound_to_key_type_size_and_time(self, call: Callable[..., Any]) -> None:
        assert_accepted("POST", "/v1/uploads", {"content_type": "image/jpeg"})
        answer = call("POST", "/v1/uploads", {"content_type": "image/jpeg"})
        assert answer.status == 201
        fields, id = answer.body["fields"], answer.body["id"]
        assert (fields["key"], fields["Content-Type"]) == (f"uploads/{id}", "image/jpeg")
        policy = json.loads(base64.b64decode(fields["policy"]))
        assert {"key": f"uploads/{id}"} in policy["conditions"]
        assert {"bucket": VARIABLES["UPLOADS_BUCKET"]} in policy["conditions"]
        assert {"Content-Type": "image/jpeg"} in policy["conditions"]
        assert ["content-length-range", 1, 20 * MIB] in policy["conditions"]
        assert not [
            each for each in policy["conditions"] if isinstance(each, list) and each[0] == "starts-with"
        ]
        assert answer.body["max_bytes"] == 20 * MIB
        assert answer.body["expires_at"] == policy["expiration"]

    def test_address_is_the_buckets_own_in_its_region(self, call: Callable[..., Any]) -> None:
        url = urlsplit(call("POST", "/v1/uploads", {"content_type": "image/png"}).body["url"])
        assert url.scheme == "https"
        assert url.netloc == f"{VARIABLES['UPLOADS_BUCKET']}.s3.us-east-1.amazonaws.com"

    def test_each_form_has_an_id_of_its_own(self, call: Callable[..., Any]) -> None:
        ids = {call("POST", "/v1/uploads", {"content_type": "image/png"}).body["id"] for _ in range(5)}
        assert len(ids) == 5

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ("{", "body"),
            ("[]", "body"),
            ("{}", "content_type"),
            ({"content_type": "image/gif"}, "content_type"),
            ({"content_type": 7}, "content_type"),
            ({"content_type": "image/png", "key": "x"}, "key"),
        ],
    )
    def test_bad_bodies_name_their_field(self, call: Callable[..., Any], body: Any, field: str) -> None:
        answer = call("POST", "/v1/uploads", body)
        assert (answer.status, answer.body["field"]) == (400, field)

    def test_body_of_another_type_is_refused(self, call: Callable[..., Any]) -> None:
        answer = call("POST", "/v1/uploads", "x=1", **{"Content-Type": "text/plain"})
        assert (answer.status, answer.body["field"]) == (415, "Content-Type")

    def test_missing_body_is_refused(self, call: Callable[..., Any]) -> None:
        assert call("POST", "/v1/uploads").status == 400


class TestModel:
    def test_champion_is_told_with_what_its_run_measured(
        self, call: Callable[..., Any], lineage: Table
    ) -> None:
        lineage.items["LINE#champion", "CHAMPION"] = CHAMPION
        measured = json.dumps({"accuracy": 0.98, "macro_f1": 0.97, "passed": True, "per_class": {"1": 1}})
        lineage.items["RUN#r-1", "RUN"] = {"metrics": {"S": measured}, "accuracy": {"N": "0.98"}}
        answer = call("GET", "/v1/model")
        assert answer.status == 200
        assert answer.body["metrics"] == {"accuracy": 0.98, "macro_f1": 0.97}
        assert (answer.body["run"], answer.body["dataset"]) == ("r-1", "digits#v1")
        assert answer.body["input"] == {"width": 16, "height": 16, "channels": 1}
        assert answer.body["classes"] == [str(digit) for digit in range(10)]

    def test_model_of_another_environment_has_no_measures_here(
        self, call: Callable[..., Any], lineage: Table
    ) -> None:
        lineage.items["LINE#champion", "CHAMPION"] = CHAMPION
        assert call("GET", "/v1/model").body["metrics"] == {}

    def test_nothing_promoted_yet_is_a_404(self, call: Callable[..., Any], lineage: Table) -> None:
        assert call("GET", "/v1/model").status == 404

    def test_table_that_is_away_is_a_503_that_says_when(
        self, call: Callable[..., Any], lineage: Table
    ) -> None:
        lineage.away = True
        answer = call("GET", "/v1/model")
        assert (answer.status, answer.body["type"]) == (503, "urn:vision:problem:unavailable")
        assert int(answer.headers["Retry-After"]) > 0


class TestDocument:
    def test_document_is_the_one_source_with_its_address(self, call: Callable[..., Any]) -> None:
        served = call("GET", "/openapi.json").body
        assert served["servers"] == [{"url": "https://abc.execute-api.us-east-1.amazonaws.com/live"}]
        assert {**served, "servers": document()["servers"]} == json.loads(json.dumps(document()))

    def test_callers_with_keys_are_told_so(
        self, function: ModuleType, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("API_AUTH", "key")
        function.document._document.cache_clear()
        try:
            assert call("GET", "/openapi.json").body["security"] == [{"key": []}]
        finally:
            function.document._document.cache_clear()


class TestBrowsers:
    def test_allowed_origin_may_ask_and_read(self, call: Callable[..., Any]) -> None:
        allowed = call("OPTIONS", "/v1/uploads", Origin=ORIGIN)
        assert (allowed.status, allowed.headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)
        assert "Idempotency-Key" in allowed.headers["Access-Control-Allow-Headers"]
        answer = call("POST", "/v1/uploads", {"content_type": "image/png"}, Origin=ORIGIN)
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["Vary"] == "Origin"

    @pytest.mark.parametrize("origin", ["https://evil.example.com", "null", f"{ORIGIN}.evil.example"])
    def test_other_origins_are_told_nothing(self, call: Callable[..., Any], origin: str) -> None:
        for answer in (
            call("OPTIONS", "/v1/uploads", Origin=origin),
            call("GET", "/openapi.json", Origin=origin),
        ):
            assert "Access-Control-Allow-Origin" not in answer.headers

    def test_problems_can_be_read_too(self, call: Callable[..., Any]) -> None:
        answer = call("POST", "/v1/uploads", "{", Origin=ORIGIN)
        assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (400, ORIGIN)

    def test_unexpected_failure_is_an_answer_without_its_insides(
        self, function: ModuleType, call: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any) -> None:
            raise KeyError("secret inside")

        monkeypatch.setitem(function.ROUTES, ("GET", "/v1/model"), broken)
        answer = call("GET", "/v1/model")
        assert (answer.status, answer.body["type"]) == (500, "urn:vision:problem:internal")
        assert "secret" not in json.dumps(answer.body)
