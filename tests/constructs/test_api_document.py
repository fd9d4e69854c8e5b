"""API Gateway gets what the API's document says, and nothing that it would ignore or refuse (R22, R35)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.assembly import Assembly
from vision_platform.api_document import (
    DocumentFault,
    gateway_document,
    operation_ids,
    operations,
    read_document,
    with_security,
)

SOURCE = Path(__file__).resolve().parents[2] / "lambda_src" / "requests" / "openapi.yaml"
CALL = {"type": "aws_proxy", "httpMethod": "POST", "uri": "arn:of-a-function"}
STAGE = "live"


def made(auth: str = "iam", **more: Any) -> dict[str, Any]:
    document = with_security(read_document(SOURCE), auth)
    integrations = dict.fromkeys(operation_ids(document), CALL)
    return gateway_document(
        document, title="vision-dev", binary_media_types=["image/png"], integrations=integrations, **more
    )


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return made()


def each(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return list(operations(document))


def test_every_operation_is_there_with_its_call_and_its_security(document: dict[str, Any]) -> None:
    source = each(read_document(SOURCE))
    assert [(path, method) for path, method, _ in each(document)] == [(p, m) for p, m, _ in source]
    for _, _, operation in each(document):
        assert operation["x-amazon-apigateway-integration"] == CALL
        assert operation["security"] == [{"signature": []}]


def test_callers_with_keys_need_one_and_smoke_tests_still_sign() -> None:
    for path, _, operation in each(made("key")):
        scheme = "signature" if "/smoke/" in path else "key"
        assert operation["security"] == [{scheme: []}]


def test_what_api_gateway_does_not_take_is_left_out(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert set(re.findall(r'"\$ref": "([^"]+)/[^/"]+"', text)) == {"#/components/schemas"}
    assert not re.search(r'"(examples?|nullable|discriminator|readOnly|exclusiveMinimum)":', text)
    assert all(name.isalnum() for name in document["components"]["schemas"])
    assert set(document["components"]["schemas"]) == {
        "Base64",
        "FeedbackRequest",
        "Label",
        "PredictionRequest",
        "SubmitRequest",
        "UploadRequest",
    }
    for path, _, _ in each(document):
        assert re.fullmatch(r"(/([A-Za-z0-9._,:-]+|\{[A-Za-z]+\}))+", path)


def test_bodies_and_parameters_are_validated(document: dict[str, Any]) -> None:
    assert document["x-amazon-apigateway-request-validator"] == "all"
    assert document["x-amazon-apigateway-request-validators"]["all"] == {
        "validateRequestBody": True,
        "validateRequestParameters": True,
    }
    predict = document["paths"]["/v1/predictions"]["post"]
    # Images are bytes, which only the function can judge.
    assert list(predict["requestBody"]["content"]) == ["application/json"]
    assert predict["parameters"] == [
        {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}}
    ]


def test_whatever_the_gateway_refuses_is_a_problem(document: dict[str, Any]) -> None:
    refusals = document["x-amazon-apigateway-gateway-responses"]
    for response in refusals.values():
        problem = json.loads(response["responseTemplates"]["application/json"])
        assert {"type", "title", "status", "detail", "request_id"} <= set(problem)
        assert response["responseParameters"] == {
            "gatewayresponse.header.Content-Type": "'application/problem+json'"
        }
        assert response["statusCode"] == problem["status"]
    # What these templates are filled with is not escaped: nothing in them comes from a caller.
    filled = set(re.findall(r"\$[A-Za-z.]+", json.dumps(refusals)))
    assert filled == {"$context.error.responseType", "$context.requestId"}


def test_browsers_may_ask_first_only_where_origins_are_allowed(document: dict[str, Any]) -> None:
    assert all("options" not in item for item in document["paths"].values())
    allowed = made(preflight=CALL, allowed_origins=("https://a.example",))
    assert all(item["options"]["security"] == [] for item in allowed["paths"].values())
    response = allowed["x-amazon-apigateway-gateway-responses"]["THROTTLED"]["responseParameters"]
    assert response["gatewayresponse.header.Access-Control-Allow-Origin"] == "'https://a.example'"


def test_operation_that_nothing_answers_is_named() -> None:
    document = read_document(SOURCE)
    with pytest.raises(DocumentFault, match="predictSmoke"):
        gateway_document(
            document,
            title="t",
            binary_media_types=[],
            integrations={id: CALL for id in operation_ids(document) if id != "predictSmoke"},
        )


def test_gateway_may_call_each_function_for_its_own_operations_alone(assembly: Assembly) -> None:
    body = assembly.only("AWS::ApiGateway::RestApi", stack="vision-dev").properties["Body"]
    permissions = [
        each.properties
        for each in assembly.resources("AWS::Lambda::Permission", stack="vision-dev-inference")
        if each.properties["Principal"] == "apigateway.amazonaws.com"
    ]
    allowed = {
        (
            json.dumps(each["SourceArn"]).partition(f"/{STAGE}/")[2].partition('"')[0],
            json.dumps(each["FunctionName"]),
        )
        for each in permissions
    }
    called = {
        (
            f"{method}/" + re.sub(r"\{[^}]+\}", "*", path.lstrip("/")),
            json.dumps(_function(operation["x-amazon-apigateway-integration"]["uri"])),
        )
        for path, method, operation in operations(body)
    }
    assert allowed == called
    assert len(permissions) == len(called)


def _function(uri: dict[str, Any]) -> Any:
    (found,) = [part for part in uri["Fn::Join"][1] if isinstance(part, dict) and "Fn::GetAtt" in part]
    return found
