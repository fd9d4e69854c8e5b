"""REST APIs as clients meet them: signatures, denials, limits, binary bodies, errors, logs and metrics."""

import base64
import json
from typing import Any

import pytest
from botocore.credentials import Credentials

pytestmark = pytest.mark.twin


def invoke(api: str, account: str, path: str = "POST/v1/predictions") -> dict[str, Any]:
    resource = f"arn:aws:execute-api:us-east-1:{account}:{api}/live/{path}"
    return {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}


@pytest.fixture(scope="module")
def api(apis: Any) -> str:
    return apis.make(binaryMediaTypes=["image/png"])


def test_unsigned_request_is_refused(apis: Any, api: str) -> None:
    answer = apis.call(api, credentials=None)
    assert answer.status_code == 403
    assert answer.json() == {"message": "Missing Authentication Token"}
    assert answer.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"


def test_signature_over_aws_own_host_name_is_verified(apis: Any, api: str) -> None:
    keys = apis.keys(apis.role(None, invoke(api, apis.account)))
    assert apis.call(api, credentials=keys).status_code == 200
    forged = apis.call(api, credentials=Credentials(keys.access_key, "wrong", keys.token))
    assert forged.status_code == 403
    assert "signature we calculated does not match" in forged.json()["message"]


def test_caller_is_judged_by_its_policies_for_the_very_path(apis: Any, api: str) -> None:
    allowed = apis.role(None, invoke(api, apis.account))
    assert apis.call(api, credentials=allowed).status_code == 200
    elsewhere = apis.role(None, invoke(api, apis.account, "POST/v1/smoke/predictions"))
    denied = apis.call(api, credentials=elsewhere)
    assert denied.status_code == 403
    message = denied.json()["Message"]
    assert f":assumed-role/{elsewhere.rpartition('/')[2]}/test is not authorized to perform" in message
    assert message.endswith(f"us-east-1:********2222:{api}/live/POST/v1/predictions")


def test_unknown_path_is_answered_as_aws_does(apis: Any, api: str) -> None:
    answer = apis.call(api, path="/v1/nothing")
    assert (answer.status_code, answer.json()) == (403, {"message": "Missing Authentication Token"})


def test_function_sees_the_request_as_aws_describes_it(apis: Any, api: str) -> None:
    role = apis.role(None, invoke(api, apis.account))
    answer = apis.call(api, '{"a": 1}', query={"q": "1"}, credentials=role)
    event = answer.json()
    assert event["body"] == '{"a": 1}'
    assert event["queryStringParameters"] == {"q": "1"}
    context = event["requestContext"]
    assert context["identity"]["userArn"].endswith(f":assumed-role/{role.rpartition('/')[2]}/test")
    assert context["domainName"] == f"{api}.execute-api.us-east-1.amazonaws.com"
    assert context["requestId"] == answer.headers["x-amzn-RequestId"]
    assert event["headers"]["X-Amzn-Trace-Id"] == answer.headers["X-Amzn-Trace-Id"]
    assert event["headers"]["X-Forwarded-Proto"] == "https"
    assert event["headers"]["Content-Type"] == "application/json"


def test_binary_bodies_travel_both_ways(apis: Any, api: str) -> None:
    image = bytes(range(256)) * 4
    png = {"Content-Type": "image/png"}
    event = apis.call(api, image, headers=png).json()
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == image
    answer = apis.call(api, query={"how": "binary"}, headers={"Accept": "image/png"})
    assert (answer.content, answer.headers["Content-Type"]) == (bytes(range(256)), "image/png")


def test_request_beyond_ten_megabytes_is_too_long(apis: Any, api: str) -> None:
    answer = apis.call(api, b"x" * (10 * 1024 * 1024 + 1))
    assert (answer.status_code, answer.json()) == (413, {"message": "Request Too Long"})


def test_request_that_does_not_fit_into_a_function_is_too_long(apis: Any, api: str) -> None:
    answer = apis.call(api, b"x" * (6 * 1024 * 1024), headers={"Content-Type": "image/png"})
    assert answer.status_code == 413


@pytest.mark.parametrize("how", ["raise", "nonsense"])
def test_failure_of_the_function_is_a_502_without_its_details(apis: Any, api: str, how: str) -> None:
    answer = apis.call(api, query={"how": how})
    assert (answer.status_code, answer.json()) == (502, {"message": "Internal server error"})


def test_function_that_takes_too_long_is_a_504(apis: Any) -> None:
    answer = apis.call(apis.make(timeout_ms=1000), query={"how": "slow"})
    assert (answer.status_code, answer.json()) == (504, {"message": "Endpoint request timed out"})


def test_gateway_without_the_functions_permission_answers_500_and_logs_why(apis: Any, twin: Any) -> None:
    api = apis.make(allowed=False)
    answer = apis.call(api)
    assert (answer.status_code, answer.json()) == (500, {"message": "Internal server error"})
    logs = twin.client("logs", apis.account)
    group = f"API-Gateway-Execution-Logs_{api}/live"
    (event,) = logs.filter_log_events(logGroupName=group)["events"]
    assert "Invalid permissions on Lambda function" in event["message"]
    apis.allow(api, "GET/v1/predictions")
    assert apis.call(api).status_code == 500
    apis.allow(api, "POST/v1/predictions")
    assert apis.call(api).status_code == 200


def test_body_is_validated_against_the_model_of_its_type_only(apis: Any) -> None:
    schema = {"type": "object", "required": ["image"], "properties": {"image": {"type": "string"}}}

    def validated(api: str) -> dict[str, Any]:
        apis.gateway.create_model(
            restApiId=api, name="Body", contentType="application/json", schema=json.dumps(schema)
        )
        made = apis.gateway.create_request_validator(restApiId=api, name="v", validateRequestBody=True)
        return {"requestValidatorId": made["id"], "requestModels": {"application/json": "Body"}}

    api = apis.make(method=validated)
    assert apis.call(api, '{"image": "x"}').status_code == 200
    refused = apis.call(api, '{"image": 1}')
    assert (refused.status_code, refused.json()["message"]) == (400, "Invalid request body")
    assert apis.call(api, b"\x89PNG", headers={"Content-Type": "image/png"}).status_code == 200


def test_gateway_responses_of_the_api_shape_its_refusals(apis: Any) -> None:
    api = apis.make(allowed=False)
    template = '{"title": "$context.error.responseType", "detail": $context.error.messageString}'
    for kind, status in (("ACCESS_DENIED", "403"), ("DEFAULT_5XX", "500"), ("REQUEST_TOO_LARGE", "413")):
        apis.gateway.put_gateway_response(
            restApiId=api,
            responseType=kind,
            statusCode=status,
            responseParameters={"gatewayresponse.header.Content-Type": "'application/problem+json'"},
            responseTemplates={"application/json": template},
        )
    apis.gateway.create_deployment(restApiId=api, stageName="live")
    denied = apis.call(api, credentials=apis.role(None))
    assert denied.headers["Content-Type"] == "application/problem+json"
    assert denied.json()["title"] == "ACCESS_DENIED"
    assert apis.call(api).json()["title"] == "API_CONFIGURATION_ERROR"
    assert apis.call(api, b"x" * (10 * 1024 * 1024 + 1)).json()["title"] == "REQUEST_TOO_LARGE"


def test_requests_are_counted_and_written_to_the_access_log(apis: Any, twin: Any) -> None:
    api = apis.make()
    logs = twin.client("logs", apis.account)
    logs.create_log_group(logGroupName=f"access-{api}")
    shape = {
        "id": "$context.requestId",
        "status": "$context.status",
        "path": "$context.path",
        "caller": "$context.identity.userArn",
        "error": "$context.error.responseType",
        "latency": "$context.integrationLatency",
        "nothing": "$context.authorizer.claims",
    }
    arn = f"arn:aws:logs:us-east-1:{apis.account}:log-group:access-{api}"
    apis.gateway.update_stage(
        restApiId=api,
        stageName="live",
        patchOperations=[
            {"op": "replace", "path": "/accessLogSettings/destinationArn", "value": arn},
            {"op": "replace", "path": "/accessLogSettings/format", "value": json.dumps(shape)},
        ],
    )
    good, bad = apis.call(api), apis.call(api, credentials=None)
    lines = [json.loads(e["message"]) for e in logs.filter_log_events(logGroupName=f"access-{api}")["events"]]
    assert [line["status"] for line in lines] == ["200", "403"]
    assert [line["id"] for line in lines] == [r.headers["x-amzn-RequestId"] for r in (good, bad)]
    assert lines[0]["path"] == "/live/v1/predictions"
    assert lines[0]["caller"] == f"arn:aws:iam::{apis.account}:root"
    assert int(lines[0]["latency"]) > 0
    assert (lines[0]["error"], lines[1]["error"]) == ("-", "MISSING_AUTHENTICATION_TOKEN")
    assert (lines[1]["caller"], lines[1]["latency"], lines[1]["nothing"]) == ("-", "-", "-")
    name = apis.gateway.get_rest_api(restApiId=api)["name"]
    found = twin.client("cloudwatch", apis.account).list_metrics(Namespace="AWS/ApiGateway")["Metrics"]
    of_api = [m for m in found if {"Name": "ApiName", "Value": name} in m["Dimensions"]]
    names = {m["MetricName"] for m in of_api if len(m["Dimensions"]) == 2}
    assert names == {"Count", "4XXError", "5XXError", "Latency", "IntegrationLatency"}
