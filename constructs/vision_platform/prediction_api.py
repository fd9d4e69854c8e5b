"""The prediction API: a REST API made from its OpenAPI document, in front of the functions that answer it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from aws_cdk import Stack, aws_logs
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from vision_platform import logs
from vision_platform.api_document import (
    Document,
    gateway_document,
    operations,
    read_document,
    with_security,
)
from vision_platform.compliance import acknowledge
from vision_platform.encryption import PlatformKey

_STAGE = "live"
# What the gateway hands on as bytes instead of text.
_IMAGE_TYPES = ["image/jpeg", "image/png", "image/webp", "application/octet-stream"]
_SMOKE_PATH = "/v1/smoke/"


@dataclass(frozen=True, kw_only=True)
class ApiLimits:
    """Throttling of the whole API, in requests per second."""

    rate_per_second: float
    burst: int


@dataclass(frozen=True, kw_only=True)
class ApiAccess:
    """Who may call: by signature (`iam`) or API key (`key`), and from which origins browsers may."""

    auth: str
    allowed_origins: tuple[str, ...] = ()


class PredictionApi(Construct):
    """The API that `document` (a YAML file) describes.

    `functions` says which function answers each operation, by operation id. The smoke model has paths of its
    own: IAM keeps callers off it, and smoke tests off the champion.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        name: str,
        document: Path,
        functions: Mapping[str, lambda_.IFunction],
        preflight: lambda_.IFunction,
        access: ApiAccess,
        limits: ApiLimits,
        key: PlatformKey,
        log_retention_days: int,
    ) -> None:
        super().__init__(scope, id)
        self._document = with_security(read_document(document), access.auth)
        access_log = logs.log_group(self, "AccessLog", key=key.key, retention_days=log_retention_days)
        # Shown to HTTP integrations, of which a back end can tell that the gateway calls.
        certificate = apigateway.CfnClientCertificate(self, "Certificate", description=f"API {name}")
        self.api = apigateway.SpecRestApi(
            self,
            "Api",
            rest_api_name=name,
            description="Predictions for images",
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            api_definition=apigateway.ApiDefinition.from_inline(
                gateway_document(
                    self._document,
                    title=name,
                    binary_media_types=_IMAGE_TYPES,
                    integrations={id: self._integration(each) for id, each in functions.items()},
                    preflight=self._integration(preflight) if access.allowed_origins else None,
                    allowed_origins=access.allowed_origins,
                )
            ),
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
        for path, method, operation in operations(self._document):
            self._let_gateway_call(functions[operation["operationId"]], method, path)
            if access.allowed_origins:
                self._let_gateway_call(preflight, "OPTIONS", path)
        self._acknowledge()

    @property
    def url(self) -> str:
        """The address of the API's stage, with a slash at its end."""
        return self.api.url

    @property
    def smoke_arns(self) -> list[str]:
        """The ARNs by which a policy allows smoke tests, and only them, to call the API."""
        return [
            self.api.arn_for_execute_api(method, _with_any_parameter(path), _STAGE)
            for path, method, _ in operations(self._document)
            if path.startswith(_SMOKE_PATH)
        ]

    def _integration(self, function: lambda_.IFunction) -> Document:
        stack = Stack.of(self)
        return {
            "type": "aws_proxy",
            "httpMethod": "POST",  # how Lambda itself is called
            "uri": f"arn:{stack.partition}:apigateway:{stack.region}:lambda:path/2015-03-31/functions/"
            f"{function.function_arn}/invocations",
            "passthroughBehavior": "when_no_match",
        }

    def _let_gateway_call(self, function: lambda_.IFunction, method: str, path: str) -> None:
        """Allow the calls of one operation, and no other."""
        words = "".join(part.capitalize() for part in path.replace(":", "/").replace(".", "/").split("/"))
        name = "".join(letter for letter in words if letter.isalnum())
        function.add_permission(
            f"{name}{method.capitalize()}",
            principal=cast("iam.IPrincipal", iam.ServicePrincipal("apigateway.amazonaws.com")),
            source_arn=self.api.arn_for_execute_api(method, _with_any_parameter(path), _STAGE),
            scope=self,
        )

    def acknowledge_no_firewall(self) -> None:
        """Say why an API that the settings leave without a web ACL may do so."""
        for finding in ("AwsSolutions-APIG3", "APIGWAssociatedWithWAF"):
            acknowledge(
                self.api.deployment_stage,
                finding,
                reason="The settings leave the web ACL out (safeguards.web_acl is off): nobody reaches the "
                "API without credentials that it checks, and it is throttled",
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
            "AwsSolutions-APIG2",
            reason="Requests are validated by the validator that stands in the API's OpenAPI document, from "
            "which the API is made; the rule looks for one outside of it",
        )


def _with_any_parameter(path: str) -> str:
    """The path as ARNs name it, with a wildcard where a parameter stands."""
    return "/".join("*" if part.startswith("{") else part for part in path.split("/"))


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
