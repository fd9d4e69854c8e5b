"""Looks at a run through SageMaker's own SDK (v3), as data scientists do: job, model, endpoint."""

import json
from dataclasses import dataclass
from importlib import import_module
from typing import Any

_MODULE = "sagemaker.core.resources"


@dataclass(frozen=True)
class TrainingJob:
    """A training job as SageMaker describes it; `metrics` are the last values that were read in its log."""

    name: str
    status: str
    instance_type: str
    billable_seconds: float
    metrics: dict[str, float]


@dataclass(frozen=True)
class ModelPackage:
    """A version of a model in the registry."""

    arn: str
    group: str
    status: str
    approval: str


@dataclass(frozen=True)
class DirectAnswer:
    """What an endpoint says without the API in front of it."""

    label: str
    confidence: float
    model_version: str


class Sdk:
    """The SDK's resource classes, acting as the smoke role.

    Importing them takes seconds (they bring pandas and scipy): `load` does it while there is waiting to do.
    """

    def __init__(self, session: Any) -> None:
        """`session` is a boto3 session with the role's credentials."""
        self._session = session

    def load(self) -> None:
        """Import the SDK."""
        import_module(_MODULE)

    def training_job(self, name: str) -> TrainingJob:
        """Raises ClientError when there is none."""
        job = self._resources.TrainingJob.get(training_job_name=name, session=self._session)
        return TrainingJob(
            name=str(job.training_job_name),
            status=str(job.training_job_status),
            instance_type=str(job.resource_config.instance_type),
            billable_seconds=float(job.billable_time_in_seconds or job.training_time_in_seconds or 0),
            metrics={one.metric_name: one.value for one in job.final_metric_data_list or []},
        )

    def model_package(self, arn: str) -> ModelPackage:
        """Raises ClientError when there is none."""
        package = self._resources.ModelPackage.get(model_package_name=arn, session=self._session)
        return ModelPackage(
            arn=str(package.model_package_arn),
            group=str(package.model_package_group_name),
            status=str(package.model_package_status),
            approval=str(package.model_approval_status),
        )

    def ask(self, endpoint: str, pixels: bytes) -> DirectAnswer:
        """One image, as the model takes it, straight to an endpoint."""
        found = self._resources.Endpoint.get(endpoint_name=endpoint, session=self._session)
        answer = found.invoke(
            body=pixels,
            content_type="application/octet-stream",
            accept="application/json",
            session=self._session,
        )
        document = json.loads(answer.body.read())
        (first,) = document["predictions"]
        confidence = float(first["probabilities"][first["label"]])
        return DirectAnswer(first["label"], confidence, document["model_version"])

    @property
    def _resources(self) -> Any:
        return import_module(_MODULE)
