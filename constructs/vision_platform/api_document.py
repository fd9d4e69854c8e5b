"""The API's OpenAPI document as API Gateway takes it: calls, callers and refusals added.

The document itself says what requests and answers look like; here it gets what only a deployment knows. Left
out is what API Gateway would ignore or refuse: the schemas of answers, examples, and references to anything
but schemas (see "important notes" in API Gateway's developer guide).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import yaml

Document = dict[str, Any]
IAM, KEY = "iam", "key"
_SCHEME = {IAM: "signature", KEY: "key"}
_METHODS = ("get", "post", "put", "delete", "patch")
_EXTENSION = "x-amazon-apigateway-"
_VALIDATOR = "all"
_PROBLEM_HEADERS = {"gatewayresponse.header.Content-Type": "'application/problem+json'"}
# What the gateway refuses itself: its name for it, the status, and what the caller is told. Templates are
# filled in without escaping: what a caller sent must not get into them.
_REFUSALS: tuple[tuple[str, int, str], ...] = (
    ("ACCESS_DENIED", 403, "This caller may not use this path"),
    ("API_CONFIGURATION_ERROR", 500, "The API is not set up as it should be"),
    ("AUTHORIZER_CONFIGURATION_ERROR", 500, "The API is not set up as it should be"),
    ("AUTHORIZER_FAILURE", 500, "The caller could not be judged"),
    ("BAD_REQUEST_BODY", 400, "The JSON body is not what the document of this API (GET /openapi.json) says"),
    ("BAD_REQUEST_PARAMETERS", 400, "A parameter is missing, or is not what the document of this API says"),
    ("EXPIRED_TOKEN", 403, "The credentials that signed the request have expired"),
    ("INTEGRATION_FAILURE", 504, "The service could not be asked; try again later"),
    ("INTEGRATION_TIMEOUT", 504, "The service did not answer in time; try again later"),
    ("INVALID_API_KEY", 403, "The header x-api-key holds no key of a usage plan of this API"),
    ("INVALID_SIGNATURE", 403, "The request's signature is not right for it"),
    ("MISSING_AUTHENTICATION_TOKEN", 403, "There is no such path or method, or the request is not signed"),
    ("QUOTA_EXCEEDED", 429, "The key's quota is used up for this period"),
    ("REQUEST_TOO_LARGE", 413, "The request is too large; upload the image by POST /v1/uploads"),
    ("RESOURCE_NOT_FOUND", 404, "There is no such path"),
    ("THROTTLED", 429, "Too many requests; try again with increasing pauses"),
    ("UNAUTHORIZED", 401, "The caller is not known"),
    ("UNSUPPORTED_MEDIA_TYPE", 415, "The content type is not supported"),
    ("WAF_FILTERED", 403, "The firewall refused the request"),
    # What has no name of its own. A template cannot name the status, so that each family has one.
    ("DEFAULT_4XX", 400, "The request cannot be served"),
    ("DEFAULT_5XX", 502, "The service failed on this request"),
)
_FIELDS = {"BAD_REQUEST_BODY": "body"}


class DocumentFault(ValueError):
    """The document and the functions behind it do not fit together; the message names the operation."""


def read_document(path: Path) -> Document:
    """The API's document, from its YAML."""
    return cast("Document", yaml.safe_load(path.read_text()))


def with_security(document: Document, auth: str) -> Document:
    """The document for callers who sign (`iam`) or show an API key (`key`).

    Operations that name their own security keep it: the smoke model's are signed in any case.
    """
    return {**document, "security": [{_SCHEME[auth]: []}]}


def operation_ids(document: Document) -> list[str]:
    """The ids of all operations, in their order."""
    return [str(operation["operationId"]) for _, _, operation in operations(document)]


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Path, method in capitals, and operation."""
    for path, item in cast("dict[str, Document]", document["paths"]).items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, method.upper(), cast("Document", operation)


def gateway_document(
    document: Document,
    *,
    title: str,
    binary_media_types: Sequence[str],
    integrations: Mapping[str, Document],
    preflight: Document | None = None,
    allowed_origins: tuple[str, ...] = (),
) -> Document:
    """The document to import. `integrations` says what each operation calls, by operation id; bodies of the
    `binary_media_types` are handed on as bytes instead of text.

    `preflight` is what answers browsers that ask, for every path, whether `allowed_origins` may call it.
    Raises DocumentFault where an operation has no integration, or an integration no operation.
    """
    ids = operation_ids(document)
    if different := set(ids) ^ set(integrations):
        raise DocumentFault(f"operations and what they call differ in {', '.join(sorted(different))}")
    paths: dict[str, Document] = {}
    for path, method, operation in operations(document):
        item = paths.setdefault(path, {})
        item[method.lower()] = _operation(document, operation, integrations[operation["operationId"]])
        if preflight is not None:
            item["options"] = _preflight(preflight)
    imported: Document = {
        "openapi": document["openapi"],
        "info": {**document["info"], "title": title},
        "paths": paths,
        "components": {
            "securitySchemes": document["components"]["securitySchemes"],
            "schemas": _schemas_of_requests(document),
        },
    }
    imported[_EXTENSION + "binary-media-types"] = list(binary_media_types)
    imported[_EXTENSION + "request-validators"] = {
        _VALIDATOR: {"validateRequestBody": True, "validateRequestParameters": True}
    }
    imported[_EXTENSION + "request-validator"] = _VALIDATOR
    imported[_EXTENSION + "gateway-responses"] = _gateway_responses(allowed_origins)
    return imported


def _operation(document: Document, operation: Document, integration: Document) -> Document:
    taken: Document = {
        "operationId": operation["operationId"],
        "security": operation.get("security", document["security"]),
        "responses": {status: {"description": status} for status in operation["responses"]},
        _EXTENSION + "integration": integration,
    }
    parameters = [_parameter(_resolved(document, each)) for each in operation.get("parameters", [])]
    if parameters:
        taken["parameters"] = parameters
    if "requestBody" in operation:
        body = operation["requestBody"]
        # Only JSON has a model: a body of another type is bytes, which the function looks at itself.
        schemas = {
            media_type: {"schema": content["schema"]}
            for media_type, content in body["content"].items()
            if "$ref" in content["schema"]
        }
        taken["requestBody"] = {"required": body.get("required", False), "content": schemas}
    return taken


def _parameter(parameter: Document) -> Document:
    """A parameter with all that API Gateway looks at: whether it is there."""
    return {
        "name": parameter["name"],
        "in": parameter["in"],
        "required": parameter.get("required", False),
        "schema": {"type": parameter["schema"]["type"]},
    }


def _resolved(document: Document, part: Document) -> Document:
    """What a reference to this very document points to."""
    while "$ref" in part:
        found: Any = document
        for name in str(part["$ref"]).removeprefix("#/").split("/"):
            found = found[name]
        part = cast("Document", found)
    return part


def _schemas_of_requests(document: Document) -> Document:
    """The schemas that requests are validated against, and those that they refer to."""
    schemas = cast("Document", document["components"]["schemas"])
    wanted: list[str] = []
    texts = [json.dumps(each.get("requestBody", {})) for _, _, each in operations(document)]
    while texts:
        text = texts.pop()
        for name in schemas:
            if name not in wanted and f'"#/components/schemas/{name}"' in text:
                wanted.append(name)
                texts.append(json.dumps(schemas[name]))
    return {name: schemas[name] for name in schemas if name in wanted}


def _preflight(integration: Document) -> Document:
    # Browsers ask without any credentials: this alone is open, and tells nothing but who may call.
    return {
        "security": [],
        "responses": {"204": {"description": "Who may call from a browser"}},
        _EXTENSION + "integration": integration,
    }


def _gateway_responses(allowed_origins: tuple[str, ...]) -> Document:
    """Let what the gateway itself refuses look like what the functions refuse: problem+json."""
    headers = dict(_PROBLEM_HEADERS)
    if len(allowed_origins) == 1:
        # Of several origins the gateway cannot choose the caller's: its own refusals then lack the header.
        headers["gatewayresponse.header.Access-Control-Allow-Origin"] = f"'{allowed_origins[0]}'"
    return {
        kind: {
            "statusCode": status,
            "responseParameters": headers,
            "responseTemplates": {"application/json": _problem(kind, status, detail)},
        }
        for kind, status, detail in _REFUSALS
    }


def _problem(kind: str, status: int, detail: str) -> str:
    """A template; the gateway renders the JSON one whatever a client accepts."""
    problem: Document = {
        "type": "about:blank",
        "title": "$context.error.responseType",
        "status": status,
        "detail": detail,
        "request_id": "$context.requestId",
    }
    if kind in _FIELDS:
        problem["field"] = _FIELDS[kind]
    return json.dumps(problem)
