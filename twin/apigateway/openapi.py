"""Makes a REST API what an OpenAPI document says, as API Gateway's import in the mode `overwrite` does."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Document = Mapping[str, Any]
_METHODS = ("get", "post", "put", "delete", "patch", "head", "options")
_SEGMENT = re.compile(r"[A-Za-z0-9._,:-]+|\{[A-Za-z0-9._-]+\+?\}")
_MODEL_NAME = re.compile(r"[A-Za-z0-9]+")
_SCHEMAS = "#/components/schemas/"
_EXTENSION = "x-amazon-apigateway-"
MEDIA_TYPES = _EXTENSION + "binary-media-types"  # a setting of the API itself, made with it
_OF_DOCUMENT = {"request-validators", "request-validator", "gateway-responses", "binary-media-types"}
_OF_OPERATION = {"integration", "request-validator"}
# What an import leaves out of a model: requests are not checked for it.
_NOT_VALIDATED = ("minItems", "maxItems", "example", "readOnly", "nullable", "discriminator")
_INTEGRATION = {
    "type": "type",
    "httpMethod": "integrationHttpMethod",
    "uri": "uri",
    "credentials": "credentials",
    "passthroughBehavior": "passthroughBehavior",
    "timeoutInMillis": "timeoutInMillis",
    "contentHandling": "contentHandling",
    "requestTemplates": "requestTemplates",
    "requestParameters": "requestParameters",
    "responses": "",  # put one by one
}


class ImportFault(ValueError):
    """API Gateway, or the twin, does not take what the document holds; the message says where."""


@dataclass(frozen=True)
class Import:
    """One import of a document into an API, by a client of API Gateway in the API's account and region."""

    gateway: Any
    api: str
    document: Document

    def run(self, before: Document | None = None) -> None:
        """Create, change and remove what differs. `before` is the document that the API was made of so far.

        Raises ImportFault, before anything is changed, and botocore's errors.
        """
        self._check()
        self._put_models(before or {})
        validators = self._put_validators()
        self._put_gateway_responses(before or {})
        resources = self._put_resources()
        for path, method, operation in operations(self.document):
            self._put_operation(resources[path], method, operation, validators)
        self._remove_others(resources)

    def _check(self) -> None:
        version = str(self.document.get("openapi", ""))
        if not version.startswith("3.0."):
            raise ImportFault(f"openapi: {version!r}; the twin imports documents of OpenAPI 3.0")
        _check_extensions("the document", self.document, _OF_DOCUMENT)
        for name in _schemas(self.document):
            if not _MODEL_NAME.fullmatch(name):
                raise ImportFault(f"schema {name!r}: names of models are letters and digits alone")
        for path, method, operation in operations(self.document):
            where = f"{method} {path}"
            for segment in path.strip("/").split("/"):
                if segment and not _SEGMENT.fullmatch(segment):
                    raise ImportFault(f"{where}: {segment!r} cannot be part of a path")
            _check_extensions(where, operation, _OF_OPERATION)
            unknown = set(operation.get(_EXTENSION + "integration") or {}) - set(_INTEGRATION)
            if unknown or not operation.get(_EXTENSION + "integration"):
                raise ImportFault(f"{where}: no integration, or one with {sorted(unknown)}")
            for part in (operation.get("requestBody") or {}, *(operation.get("parameters") or [])):
                if "$ref" in part:
                    raise ImportFault(f"{where}: only schemas are referred to, not {part['$ref']!r}")

    def _put_models(self, before: Document) -> None:
        schemas = _schemas(self.document)
        there = {model["name"] for model in _items(self.gateway.get_paginator("get_models"), self.api)}
        for name, schema in schemas.items():
            text = json.dumps(self._model(schema))
            if name in there:
                patch = {"op": "replace", "path": "/schema", "value": text}
                self.gateway.update_model(restApiId=self.api, modelName=name, patchOperations=[patch])
            else:
                self.gateway.create_model(
                    restApiId=self.api, name=name, contentType="application/json", schema=text
                )
        for name in (set(_schemas(before)) - set(schemas)) & there:
            self.gateway.delete_model(restApiId=self.api, modelName=name)

    def _model(self, schema: Any) -> Any:
        """A schema as a model has it: its references name other models of the API."""
        if isinstance(schema, list):
            return [self._model(each) for each in schema]
        if not isinstance(schema, Mapping):
            return schema
        if isinstance(schema.get("$ref"), str):
            return {"$ref": self._model_address(schema["$ref"])}
        return {
            name: {key: self._model(each) for key, each in part.items()}
            if name == "properties"
            else self._model(part)
            for name, part in schema.items()
            if name not in _NOT_VALIDATED
        }

    def _model_address(self, reference: str) -> str:
        name = _named_schema(reference)
        if name not in _schemas(self.document):
            raise ImportFault(f"{reference!r} refers to nothing in the document")
        return f"https://apigateway.amazonaws.com/restapis/{self.api}/models/{name}"

    def _put_validators(self) -> dict[str, str]:
        """The ids of the document's request validators by their names."""
        there = {
            made["name"]: made["id"]
            for made in _items(self.gateway.get_paginator("get_request_validators"), self.api)
        }
        wanted = self.document.get(_EXTENSION + "request-validators") or {}
        for name, validated in wanted.items():
            flags = {
                flag: bool(validated.get(flag))
                for flag in ("validateRequestBody", "validateRequestParameters")
            }
            if name in there:
                self.gateway.update_request_validator(
                    restApiId=self.api,
                    requestValidatorId=there[name],
                    patchOperations=[
                        {"op": "replace", "path": f"/{flag}", "value": str(value).lower()}
                        for flag, value in flags.items()
                    ],
                )
            else:
                made = self.gateway.create_request_validator(restApiId=self.api, name=name, **flags)
                there[name] = made["id"]
        return {name: there[name] for name in wanted}

    def _put_gateway_responses(self, before: Document) -> None:
        wanted = self.document.get(_EXTENSION + "gateway-responses") or {}
        for kind, response in wanted.items():
            status = {"statusCode": str(response["statusCode"])} if "statusCode" in response else {}
            self.gateway.put_gateway_response(
                restApiId=self.api,
                responseType=kind,
                responseParameters=response.get("responseParameters") or {},
                responseTemplates=response.get("responseTemplates") or {},
                **status,
            )
        for kind in set(before.get(_EXTENSION + "gateway-responses") or {}) - set(wanted):
            self.gateway.delete_gateway_response(restApiId=self.api, responseType=kind)

    def _put_resources(self) -> dict[str, str]:
        """The ids of the resources by their paths: the document's, and those above them."""
        there = {found["path"]: found["id"] for found in self._resources()}
        wanted = {"/": there["/"]}
        for path, _, _ in operations(self.document):
            above = "/"
            for segment in path.strip("/").split("/") if path != "/" else []:
                here = above.rstrip("/") + "/" + segment
                if here not in there:
                    made = self.gateway.create_resource(
                        restApiId=self.api, parentId=there[above], pathPart=segment
                    )
                    there[here] = made["id"]
                wanted[here] = there[here]
                above = here
        return wanted

    def _put_operation(
        self, resource: str, method: str, operation: Document, validators: Mapping[str, str]
    ) -> None:
        where = {"restApiId": self.api, "resourceId": resource, "httpMethod": method}
        validator = operation.get(
            _EXTENSION + "request-validator", self.document.get(_EXTENSION + "request-validator")
        )
        if validator and validator not in validators:
            raise ImportFault(f"{operation.get('operationId')}: there is no request validator {validator!r}")
        body = (operation.get("requestBody") or {}).get("content") or {}
        models = {
            media_type: _named_schema(content["schema"]["$ref"])
            for media_type, content in body.items()
            if "$ref" in (content.get("schema") or {})
        }
        self.gateway.put_method(
            **where,
            **_authorization(operation.get("security", self.document.get("security")), self.document),
            operationName=operation.get("operationId", ""),
            requestParameters=_parameters(operation),
            requestModels=models,
            **({"requestValidatorId": validators[validator]} if validator else {}),
        )
        integration = operation[_EXTENSION + "integration"]
        given = {
            _INTEGRATION[name]: value
            for name, value in integration.items()
            if _INTEGRATION[name] and value is not None
        }
        given["type"] = str(given["type"]).upper()
        if "passthroughBehavior" in given:
            given["passthroughBehavior"] = given["passthroughBehavior"].upper()
        self.gateway.put_integration(**where, **given)
        for pattern, response in (integration.get("responses") or {}).items():
            status = str(response["statusCode"])
            self.gateway.put_method_response(**where, statusCode=status)
            self.gateway.put_integration_response(
                **where,
                statusCode=status,
                selectionPattern="" if pattern == "default" else pattern,
                responseParameters=response.get("responseParameters") or {},
                responseTemplates=response.get("responseTemplates") or {},
            )

    def _remove_others(self, wanted: Mapping[str, str]) -> None:
        """Delete the methods and resources that the document does not have."""
        kept = {(wanted[path], method) for path, method, _ in operations(self.document)}
        for found in self._resources():
            if found["path"] not in wanted:
                self.gateway.delete_resource(restApiId=self.api, resourceId=found["id"])
                continue
            for method in found.get("resourceMethods") or {}:
                if (found["id"], method) not in kept:
                    self.gateway.delete_method(restApiId=self.api, resourceId=found["id"], httpMethod=method)

    def _resources(self) -> list[dict[str, Any]]:
        return _items(self.gateway.get_paginator("get_resources"), self.api)


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Path, method (in capitals) and operation of all that the document describes."""
    for path, item in (document.get("paths") or {}).items():
        for method, operation in item.items():
            if method in _METHODS:
                yield path, method.upper(), operation


def _items(paginator: Any, api: str) -> list[dict[str, Any]]:
    return [item for page in paginator.paginate(restApiId=api) for item in page.get("items", [])]


def _schemas(document: Document) -> Mapping[str, Any]:
    return (document.get("components") or {}).get("schemas") or {}


def _named_schema(reference: str) -> str:
    if not reference.startswith(_SCHEMAS):
        raise ImportFault(f"{reference!r}: only {_SCHEMAS}... can be referred to")
    return reference.removeprefix(_SCHEMAS)


def _parameters(operation: Document) -> dict[str, bool]:
    """The parameters as a method has them; API Gateway looks at their presence alone."""
    places = {"query": "querystring", "header": "header", "path": "path"}
    return {
        f"method.request.{places[each['in']]}.{each['name']}": bool(each.get("required"))
        for each in operation.get("parameters") or []
    }


def _authorization(security: Any, document: Document) -> dict[str, Any]:
    schemes = (document.get("components") or {}).get("securitySchemes") or {}
    found: dict[str, Any] = {"authorizationType": "NONE"}
    for requirement in security or []:
        for name in requirement:
            scheme = schemes.get(name) or {}
            if scheme.get(_EXTENSION + "authtype") == "awsSigv4":
                found["authorizationType"] = "AWS_IAM"
            elif scheme.get("type") == "apiKey" and str(scheme.get("name")).lower() == "x-api-key":
                found["apiKeyRequired"] = True
            else:
                raise ImportFault(f"security scheme {name!r}: the twin imports awsSigv4 and x-api-key alone")
    return found


def _check_extensions(where: str, part: Document, known: set[str]) -> None:
    extensions = {name.removeprefix(_EXTENSION) for name in part if name.startswith(_EXTENSION)}
    if unknown := extensions - known:
        raise ImportFault(f"{where}: the twin does not know {_EXTENSION}{sorted(unknown)[0]}")
