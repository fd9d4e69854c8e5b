"""InvokeEndpoint: picks a variant, hands the request to its server, and answers and counts as AWS does."""

import json
import random
import re
import time
from collections.abc import Mapping
from urllib.parse import unquote

from twin import glue
from twin.json_service import NotImplementedInTwin, Response, ServiceError
from twin.services.sagemaker import async_config, invocation_metrics
from twin.services.sagemaker.asynchronous import Asynchronous
from twin.services.sagemaker.connections import Answer, ModelUnreachableError, UndeliveredError
from twin.services.sagemaker.deploying import Deployer
from twin.services.sagemaker.model_server import RetiredError
from twin.services.sagemaker.records import Record
from twin.services.sagemaker.serverless import CONFIG as SERVERLESS
from twin.services.sagemaker.serverless import Concurrency
from twin.services.sagemaker.serving import Traffic

_PATH = re.compile(r"^/endpoints/(?P<name>[^/]+)/(?P<operation>[a-z-]+)$")
_PREFIX = "x-amzn-sagemaker-"
MAX_BODY_BYTES = 6 * 1024 * 1024
MAX_SERVERLESS_BYTES = 4 * 1024 * 1024
_REFUSED_HEADERS = {
    "target-container-hostname": "TargetContainerHostname",
    "inference-component": "InferenceComponentName",
    "session-id": "SessionId (sticky sessions)",
    "enable-explanations": "EnableExplanations",
}


class Runtime:
    """The data plane of SageMaker."""

    def __init__(self, deployer: Deployer, asynchronous: Asynchronous) -> None:
        """`deployer` knows which servers answer for a name; `asynchronous` has the queues of some."""
        self._deployer, self.asynchronous = deployer, asynchronous
        self._concurrency = Concurrency()

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Answer one request below ``/endpoints/``."""
        try:
            found = _PATH.match(path)
            if found is None or found["operation"] not in ("invocations", "async-invocations"):
                raise NotImplementedInTwin(f"sagemaker-runtime:{found['operation'] if found else path}")
            name = unquote(found["name"])
            if found["operation"] == "async-invocations":
                return self.asynchronous.accept(self._serving(name)[0], headers)
            return self._invoke(name, headers, body)
        except ServiceError as fault:
            return _error(fault.status, fault.code, {"Message": fault.message})

    def _invoke(self, name: str, headers: Mapping[str, str], body: bytes) -> Response:
        began = time.perf_counter()
        if len(body) > MAX_BODY_BYTES:
            return _too_large(MAX_BODY_BYTES)
        for header, feature in _REFUSED_HEADERS.items():
            if headers.get(_PREFIX + header):
                raise NotImplementedInTwin(f"sagemaker-runtime:InvokeEndpoint with {feature}")
        while True:
            endpoint, traffic = self._serving(name)
            if async_config.CONFIG in endpoint:
                raise ServiceError(
                    "ValidationError", f"Endpoint {name} is asynchronous: use InvokeEndpointAsync."
                )
            variants = traffic.variants(endpoint["ProductionVariants"])
            variant = _variant(name, variants, headers.get(_PREFIX + "target-variant"))
            if f"Current{SERVERLESS}" in variant and len(body) > MAX_SERVERLESS_BYTES:
                return _too_large(MAX_SERVERLESS_BYTES)
            counts = invocation_metrics.of(
                name, variant["VariantName"], variant.get("CurrentInstanceCount", 1)
            )
            asked = time.perf_counter()
            try:
                with self._concurrency.one(endpoint, variant):
                    answer = self._ask(traffic, variant["VariantName"], headers, body)
                break
            except RetiredError:
                continue  # a deployment went through just now: ask who answers since
            except ModelUnreachableError as fault:
                counts.answered(500)
                return _model_error(name, Answer(0, {}, str(fault).encode()))
        model_seconds = time.perf_counter() - asked
        counts.answered(answer.status)
        counts.took(model_seconds, time.perf_counter() - began - model_seconds)
        if answer.status >= 400:
            return _model_error(name, answer)
        return 200, _answer_headers(answer, variant["VariantName"]), answer.body

    def _serving(self, name: str) -> tuple[Record, Traffic]:
        serving = self._deployer.serving(name)
        if serving is None:
            account = glue.current_scope().account
            raise ServiceError("ValidationError", f"Endpoint {name} of account {account} not found.")
        return serving

    @staticmethod
    def _ask(traffic: Traffic, variant: str, headers: Mapping[str, str], body: bytes) -> Answer:
        passed = {
            "Content-Type": headers.get("content-type", "application/octet-stream"),
            "Accept": headers.get(_PREFIX + "accept") or headers.get("accept", "*/*"),
        }
        custom = headers.get(_PREFIX + "custom-attributes")
        inference = headers.get(_PREFIX + "inference-id")
        passed |= {"X-Amzn-SageMaker-Custom-Attributes": custom} if custom else {}
        passed |= {"X-Amzn-SageMaker-Inference-Id": inference} if inference else {}
        target = headers.get(_PREFIX + "target-model", "")
        passed |= {"X-Amzn-SageMaker-Target-Model": target} if target else {}
        unreachable: UndeliveredError | None = None
        for server in traffic.servers(variant):
            try:
                return server.invoke(passed, body, target=target)
            except UndeliveredError as fault:
                unreachable = fault
        # Without a server the variant has gone since it was chosen.
        raise unreachable or RetiredError


def _variant(name: str, variants: list[Record], target: str | None) -> Record:
    if target is not None:
        found = next((variant for variant in variants if variant["VariantName"] == target), None)
        if found is None:
            raise ServiceError("ValidationException", f"Variant {target} not found for endpoint {name}.")
        return found
    weights = [variant["CurrentWeight"] for variant in variants]
    if not any(weights):
        raise ServiceError("ValidationError", "No variant of the endpoint has a weight above zero.")
    return random.choices(variants, weights)[0]  # noqa: S311  # a share of traffic, not a secret


def _answer_headers(answer: Answer, variant: str) -> dict[str, str]:
    given = {name.lower(): value for name, value in answer.headers.items()}
    headers = {
        "Content-Type": given.get("content-type", "application/octet-stream"),
        "x-Amzn-Invoked-Production-Variant": variant,
    }
    custom = given.get(_PREFIX + "custom-attributes")
    return headers | ({"X-Amzn-SageMaker-Custom-Attributes": custom} if custom else {})


def _model_error(name: str, answer: Answer) -> Response:
    """Return AWS's ModelError: what the container answered, in words and in members."""
    here = glue.current_scope()
    original = answer.body.decode(errors="replace")
    side = "client" if 400 <= answer.status < 500 else "server"
    group = f"/aws/sagemaker/Endpoints/{name}"
    console = f"https://{here.region}.console.aws.amazon.com/cloudwatch/home?region={here.region}"
    message = (
        f'Received {side} error ({answer.status}) from primary with message "{original}". '
        f"See {console}#logEventViewer:group={group} in account {here.account} for more information."
    )
    return _error(
        424,
        "ModelError",
        {
            "ErrorCode": f"{'CLIENT' if side == 'client' else 'INTERNAL'}_ERROR_FROM_MODEL",
            "LogStreamArn": f"arn:aws:logs:{here.region}:{here.account}:log-group:{group}",
            "Message": message,
            "OriginalMessage": original,
            "OriginalStatusCode": answer.status,
        },
    )


def _too_large(most: int) -> Response:
    # AWS answers this one before SageMaker sees it, as plain text.
    return 413, {"Content-Type": "text/plain"}, f"HTTP content length exceeded {most} bytes.".encode()


def _error(status: int, code: str, members: Mapping[str, object]) -> Response:
    headers = {"Content-Type": "application/json", "x-amzn-errortype": code}
    return status, headers, json.dumps({**members, "Code": code}).encode()
