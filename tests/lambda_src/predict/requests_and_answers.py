"""What API Gateway passes, what an endpoint answers, and what a problem must look like."""

import base64
import io
import json
from types import SimpleNamespace
from typing import Any

from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber

from tests.lambda_src import odd_images as odd
from vision_runtime.images import to_model_input
from vision_runtime.spec import InputSpec

MODEL = "arn:aws:sagemaker:us-east-1:222222222222:model-package/vision-dev-champion/3"
DIGIT = odd.saved(odd.gradient(8, 8, "L"), "PNG")
PIXELS = to_model_input(DIGIT, InputSpec(16, 16, 1))
PROBABILITIES = {str(digit): 0.91 if digit == 7 else 0.01 for digit in range(10)}
REQUEST_ID = "c6af9ac6-7b61-11e6-9a41-93e8deadbeef"


def event(
    body: bytes | str | None, content_type: str | None = "image/png", path: str = "/v1/predictions"
) -> dict[str, Any]:
    """What API Gateway's proxy integration passes, with binary media types for images."""
    binary = isinstance(body, bytes)
    return {
        "resource": path,
        "path": path,
        "httpMethod": "POST",
        "headers": {"content-type": content_type, "Host": "abc.execute-api.us-east-1.amazonaws.com"}
        if content_type is not None
        else None,
        "multiValueHeaders": None,
        "queryStringParameters": None,
        "requestContext": {"requestId": REQUEST_ID, "resourcePath": path, "stage": "v1"},
        "body": base64.b64encode(body).decode() if isinstance(body, bytes) else body,
        "isBase64Encoded": binary,
    }


def as_json(**fields: Any) -> dict[str, Any]:
    return event(json.dumps(fields), "application/json")


def announce_answer(
    endpoint: Stubber, document: Any = None, name: str = "vision-dev-champion", images: int = 1
) -> None:
    if document is None:
        document = {
            "predictions": [{"label": "7", "probabilities": PROBABILITIES}] * images,
            "model_version": MODEL,
            "model_run": "run-a",
            "model_dataset": "digits#v1",
        }
    content = document if isinstance(document, bytes) else json.dumps(document).encode()
    endpoint.add_response(
        "invoke_endpoint",
        {"Body": StreamingBody(io.BytesIO(content), len(content)), "ContentType": "application/json"},
        {
            "EndpointName": name,
            "ContentType": "application/octet-stream",
            "Accept": "application/json",
            "Body": PIXELS * images,
        },
    )


def announce_record(
    lineage: Stubber,
    line: str = "champion",
    run: str = "run-a",
    dataset: str = "digits#v1",
    id: str = REQUEST_ID,
) -> None:
    place = {"gsi1pk": {"S": f"DATASET#{dataset}"}, "gsi1sk": ANY} if dataset else {}
    item = {
        "pk": {"S": f"PREDICTION#{id}"},
        "sk": {"S": "PREDICTION"},
        **place,
        "request_id": {"S": id},
        "line": {"S": line},
        "model_version": {"S": MODEL},
        "run_id": {"S": run},
        "dataset": {"S": dataset},
        "label": {"S": "7"},
        "confidence": {"N": "0.910000"},
        "answered_at": ANY,
        "expires_at": ANY,
    }
    condition = "attribute_not_exists(pk)"
    lineage.add_response(
        "put_item", {}, {"TableName": "lineage", "Item": item, "ConditionExpression": condition}
    )


def assert_problem(answer: SimpleNamespace, status: int, kind: str, field: str | None = None) -> None:
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.body["type"] == f"urn:vision:problem:{kind}"
    assert answer.body["status"] == status
    assert answer.body["title"]
    assert answer.body["detail"]
    assert answer.body["request_id"] == REQUEST_ID
    assert answer.body.get("field") == field
