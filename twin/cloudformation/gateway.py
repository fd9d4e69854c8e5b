"""What ministack drops of REST APIs: their documents, validators, access logs and a few settings."""

from typing import Any

from twin import glue
from twin.apigateway.openapi import MEDIA_TYPES, Import
from twin.cloudformation.completion import Properties, api, changed, completes


@completes("AWS::ApiGateway::Method")
def complete_method(_: str, new: Properties, _old: Properties) -> None:
    """Name the validator of a method's requests, and how its integration treats content.

    An update puts the whole method anew, and both are lost by that: they are set every time.
    """
    here = {
        "restApiId": new["RestApiId"],
        "resourceId": new["ResourceId"],
        "httpMethod": new.get("HttpMethod", "ANY"),
    }
    if new.get("RequestValidatorId"):
        patch = _replace("/requestValidatorId", new["RequestValidatorId"])
        api("apigateway").update_method(**here, patchOperations=[patch])
    handling = (new.get("Integration") or {}).get("ContentHandling")
    if handling:
        patch = _replace("/contentHandling", handling)
        api("apigateway").update_integration(**here, patchOperations=[patch])


@completes("AWS::ApiGateway::Stage")
def complete_stage(name: str, new: Properties, old: Properties) -> None:
    """Set where a stage writes its access log."""
    if not changed("AccessLogSetting", new, old):
        return
    setting = new.get("AccessLogSetting") or {}
    patches = [
        _replace("/accessLogSettings/destinationArn", setting.get("DestinationArn", "")),
        _replace("/accessLogSettings/format", setting.get("Format", "")),
    ]
    api("apigateway").update_stage(restApiId=new["RestApiId"], stageName=name, patchOperations=patches)


@completes("AWS::ApiGateway::RestApi")
def complete_rest_api(api_id: str, new: Properties, old: Properties) -> None:
    """Set what a create leaves out, and make the API what its document says."""
    patches: list[dict[str, Any]] = []
    if not old:
        if "DisableExecuteApiEndpoint" in new:
            patches.append(
                _replace("/disableExecuteApiEndpoint", str(new["DisableExecuteApiEndpoint"]).lower())
            )
        if "ApiKeySourceType" in new:
            patches.append(_replace("/apiKeySource", new["ApiKeySourceType"]))
    document = new.get("Body") or {}
    title = (document.get("info") or {}).get("title")
    if title and not new.get("Name"):
        patches.append(_replace("/name", title))
    if patches:
        api("apigateway").update_rest_api(restApiId=api_id, patchOperations=patches)
    if document and changed("Body", new, old):
        Import(api("apigateway"), api_id, document).run(old.get("Body"))


def keep_documents_from_ministack() -> None:
    """Let ministack make the plain API alone: it imports but a part of a document, into a new API."""
    handler = glue.internal("services.cloudformation.provisioners")._RESOURCE_HANDLERS[
        "AWS::ApiGateway::RestApi"
    ]
    create, update = handler["create"], handler["update"]

    def create_plain(logical_id: str, properties: Properties, stack_name: str) -> Any:
        return create(logical_id, _plain(properties), stack_name)

    def update_plain(physical_id: str, old: Properties, new: Properties, *rest: Any) -> Any:
        return update(physical_id, _plain(old), _plain(new), *rest)

    handler["create"], handler["update"] = create_plain, update_plain


def _plain(properties: Properties) -> Properties:
    """The properties without the document, but with the media types that it names."""
    plain = {name: value for name, value in properties.items() if name != "Body"}
    named = (properties.get("Body") or {}).get(MEDIA_TYPES)
    return plain if named is None else {**plain, "BinaryMediaTypes": named}


def _replace(path: str, value: str) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": value}
