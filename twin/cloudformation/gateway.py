"""What ministack drops of REST APIs: validators, access logs and a few settings."""

from typing import Any

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
    """Set what a create leaves out; ministack's update knows it."""
    patches: list[dict[str, Any]] = []
    if not old:
        if "DisableExecuteApiEndpoint" in new:
            patches.append(
                _replace("/disableExecuteApiEndpoint", str(new["DisableExecuteApiEndpoint"]).lower())
            )
        if "ApiKeySourceType" in new:
            patches.append(_replace("/apiKeySource", new["ApiKeySourceType"]))
    if patches:
        api("apigateway").update_rest_api(restApiId=api_id, patchOperations=patches)


def _replace(path: str, value: str) -> dict[str, str]:
    return {"op": "replace", "path": path, "value": value}
