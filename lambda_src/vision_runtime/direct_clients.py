"""Clients of SageMaker's runtime and of DynamoDB for the way of a prediction, which its caller waits for.

They have the methods, the answers and the errors of boto3's clients, for the calls and parameters that a
prediction needs. Signature and HTTP are botocore's; left out are its models of services with all that reads
them. Where an environment asks for more than they know (`suit`), botocore's clients are to be used instead.
Of botocore only such parts are used as others have long used from outside: Lambda's runtime brings it, in a
version of its own. Measured on two cores: a start takes 126 ms of CPU instead of 187
(benchmarks/adapter.py), the client's side of the two calls of a prediction 1.1 ms instead of 1.8.
"""

from __future__ import annotations

import io
import json
import os
import random
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from vision_runtime import environment
from vision_runtime.tracing import TracedCall

# What passes by itself, as in botocore's standard mode of retries.
_PASSING_STATUSES = {500, 502, 503, 504}
_PASSING_CODES = {
    "BandwidthLimitExceeded",
    "LimitExceededException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
}
_LONGEST_PAUSE_SECONDS = 20
# Without the first, a request in two pieces waits 40 ms for the other side's acknowledgement of the first.
_SOCKET = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1), (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]


# What changes the addresses of botocore's clients, and not of these.
_SWITCHES = ("AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS")


class _Keys(NamedTuple):
    access_key: str
    secret_key: str
    token: str | None


class _Service:
    """One service of one region, signed for with the keys that Lambda puts into the environment."""

    def __init__(
        self, service_id: str, host: str, signing_name: str, settings: Config, shown: Mapping[str, str]
    ) -> None:
        """Raises ConfigurationError naming the variable that is missing."""
        variables = os.environ
        self._region = environment.text(variables, "AWS_REGION")
        keys = _Keys(
            environment.text(variables, "AWS_ACCESS_KEY_ID"),
            environment.text(variables, "AWS_SECRET_ACCESS_KEY"),
            variables.get("AWS_SESSION_TOKEN"),
        )
        self._service_id, self._shown = service_id, shown
        self.url = _endpoint(service_id, host, self._region)
        self._signature = SigV4Auth(keys, signing_name, self._region)
        self.settings: Any = settings  # botocore gives it its attributes at run time
        trusted: Any = variables.get("AWS_CA_BUNDLE") or variables.get("REQUESTS_CA_BUNDLE") or True
        self._http = URLLib3Session(
            verify=trusted,
            proxies=get_environ_proxies(self.url),
            timeout=(self.settings.connect_timeout, self.settings.read_timeout),
            max_pool_connections=self.settings.max_pool_connections,
            socket_options=_SOCKET,
        )

    def call(
        self, operation: str, path: str, body: bytes, headers: dict[str, str], about: Mapping[str, Any]
    ) -> AWSResponse:
        """The answer to one operation, tried as often as the settings say; traced as one call.

        Raises botocore's errors: ClientError for what the service refuses, others when there is no answer.
        """
        traced = TracedCall(self._service_id, self._region, operation, self._shown, about)
        try:
            answer = self._answer(path, body, headers)
        except Exception as error:
            traced.failed(error)
            raise
        request_id = str(answer.headers.get("x-amzn-requestid", ""))
        traced.answered(answer.status_code, request_id)
        if answer.status_code < 300:
            return answer
        raise ClientError(_described(answer, request_id), operation)

    def _answer(self, path: str, body: bytes, headers: dict[str, str]) -> AWSResponse:
        tries = int(self.settings.retries["total_max_attempts"])
        for tried in range(1, tries):
            try:
                answer = self._try(path, body, headers)
            except (ConnectionError, HTTPClientError):
                pass
            else:
                if not _passes(answer):
                    return answer
            time.sleep(min(random.random() * 2 ** (tried - 1), _LONGEST_PAUSE_SECONDS))  # noqa: S311 - a pause
        return self._try(path, body, headers)

    def _try(self, path: str, body: bytes, headers: dict[str, str]) -> AWSResponse:
        sent = {"User-Agent": self.settings.user_agent, **headers}
        if trace := os.environ.get("_X_AMZN_TRACE_ID"):
            # The service continues the invocation's trace, and AWS stops functions that call in a circle.
            sent["X-Amzn-Trace-Id"] = trace
        request = AWSRequest("POST", self.url + path, headers=sent, data=body)
        self._signature.add_auth(request)
        return self._http.send(request.prepare())


class SageMakerRuntime:
    """Stands for boto3's client of `sagemaker-runtime`."""

    def __init__(self, settings: Config, shown: Mapping[str, str]) -> None:
        """`shown`: as `tracing.trace_calls` takes it. Raises ConfigurationError."""
        self._service = _Service("SageMaker Runtime", "runtime.sagemaker", "sagemaker", settings, shown)
        self.settings, self.url = self._service.settings, self._service.url

    def invoke_endpoint(
        self,
        *,
        EndpointName: str,
        Body: bytes,
        ContentType: str,
        Accept: str,
        TargetModel: str = "",
        CustomAttributes: str = "",
    ) -> dict[str, Any]:
        """The model's answer in `Body`. Raises botocore's errors."""
        headers = {
            "Content-Type": ContentType,
            "Accept": Accept,
            "X-Amzn-SageMaker-Target-Model": TargetModel,
            "X-Amzn-SageMaker-Custom-Attributes": CustomAttributes,
        }
        given = {name: value for name, value in headers.items() if value}
        path = f"/endpoints/{quote(EndpointName, safe='')}/invocations"
        answer = self._service.call("InvokeEndpoint", path, Body, given, {"EndpointName": EndpointName})
        return {"Body": io.BytesIO(answer.content), "ContentType": answer.headers.get("Content-Type", "")}


class DynamoDB:
    """Stands for boto3's client of `dynamodb`, for items without binary attributes."""

    def __init__(self, settings: Config, shown: Mapping[str, str]) -> None:
        """`shown`: as `tracing.trace_calls` takes it. Raises ConfigurationError."""
        self._service = _Service("DynamoDB", "dynamodb", "dynamodb", settings, shown)
        self.settings, self.url = self._service.settings, self._service.url

    def get_item(self, **parameters: Any) -> dict[str, Any]:
        """GetItem. Raises botocore's errors."""
        return self._call("GetItem", parameters)

    def put_item(self, **parameters: Any) -> dict[str, Any]:
        """PutItem. Raises botocore's errors."""
        return self._call("PutItem", parameters)

    def update_item(self, **parameters: Any) -> dict[str, Any]:
        """UpdateItem. Raises botocore's errors."""
        return self._call("UpdateItem", parameters)

    def delete_item(self, **parameters: Any) -> dict[str, Any]:
        """DeleteItem. Raises botocore's errors."""
        return self._call("DeleteItem", parameters)

    def _call(self, operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
        }
        answer = self._service.call(operation, "/", json.dumps(parameters).encode(), headers, parameters)
        try:
            return json.loads(answer.content)
        except ValueError as error:
            raise HTTPClientError(error=f"{operation} was answered with what is no JSON: {error}") from error


CLIENTS: Mapping[str, Callable[[Config, Mapping[str, str]], Any]] = {
    "sagemaker-runtime": SageMakerRuntime,
    "dynamodb": DynamoDB,
}


def suit(variables: Mapping[str, str]) -> bool:
    """Whether an environment asks for no addresses that only botocore's own clients know.

    They know those of FIPS 140, those for IPv6, and AWS's isolated regions (the partitions aws-iso...).
    """
    switched = any(variables.get(name, "").lower() == "true" for name in _SWITCHES)
    return not switched and "-iso" not in variables.get("AWS_REGION", "")


def _endpoint(service_id: str, host: str, region: str) -> str:
    """What the environment says, as for any SDK of AWS, or the service's own address in the region."""
    own = f"AWS_ENDPOINT_URL_{service_id.upper().replace(' ', '_')}"
    told = os.environ.get(own) or os.environ.get("AWS_ENDPOINT_URL")
    if told:
        return told.rstrip("/")
    # As CDK's table of regions has it.
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://{host}.{region}.{suffix}"


def _passes(answer: AWSResponse) -> bool:
    if answer.status_code in _PASSING_STATUSES:
        return True
    return answer.status_code >= 400 and _code(answer, _fields(answer)) in _PASSING_CODES


def _described(answer: AWSResponse, request_id: str) -> Any:
    """What botocore tells of a refusal: the code, the message, and the further fields of the service."""
    fields = _fields(answer)
    message = fields.get("message", fields.get("Message", ""))
    told = {name: value for name, value in fields.items() if name not in {"__type", "message", "Message"}}
    return {
        **told,
        "Error": {"Code": _code(answer, fields), "Message": str(message)},
        "ResponseMetadata": {"RequestId": request_id, "HTTPStatusCode": answer.status_code},
    }


def _fields(answer: AWSResponse) -> Mapping[str, Any]:
    try:
        fields = json.loads(answer.content)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}  # pyright: ignore[reportUnknownVariableType]


def _code(answer: AWSResponse, fields: Mapping[str, Any]) -> str:
    """`ns#Throttling`, `Throttling:http://...`: the name alone; the status where an answer names no error."""
    told = answer.headers.get("x-amzn-errortype") or fields.get("__type") or fields.get("code")
    return str(told or answer.status_code).partition(":")[0].rpartition("#")[2]
