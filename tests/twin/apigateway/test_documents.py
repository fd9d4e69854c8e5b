"""A REST API made from an OpenAPI document by CloudFormation does what the document says, and stays so."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from tests.twin.stacks import create, failures, wait

pytestmark = pytest.mark.twin
ACCOUNT = "222222222222"


class Stack:
    """A stack with one API, of a document that tests change."""

    def __init__(self, twin: Any, apis: Any, name: str) -> None:
        self.twin, self.apis, self.name = twin, apis, name
        self.cloudformation = twin.client("cloudformation", ACCOUNT)

    def resources(self, document: dict[str, Any], mark: str, **more: Any) -> dict[str, Any]:
        api = {"Ref": "Api"}
        return {
            "Api": {
                "Type": "AWS::ApiGateway::RestApi",
                "Properties": {"Body": document},
            },
            # As the CDK does it: a deployment of its own for every change.
            f"Deployment{mark}": {
                "Type": "AWS::ApiGateway::Deployment",
                "DependsOn": "Api",
                "Properties": {"RestApiId": api},
            },
            "Stage": {
                "Type": "AWS::ApiGateway::Stage",
                "Properties": {
                    "RestApiId": api,
                    "StageName": "live",
                    "DeploymentId": {"Ref": f"Deployment{mark}"},
                },
            },
            **more,
        }

    def create(self, document: dict[str, Any], **more: Any) -> str:
        made = create(self.twin, self.name, ACCOUNT, **self.resources(document, "A", **more))
        assert made["StackStatus"] == "CREATE_COMPLETE", made["why"]
        self.apis.allow(self.api)
        return self.api

    def update(self, document: dict[str, Any]) -> None:
        template = json.dumps({"Resources": self.resources(document, "B")})
        self.cloudformation.update_stack(StackName=self.name, TemplateBody=template)
        status = wait(self.cloudformation, self.name)["StackStatus"]
        assert status == "UPDATE_COMPLETE", failures(self.cloudformation, self.name)

    @property
    def api(self) -> str:
        found = self.cloudformation.describe_stack_resource(StackName=self.name, LogicalResourceId="Api")
        return found["StackResourceDetail"]["PhysicalResourceId"]


def operation(apis: Any, id: str, **more: Any) -> dict[str, Any]:
    uri = f"arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/{apis.function}/invocations"
    return {
        "operationId": id,
        "security": [{"signature": []}],
        "responses": {"200": {"description": "ok"}},
        "x-amazon-apigateway-integration": {"type": "aws_proxy", "httpMethod": "POST", "uri": uri},
        **more,
    }


@pytest.fixture(scope="module")
def document(apis: Any) -> Callable[[], dict[str, Any]]:
    def make() -> dict[str, Any]:
        body = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Order"}}}}
        header = {"name": "X-Needed", "in": "header", "required": True, "schema": {"type": "string"}}
        return {
            "openapi": "3.0.1",
            "info": {"title": "of-a-document", "version": "1"},
            "paths": {
                "/v1/predictions": {"post": operation(apis, "order", requestBody=body)},
                "/v1/predictions:submit": {"post": operation(apis, "submit")},
                "/v1/things/{id}": {"post": operation(apis, "thing", parameters=[header])},
                "/v1/keyed": {"post": operation(apis, "keyed", security=[{"key": []}])},
                "/v1/open": {"post": operation(apis, "open", security=[])},
            },
            "components": {
                "securitySchemes": {
                    "signature": {
                        "type": "apiKey",
                        "name": "Authorization",
                        "in": "header",
                        "x-amazon-apigateway-authtype": "awsSigv4",
                    },
                    "key": {"type": "apiKey", "name": "x-api-key", "in": "header"},
                },
                "schemas": {
                    "Order": {
                        "type": "object",
                        "required": ["name"],
                        "properties": {
                            "name": {"$ref": "#/components/schemas/Name"},
                            "parts": {"type": "array", "maxItems": 1},
                        },
                        "additionalProperties": False,
                    },
                    "Name": {"type": "string", "maxLength": 5, "pattern": "^[a-z]+$"},
                },
            },
            "x-amazon-apigateway-request-validators": {
                "all": {"validateRequestBody": True, "validateRequestParameters": True}
            },
            "x-amazon-apigateway-request-validator": "all",
            "x-amazon-apigateway-binary-media-types": ["image/png"],
            "x-amazon-apigateway-gateway-responses": {
                "BAD_REQUEST_BODY": {
                    "statusCode": 422,
                    "responseParameters": {
                        "gatewayresponse.header.Content-Type": "'application/problem+json'"
                    },
                    "responseTemplates": {"application/json": '{"title": "$context.error.responseType"}'},
                }
            },
        }

    return make


@pytest.fixture(scope="module")
def stack(twin: Any, apis: Any, document: Callable[[], dict[str, Any]]) -> Stack:
    made = Stack(twin, apis, "of-a-document")
    made.create(document())
    return made


def test_operations_are_answered_by_their_integrations(apis: Any, stack: Stack) -> None:
    event = apis.call(stack.api, '{"name": "abc"}').json()
    assert (event["resource"], event["body"]) == ("/v1/predictions", '{"name": "abc"}')
    assert apis.call(stack.api, path="/v1/predictions:submit").json()["resource"] == "/v1/predictions:submit"
    found = apis.call(stack.api, path="/v1/things/a%3Ab", headers={"X-Needed": "1"}).json()
    assert (found["resource"], found["pathParameters"]) == ("/v1/things/{id}", {"id": "a:b"})


def test_api_is_named_for_the_document_and_takes_binary_bodies(twin: Any, apis: Any, stack: Stack) -> None:
    record = twin.client("apigateway", ACCOUNT).get_rest_api(restApiId=stack.api)
    assert (record["name"], record["binaryMediaTypes"]) == ("of-a-document", ["image/png"])
    event = apis.call(stack.api, b"\x89PNG", headers={"Content-Type": "image/png"}).json()
    assert event["isBase64Encoded"] is True


@pytest.mark.parametrize(
    "body", ["{}", '{"name": "abcdef"}', '{"name": "A"}', '{"name": "a", "more": 1}', "{"]
)
def test_bodies_are_validated_by_the_schemas_and_those_they_refer_to(
    apis: Any, stack: Stack, body: str
) -> None:
    refused = apis.call(stack.api, body)
    assert (refused.status_code, refused.json()) == (422, {"title": "BAD_REQUEST_BODY"})
    assert refused.headers["Content-Type"] == "application/problem+json"


def test_lengths_of_lists_are_not_validated_as_on_aws(apis: Any, stack: Stack) -> None:
    assert apis.call(stack.api, '{"name": "a", "parts": [1, 2]}').status_code == 200


def test_parameter_that_is_missing_is_refused(apis: Any, stack: Stack) -> None:
    assert apis.call(stack.api, path="/v1/things/1").status_code == 400
    assert apis.call(stack.api, path="/v1/things/1", headers={"X-Needed": "1"}).status_code == 200


def test_each_operation_has_its_own_security(apis: Any, stack: Stack) -> None:
    assert apis.call(stack.api, '{"name": "a"}', credentials=None).status_code == 403
    assert apis.call(stack.api, path="/v1/keyed", credentials=None).status_code == 403
    assert apis.call(stack.api, path="/v1/open", credentials=None).status_code == 200


def test_changed_document_changes_the_api_and_keeps_its_id(
    twin: Any, apis: Any, document: Callable[[], dict[str, Any]]
) -> None:
    stack = Stack(twin, apis, "changing")
    before = stack.create(document())
    changed = document()
    del changed["paths"]["/v1/open"]
    changed["paths"]["/v1/other"] = {"post": operation(apis, "other")}
    changed["components"]["schemas"]["Name"]["maxLength"] = 3
    changed["x-amazon-apigateway-gateway-responses"] = {}
    changed["x-amazon-apigateway-binary-media-types"] = ["image/webp"]
    stack.update(changed)
    assert stack.api == before
    record = twin.client("apigateway", ACCOUNT).get_rest_api(restApiId=before)
    assert record["binaryMediaTypes"] == ["image/webp"]
    assert apis.call(before, path="/v1/open", credentials=None).status_code == 403
    assert apis.call(before, path="/v1/other").status_code == 200
    refused = apis.call(before, '{"name": "abcd"}')
    assert (refused.status_code, refused.json()) == (400, {"message": "Invalid request body"})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda d: d.update({"x-amazon-apigateway-policy": {}}), "x-amazon-apigateway-policy"),
        (lambda d: d.update(openapi="3.1.0"), "3.1.0"),
        (lambda d: d["components"]["schemas"].update({"Two_words": {}}), "Two_words"),
        (lambda d: d["paths"].update({"/a b": d["paths"]["/v1/open"]}), "a b"),
        (lambda d: d["paths"]["/v1/open"]["post"].update(security=[{"oauth": []}]), "oauth"),
        (lambda d: d["paths"]["/v1/open"]["post"].pop("x-amazon-apigateway-integration"), "no integration"),
    ],
)
def test_what_is_not_imported_is_refused_by_name(
    twin: Any, apis: Any, document: Callable[[], dict[str, Any]], spoil: Callable[[Any], None], said: str
) -> None:
    spoilt = document()
    spoil(spoilt)
    api = {"Type": "AWS::ApiGateway::RestApi", "Properties": {"Body": spoilt}}
    made = create(twin, f"spoilt-{abs(hash(said))}", ACCOUNT, Api=api)
    assert said in made["why"]


def test_api_keys_are_throttled_and_counted_by_their_usage_plan(
    twin: Any, apis: Any, document: Callable[[], dict[str, Any]]
) -> None:
    stack = Stack(twin, apis, "keyed")
    plan = {
        "ApiStages": [{"ApiId": {"Ref": "Api"}, "Stage": {"Ref": "Stage"}}],
        "Throttle": {"RateLimit": 0.01, "BurstLimit": 2},
        "Quota": {"Limit": 3, "Period": "DAY"},
    }
    api = stack.create(
        document(),
        Key={"Type": "AWS::ApiGateway::ApiKey", "Properties": {"Enabled": True}},
        Plan={"Type": "AWS::ApiGateway::UsagePlan", "Properties": plan},
        Member={
            "Type": "AWS::ApiGateway::UsagePlanKey",
            "Properties": {"KeyId": {"Ref": "Key"}, "KeyType": "API_KEY", "UsagePlanId": {"Ref": "Plan"}},
        },
    )
    key = stack.cloudformation.describe_stack_resource(StackName="keyed", LogicalResourceId="Key")
    id = key["StackResourceDetail"]["PhysicalResourceId"]
    value = twin.client("apigateway", ACCOUNT).get_api_key(apiKey=id, includeValue=True)["value"]

    def call(key: str | None) -> requests.Response:
        headers = {"x-api-key": key} if key else {}
        return apis.call(api, path="/v1/keyed", headers=headers, credentials=None)

    assert (call(None).status_code, call("x" * 30).status_code) == (403, 403)
    assert (call(value).status_code, call(value).status_code) == (200, 200)
    throttled = call(value)
    assert (throttled.status_code, throttled.json()) == (429, {"message": "Too Many Requests"})
    patch = {"op": "replace", "path": "/throttle/rateLimit", "value": "10000"}
    plan_id = stack.cloudformation.describe_stack_resource(StackName="keyed", LogicalResourceId="Plan")
    twin.client("apigateway", ACCOUNT).update_usage_plan(
        usagePlanId=plan_id["StackResourceDetail"]["PhysicalResourceId"], patchOperations=[patch]
    )
    assert call(value).status_code == 200
    used_up = call(value)
    assert (used_up.status_code, used_up.json()) == (429, {"message": "Limit Exceeded"})
