"""The prediction API: a REST API for signed requests, in front of the function that answers them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs
from constructs import Construct

from vision_platform import logs
from vision_platform.compliance import acknowledge
from vision_platform.encryption import PlatformKey

_STAGE = "live"
# What the gateway hands on as bytes instead of text.
_IMAGE_TYPES = ["image/jpeg", "image/png", "image/webp", "application/octet-stream"]
# API Gateway takes requests of 10 MB; base64 text of that length is longer than any image that fits.
_LONGEST_BASE64 = 10 * 1024 * 1024
_KIND = apigateway.ResponseType
# What the gateway refuses itself: its name for it, the status, and what the caller is told.
_REFUSALS = (
    ("AccessDenied", _KIND.ACCESS_DENIED, 403, "This caller may not use this path"),
    ("RequestTooLarge", _KIND.REQUEST_TOO_LARGE, 413, "The request is larger than 10 MB"),
    ("Throttled", _KIND.THROTTLED, 429, "Too many requests; try again with increasing pauses"),
)
_BAD_BODY = "A JSON body is an object with the field image: a JPEG, PNG or WebP as base64 text"


@dataclass(frozen=True, kw_only=True)
class ApiLimits:
    """Throttling of the whole API, in requests per second."""

    rate_per_second: float
    burst: int


class PredictionApi(Construct):
    """`POST /v1/predictions` for callers and `POST /v1/smoke/predictions` for smoke tests."""

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        handler: lambda_.IFunction,
        limits: ApiLimits,
        key: PlatformKey,
        log_retention_days: int,
    ) -> None:
        super().__init__(scope, id)
        access_log = logs.log_group(self, "AccessLog", key=key.key, retention_days=log_retention_days)
        # Shown to HTTP integrations, of which a back end can tell that the gateway calls.
        certificate = apigateway.CfnClientCertificate(self, "Certificate", description=f"API {name}")
        self.api = apigateway.RestApi(
            self,
            "Api",
            rest_api_name=name,
            description="Predictions for images",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            binary_media_types=_IMAGE_TYPES,
            # The account's one logging role stands in the foundation (see identities.py).
            cloud_watch_role=False,
            deploy_options=_stage_options(access_log, limits, certificate.ref),
        )
        # API Gateway would make this group itself: without a key, and forever.
        execution_log = logs.log_group(
            self,
            "ExecutionLog",
            key=key.key,
            retention_days=log_retention_days,
            name=f"API-Gateway-Execution-Logs_{self.api.rest_api_id}/{_STAGE}",
        )
        self.api.deployment_stage.node.add_dependency(execution_log)
        self._answer_problems()
        integration = apigateway.LambdaIntegration(handler, allow_test_invoke=False)
        signed = self._signed_requests()
        version = self.api.root.add_resource("v1")
        version.add_resource("predictions").add_method("POST", integration, **signed)
        # A path of its own: IAM keeps callers off the smoke model and smoke tests off the champion.
        smoke = version.add_resource("smoke")
        smoke.add_resource("predictions").add_method("POST", integration, **signed)
        self._acknowledge()

    @property
    def url(self) -> str:
        """The address of the API's stage, with a slash at its end."""
        return self.api.url

    @property
    def smoke_arn(self) -> str:
        """The ARN by which a policy allows smoke tests, and only them, to call the API."""
        return self.api.arn_for_execute_api("POST", "/v1/smoke/predictions", _STAGE)

    def _signed_requests(self) -> dict[str, Any]:
        """What both methods ask of a request: a signature, and of a JSON body the right form."""
        validator = apigateway.RequestValidator(
            self,
            "Validator",
            rest_api=self.api,
            validate_request_body=True,
            validate_request_parameters=True,
        )
        image = apigateway.JsonSchema(
            type=apigateway.JsonSchemaType.STRING, min_length=1, max_length=_LONGEST_BASE64
        )
        body = apigateway.Model(
            self,
            "ImageBody",
            rest_api=self.api,
            content_type="application/json",
            description="An image as base64 text",
            schema=apigateway.JsonSchema(
                schema=apigateway.JsonSchemaVersion.DRAFT4,
                type=apigateway.JsonSchemaType.OBJECT,
                required=["image"],
                properties={"image": image},
            ),
        )
        return {
            "authorization_type": apigateway.AuthorizationType.IAM,
            "request_validator": validator,
            "request_models": {"application/json": body},
        }

    def _answer_problems(self) -> None:
        """Let what the gateway itself refuses look like what the function refuses: problem+json."""
        for id, kind, status, detail in _REFUSALS:
            self._gateway_response(id, kind, {"status": status, "detail": detail})
        self._gateway_response(
            "BadRequestBody", _KIND.BAD_REQUEST_BODY, {"status": 400, "detail": _BAD_BODY, "field": "image"}
        )
        self._gateway_response("ClientError", _KIND.DEFAULT_4_XX, {})
        self._gateway_response("ServerError", _KIND.DEFAULT_5_XX, {})

    def _gateway_response(self, id: str, kind: apigateway.ResponseType, more: dict[str, str | int]) -> None:
        problem = {"type": "about:blank", "title": "$context.error.responseType"} | more
        self.api.add_gateway_response(
            id,
            type=kind,
            # The gateway renders the JSON template whatever a client accepts; the header names what it holds.
            templates={"application/json": json.dumps(problem | {"request_id": "$context.requestId"})},
            response_headers={"Content-Type": "'application/problem+json'"},
        )

    def acknowledge_no_firewall(self) -> None:
        """Say why an API that the settings leave without a web ACL may do so."""
        for finding in ("AwsSolutions-APIG3", "APIGWAssociatedWithWAF"):
            acknowledge(
                self.api.deployment_stage,
                finding,
                reason="The settings leave the web ACL out (safeguards.web_acl is off): nobody reaches the "
                "API without a signature of this account's IAM, and it is throttled",
            )

    @property
    def stage_arn(self) -> str:
        """The ARN of the API's stage, by which a web ACL is put in front of it."""
        return self.api.deployment_stage.stage_arn

    def _acknowledge(self) -> None:
        acknowledge(
            self.api.deployment_stage,
            "APIGWCacheEnabledAndEncrypted",
            reason="A cache knows requests by path and headers, not by body: it would answer one image with "
            "the prediction for another",
        )
        acknowledge(
            self.api,
            "AwsSolutions-COG4",
            reason="Callers are machines with IAM roles; they sign requests and have no user tokens to show",
        )


def _stage_options(
    access_log: aws_logs.LogGroup, limits: ApiLimits, certificate_id: str
) -> apigateway.StageOptions:
    return apigateway.StageOptions(
        stage_name=_STAGE,
        client_certificate_id=certificate_id,
        access_log_destination=cast(
            "apigateway.IAccessLogDestination", apigateway.LogGroupLogDestination(access_log)
        ),
        access_log_format=_access_log_format(),
        logging_level=apigateway.MethodLoggingLevel.ERROR,
        # Bodies are images; they stay out of logs.
        data_trace_enabled=False,
        metrics_enabled=True,
        tracing_enabled=True,
        throttling_rate_limit=limits.rate_per_second,
        throttling_burst_limit=limits.burst,
    )


def _access_log_format() -> apigateway.AccessLogFormat:
    field = apigateway.AccessLogField
    return apigateway.AccessLogFormat.custom(
        json.dumps(
            {
                "request_id": field.context_request_id(),
                "trace_id": field.context_xray_trace_id(),
                "time": field.context_request_time(),
                "caller": field.context_identity_caller(),
                "source_ip": field.context_identity_source_ip(),
                "method": field.context_http_method(),
                "path": field.context_path(),
                "status": field.context_status(),
                "response_bytes": field.context_response_length(),
                "latency_ms": field.context_response_latency(),
                "error": field.context_error_response_type(),
            }
        )
    )
