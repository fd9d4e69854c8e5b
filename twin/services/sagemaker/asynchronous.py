"""Asynchronous endpoints: requests wait in a queue, instances take them, answers and failures go to S3."""

import json
import logging
import random
import time
import uuid
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

from twin import glue
from twin.json_service import Response, ServiceError
from twin.services.sagemaker import async_config, invocation_metrics, roles
from twin.services.sagemaker.connections import ModelUnreachableError, UndeliveredError
from twin.services.sagemaker.deploying import PLAN, Deployer
from twin.services.sagemaker.model_server import RetiredError
from twin.services.sagemaker.records import ENDPOINT, Record, Records
from twin.services.sagemaker.serving import Traffic
from twin.services.sagemaker.storage import Storage, StorageError

log = logging.getLogger("twin.sagemaker")
_PREFIX = "x-amzn-sagemaker-"
_LOOK_SECONDS, _METRICS_SECONDS = 0.1, 5.0
_WORKERS = 32
_TTL_SECONDS, _TIMEOUT_SECONDS, _LONGEST_TIMEOUT_SECONDS = 21_600, 900, 3600
_ACCEPTED = 202


class Asynchronous:
    """The queues of all asynchronous endpoints, and what works on them."""

    def __init__(self, records: Records, deployer: Deployer) -> None:
        """Requests wait in `records`; `deployer` has the servers."""
        self._endpoints, self._queues, self._deployer = records.shelf(ENDPOINT), records.queues, deployer
        self._lock = records.lock
        self._running: Counter[str] = Counter()
        self._measured: dict[str, float] = {}
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="twin-async")

    def accept(self, endpoint: Record, headers: Mapping[str, str]) -> Response:
        """Put a request into its endpoint's queue; the answer says where its result will lie."""
        config = endpoint.get(async_config.CONFIG)
        if config is None:
            raise ServiceError(
                "ValidationError", f"Endpoint {endpoint['EndpointName']} is not an asynchronous endpoint."
            )
        source = headers.get(f"{_PREFIX}inputlocation", "")
        if not source.startswith("s3://"):
            raise ServiceError("ValidationError", f"InputLocation must be an S3 URI; it is {source!r}.")
        where = async_config.locations(config, endpoint["EndpointName"])
        request = {
            "InferenceId": headers.get(f"{_PREFIX}inference-id") or str(uuid.uuid4()),
            "InputLocation": source,
            "OutputLocation": where.output,
            "FailureLocation": where.failure,
            "ContentType": headers.get(f"{_PREFIX}content-type", "application/octet-stream"),
            "Accept": headers.get(f"{_PREFIX}accept", "*/*"),
            "Received": time.time(),
            "TTL": int(headers.get(f"{_PREFIX}requestttlseconds", _TTL_SECONDS)),
            "Timeout": int(headers.get(f"{_PREFIX}invocationtimeoutseconds", _TIMEOUT_SECONDS)),
        }
        with self._lock:
            name = endpoint["EndpointName"].lower()
            self._queues[name] = [*self._queues.get(name, []), request]
        answer = {
            "Content-Type": "application/json",
            "X-Amzn-SageMaker-OutputLocation": where.output,
            "X-Amzn-SageMaker-FailureLocation": where.failure,
        }
        return _ACCEPTED, answer, json.dumps({"InferenceId": request["InferenceId"]}).encode()

    def follow(self) -> None:
        """Hand requests to instances that are free, for ever."""
        while True:
            time.sleep(_LOOK_SECONDS)
            for scope, name, endpoint in self._endpoints.store.everywhere():
                if async_config.CONFIG not in endpoint:
                    continue
                with glue.scope(scope.account, scope.region):
                    try:
                        self._tend(name, endpoint)
                    except Exception:
                        log.exception("the queue of endpoint %s could not be worked on", name)
            self._forget_deleted()

    def _tend(self, name: str, endpoint: Record) -> None:
        if endpoint["EndpointStatus"] not in ("InService", "Updating", "RollingBack"):
            return
        variants: list[Record] = endpoint["ProductionVariants"]
        instances = sum(variant["CurrentInstanceCount"] for variant in variants)
        awake = self._deployer.keep_awake(endpoint, instances > 0)
        self._measure(name, endpoint, instances)
        most = instances * async_config.concurrency(endpoint[async_config.CONFIG])
        while awake and self._running[endpoint["EndpointArn"]] < most:
            request = self._next(name)
            if request is None:
                return
            with self._lock:
                self._running[endpoint["EndpointArn"]] += 1
            self._pool.submit(glue.keep_scope(self._work), name, endpoint, request)

    def _next(self, name: str) -> Record | None:
        with self._lock:
            waiting = self._queues.get(name, [])
            if not waiting:
                return None
            self._queues[name] = waiting[1:]
            return waiting[0]

    def _work(self, name: str, endpoint: Record, request: Record) -> None:
        try:
            self._answer(endpoint, request)
        except RetiredError:
            with self._lock:  # a deployment took its server away: first again
                self._queues[name] = [request, *self._queues.get(name, [])]
        except Exception:
            log.exception("a request to endpoint %s could not be answered", name)
        finally:
            with self._lock:
                self._running[endpoint["EndpointArn"]] -= 1

    def _answer(self, endpoint: Record, request: Record) -> None:
        serving = self._deployer.serving(endpoint["EndpointName"])
        if serving is None:
            return
        shown, traffic = serving
        role = endpoint[PLAN][0]["RoleArn"]
        credentials = roles.credentials(role, endpoint["EndpointArn"])
        storage, config = Storage(role, credentials), endpoint[async_config.CONFIG]
        key = config["OutputConfig"].get("KmsKeyId")
        try:
            kind, body = self._ask(shown, traffic, request, storage)
            storage.write(request["OutputLocation"], body, kind, key)
            fault = None
        except (_FailedError, StorageError) as failure:
            fault, kind = str(failure), "text/plain"
            try:
                storage.write(request["FailureLocation"], fault.encode(), kind, key)
            except StorageError as second:
                log.warning("%s: the failure could not be written: %s", endpoint["EndpointName"], second)
        self._notify(endpoint, request, credentials, kind, fault)

    def _ask(
        self, endpoint: Record, traffic: Traffic, request: Record, storage: Storage
    ) -> tuple[str, bytes]:
        if time.time() - request["Received"] > request["TTL"]:
            raise _FailedError("The request expired in the queue: RequestTTLSeconds have passed.")
        body = storage.read(request["InputLocation"])
        variants = traffic.variants(endpoint["ProductionVariants"])
        weights = [variant["CurrentWeight"] for variant in variants]
        variant = random.choices(variants, weights)[0]  # noqa: S311  # a share of traffic, not a secret
        counts = invocation_metrics.of(
            endpoint["EndpointName"], variant["VariantName"], variant["CurrentInstanceCount"]
        )
        headers = {
            "Content-Type": request["ContentType"],
            "Accept": request["Accept"],
            "X-Amzn-SageMaker-Inference-Id": request["InferenceId"],
        }
        unreachable: Exception = RetiredError()
        timeout = min(request["Timeout"], _LONGEST_TIMEOUT_SECONDS)
        for server in traffic.servers(variant["VariantName"]):
            began = time.perf_counter()
            try:
                answer = server.invoke(headers, body, timeout=timeout)
            except UndeliveredError as fault:
                unreachable = fault
                continue
            except ModelUnreachableError as fault:
                counts.answered(500)
                raise _FailedError(str(fault)) from fault
            counts.answered(answer.status)
            counts.took(time.perf_counter() - began, 0)
            if answer.status >= 400:
                side = "client" if answer.status < 500 else "server"
                said = answer.body.decode(errors="replace")
                raise _FailedError(
                    f'Received {side} error ({answer.status}) from primary with message "{said}".'
                )
            given = {name.lower(): value for name, value in answer.headers.items()}
            return given.get("content-type", "application/octet-stream"), answer.body
        if isinstance(unreachable, RetiredError):
            raise unreachable
        raise _FailedError(str(unreachable))

    @staticmethod
    def _notify(
        endpoint: Record, request: Record, credentials: Mapping[str, str], kind: str, fault: str | None
    ) -> None:
        topic = async_config.topic(endpoint[async_config.CONFIG], fault is None)
        if topic is None:
            return
        moment = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        received = datetime.fromtimestamp(request["Received"], UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]
        region = glue.current_scope().region
        message: dict[str, Any] = {
            "awsRegion": region,
            "eventTime": moment,
            "receivedTime": f"{received}Z",
            "invocationStatus": "Completed" if fault is None else "Failed",
            "requestParameters": {
                "accept": request["Accept"],
                "endpointName": endpoint["EndpointName"],
                "inputLocation": request["InputLocation"],
            },
            "inferenceId": request["InferenceId"],
            "eventVersion": "1.0",
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
        }
        if fault is None:
            message["responseParameters"] = {
                "contentType": kind,
                "outputLocation": request["OutputLocation"],
            }
        else:
            message |= {"failureReason": fault, "failureLocation": request["FailureLocation"]}
        try:
            sns = glue.client("sns", credentials, region)
            sns.publish(TopicArn=topic, Message=json.dumps(message), Subject="SageMaker inference result")
        except Exception as refusal:
            log.warning("%s: nobody was notified: %s", endpoint["EndpointName"], refusal)

    def _measure(self, name: str, endpoint: Record, instances: int) -> None:
        """Publish how much waits; scaling follows it."""
        arn = endpoint["EndpointArn"]
        if time.monotonic() - self._measured.get(arn, 0) < _METRICS_SECONDS:
            return
        self._measured[arn] = time.monotonic()
        waiting = self._queues.get(name, [])
        backlog = len(waiting) + self._running[arn]
        values = {
            "ApproximateBacklogSize": float(backlog),
            "HasBacklogWithoutCapacity": float(bool(backlog) and not instances),
            **({"ApproximateBacklogSizePerInstance": backlog / instances} if instances else {}),
            **({"ApproximateAgeOfOldestRequest": time.time() - waiting[0]["Received"]} if waiting else {}),
        }
        for metric, value in values.items():
            dimensions = {"EndpointName": endpoint["EndpointName"]}
            glue.count_metric("AWS/SageMaker", metric, value, "None", dimensions)

    def _forget_deleted(self) -> None:
        known = {(scope, name) for scope, name, _ in self._endpoints.store.everywhere()}
        for scope, name, _ in self._queues.everywhere():
            if (scope, name) not in known:
                with glue.scope(scope.account, scope.region), self._lock:
                    self._queues.pop(name, None)


class _FailedError(Exception):
    """A request got no answer; the message goes to its failure location."""
