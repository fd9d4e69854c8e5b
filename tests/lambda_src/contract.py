"""The API's document as tests hold answers to it: status, media type, headers and body by operation."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft4Validator, FormatChecker

PLACE = Path(__file__).resolve().parents[2] / "lambda_src" / "requests" / "openapi.yaml"


@cache
def document() -> dict[str, Any]:
    return yaml.safe_load(PLACE.read_text())


def resolved(part: dict[str, Any]) -> dict[str, Any]:
    """What a reference points to."""
    while "$ref" in part:
        found: Any = document()
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def matches(schema: dict[str, Any], value: Any) -> list[str]:
    """What a schema of the document finds wrong with a value."""
    whole = {"allOf": [schema], "components": document()["components"]}
    return [
        fault.message for fault in Draft4Validator(whole, format_checker=FormatChecker()).iter_errors(value)
    ]


def assert_documented(method: str, path: str, answer: dict[str, Any]) -> None:
    """Fails unless the document describes this answer of a function, as API Gateway takes it."""
    operation = document()["paths"][path][method.lower()]
    status = str(answer["statusCode"])
    assert status in operation["responses"], f"{method} {path} answered {status}, which is not documented"
    response = resolved(operation["responses"][status])
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    media_type = headers["content-type"]
    assert media_type in response["content"], f"{status} came as {media_type}"
    assert matches(response["content"][media_type]["schema"], json.loads(answer["body"])) == []
    declared = {name.lower(): resolved(each) for name, each in response.get("headers", {}).items()}
    for name in ("retry-after", "location", "idempotent-replayed"):
        if name in headers:
            assert name in declared, f"{status} of {method} {path} has the undocumented header {name}"
            assert matches(declared[name]["schema"], headers[name]) == []


def assert_accepted(method: str, path: str, body: Any) -> None:
    """Fails unless the document lets this JSON body in."""
    content = document()["paths"][path][method.lower()]["requestBody"]["content"]
    assert matches(content["application/json"]["schema"], body) == []
