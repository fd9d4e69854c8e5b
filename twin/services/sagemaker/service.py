"""SageMaker as the twin serves it: both planes behind one name, its state, and what a start resumes."""

import json
import shutil
import socket
import time
from typing import Any

from twin import config, glue, iam
from twin.json_service import JsonService, Response
from twin.services.sagemaker.asynchronous import Asynchronous
from twin.services.sagemaker.endpoints import Endpoints
from twin.services.sagemaker.jobs import JobBoard
from twin.services.sagemaker.models import Models
from twin.services.sagemaker.processing import Processing
from twin.services.sagemaker.records import KINDS, Record, Records
from twin.services.sagemaker.registry import Registry
from twin.services.sagemaker.runtime import Runtime
from twin.services.sagemaker.tags import Tags
from twin.services.sagemaker.training import Training
from twin.services.sagemaker.tuning import Tuning

_DATA_PLANE = "/endpoints/"
_START_SECONDS = 60


class SageMaker(JsonService):
    """The operations of every part, found by name."""

    service_name = "sagemaker"

    def __init__(self) -> None:
        """Put the parts together."""
        super().__init__()
        self.records = Records()
        tags = Tags(self.records)
        registry = Registry(self.records, tags)
        iam.judge_by("sagemaker", registry.policy_of)
        models = Models(self.records, tags, registry)
        training, processing = Training(self.records, tags), Processing(self.records, tags)
        tuning = Tuning(self.records, tags, training)
        self._boards, self._tuning = (training.board, processing.board, tuning), tuning
        self.endpoints = Endpoints(self.records, tags, models)
        self.asynchronous = Asynchronous(self.records, self.endpoints.deployer)
        self.runtime = Runtime(self.endpoints.deployer, self.asynchronous)
        for part in (tags, registry, models, training, processing, tuning, self.endpoints):
            for name in self.model.operation_names:
                if hasattr(part, name):
                    setattr(self, name, getattr(part, name))

    async def handle(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> Response:
        """Answer one request to SageMaker or its runtime."""
        if path.startswith(_DATA_PLANE):
            return await glue.run_blocking(self.runtime.answer, path, headers, body)
        return await super().handle(method, path, headers, body, query)

    def get_state(self) -> Any:
        """Return every resource."""
        return self.records.state()

    def load_persisted_state(self, data: Any) -> None:
        """Take up the resources of the last run; endpoints come back once the twin answers."""
        self.records.restore(data)
        self.endpoints.deployer.interrupt()
        interrupted = [(board, board.give_up_interrupted()) for board in self._boards]
        glue.spawn(self._resume, interrupted, name="twin-sagemaker-resume")

    def reset(self) -> None:
        """End every server and forget every resource."""
        self.endpoints.deployer.reset()
        self._tuning.stop_all()
        self.records.reset()

    def _resume(self, interrupted: list[tuple[JobBoard | Tuning, list[tuple[glue.Scope, Record]]]]) -> None:
        # Images and models are fetched through the twin's own S3 and ECR.
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", config.current().port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        for board, jobs in interrupted:
            board.announce(jobs)
        self.endpoints.deployer.resume()


def resource_arn(  # noqa: PLR0917  # the shape that glue calls
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes,
    region: str,
    account: str,
) -> str:
    """Return the ARN that IAM judges a request by."""
    del method
    prefix = f"arn:aws:sagemaker:{region}:{account}:"
    if path.startswith(_DATA_PLANE):
        return f"{prefix}endpoint/{path.split('/')[2].lower()}"
    try:
        request: Any = json.loads(body or b"{}")
    except ValueError:
        return "*"
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    of_one = ("ListTags", "ListTrainingJobsForHyperParameterTuningJob")
    if not isinstance(request, dict) or (operation.startswith("List") and operation not in of_one):
        return "*"
    if isinstance(request.get("ResourceArn"), str):
        return request["ResourceArn"]
    # A version of a package is judged by its own ARN, a new one by its group's.
    order = sorted(KINDS, key=lambda kind: not operation.endswith(kind.shape))
    for kind in order:
        for member in (kind.arn, kind.name):
            named = request.get(member)
            if isinstance(named, str):
                return named if named.startswith("arn:") else f"{prefix}{kind.resource}/{named.lower()}"
    return "*"


def install() -> None:
    """Serve SageMaker and its runtime."""
    # What a killed twin left: whatever comes back is laid out anew.
    shutil.rmtree(config.current().home / "sagemaker", ignore_errors=True)
    service = SageMaker()
    glue.register_service(
        "sagemaker",
        service.handle,
        target_prefixes=[f"{service.target_prefix}."],
        host_patterns=[r"(api|runtime)\.sagemaker\."],
        botocore_names=["sagemaker-runtime"],
        resource_arn=resource_arn,
        state=service,
    )
    glue.spawn(service.asynchronous.follow, name="twin-async")
    from twin.services.sagemaker import cloudformation  # registered last: it calls the service

    cloudformation.install(service)
