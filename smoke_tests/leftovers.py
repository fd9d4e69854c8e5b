"""Finds what smoke runs leave in an environment, deletes it, and tells what is still there."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from smoke_tests import endpoints
from smoke_tests.budget import Budget
from smoke_tests.faults import CheckFailed, is_absent, is_denied
from smoke_tests.session import Aws
from smoke_tests.settings import Settings

_KEYS_PER_DELETE = 1000  # the most that DeleteObjects takes
SETTLES_WITHIN = 30.0  # seconds that listings may take to follow deletions
DATASETS_PREFIX = "smoke/"
ARTIFACT_PREFIXES = ("models/smoke/", "evaluations/smoke/", "checkpoints/smoke/")
# Keyed by data or by request, which a run may share with one before: of the smoke line's, everything goes.
DATA_PREFIXES = ("prepared/smoke/", "quarantine/smoke/", "asynchronous/smoke/")
# Images that were handed in are keyed by prediction: of the smoke line's, everything goes.
UPLOADS_PREFIX = "smoke/"


@dataclass(frozen=True)
class Leftover:
    """One thing that a smoke run made: what it is, its name, and how to delete it."""

    kind: str
    name: str
    delete: Callable[[], Any]


@dataclass(frozen=True)
class Deleted:
    """How much was deleted, by kind, and what had to stay although it was tried."""

    counts: dict[str, int]
    notes: tuple[str, ...] = ()

    def in_words(self) -> str:
        """For a report."""
        counted = ", ".join(
            f"{number} {kind}{'s' if number > 1 else ''}" for kind, number in self.counts.items()
        )
        return "; ".join((counted or "nothing to delete", *self.notes))


class SmokeLine:
    """Everything of the smoke line in one environment: of one run, or (`run_id` None) of every run."""

    def __init__(self, aws: Aws, settings: Settings, run_id: str | None) -> None:
        self._aws, self._settings, self._run_id = aws, settings, run_id
        self._versions_kept: set[str] = set()

    def endpoint(self) -> list[Leftover]:
        """The smoke endpoint, if it serves what is looked for."""
        found = endpoints.look(self._aws.sagemaker, self._settings.endpoint_name)
        if not found.exists or not self._concerns(found.configuration):
            return []
        return [
            Leftover(
                "endpoint",
                found.name,
                lambda: self._aws.sagemaker.delete_endpoint(EndpointName=found.name),
            )
        ]

    def behind_endpoint(self) -> list[Leftover]:
        """Endpoint configurations, models and model packages."""
        sagemaker = self._aws.sagemaker
        return [
            *self._named(
                "endpoint configuration",
                "list_endpoint_configs",
                "EndpointConfigs",
                "EndpointConfigName",
                lambda name: sagemaker.delete_endpoint_config(EndpointConfigName=name),
            ),
            *self._named(
                "model",
                "list_models",
                "Models",
                "ModelName",
                lambda name: sagemaker.delete_model(ModelName=name),
            ),
            *self._packages(),
        ]

    def objects(self) -> dict[tuple[str, str], list[dict[str, str]]]:
        """Keys (with version ids where the role may see them) by bucket and prefix."""
        data = DATASETS_PREFIX if self._run_id is None else f"{DATASETS_PREFIX}{self._run_id}/"
        places = [(self._settings.datasets_bucket, data)]
        places += [(self._settings.artifacts_bucket, prefix) for prefix in ARTIFACT_PREFIXES]
        found = {
            place: [item for item in self._keys(*place) if self._concerns(item["Key"])] for place in places
        }
        whole = [(self._settings.artifacts_bucket, prefix) for prefix in DATA_PREFIXES]
        for place in (*whole, (self._settings.uploads_bucket, UPLOADS_PREFIX)):
            found[place] = self._keys(*place)
        return {place: items for place, items in found.items() if items}

    def delete_all(self, budget: Budget) -> Deleted:
        """Delete all of it: the endpoint first, because what it uses cannot go before it.

        Raises:
            CheckFailed: when the endpoint does not go in time.
        """
        counts: dict[str, int] = {}
        for leftover in self.endpoint():
            self._delete_endpoint(leftover, budget)
            counts[leftover.kind] = 1
        for leftover in self.behind_endpoint():
            _gone_already_is_fine(leftover.delete)
            counts[leftover.kind] = counts.get(leftover.kind, 0) + 1
        for (bucket, _), items in self.objects().items():
            self._delete_objects(bucket, items)
            counts["object"] = counts.get("object", 0) + len(items)
        notes = [
            f"older versions in {bucket} stay, the role may not delete them" for bucket in self._versions_kept
        ]
        return Deleted(counts, tuple(notes))

    def remaining(self) -> list[str]:
        """What is still there, in words."""
        things = [*self.endpoint(), *self.behind_endpoint()]
        return [f"{thing.kind} {thing.name}" for thing in things] + [
            f"{len(items)} objects in s3://{bucket}/{prefix}"
            for (bucket, prefix), items in self.objects().items()
        ]

    def _concerns(self, name: str) -> bool:
        return self._run_id is None or self._run_id in name

    def _named(
        self, kind: str, operation: str, result: str, field: str, delete: Callable[[str], Any]
    ) -> Iterator[Leftover]:
        """Things named {smoke endpoint}-{run}, as the workflow names them."""
        prefix = f"{self._settings.endpoint_name}-"
        pages = self._aws.sagemaker.get_paginator(operation).paginate(NameContains=prefix)
        for page in pages:
            for item in page[result]:
                name = str(item[field])
                if name.startswith(prefix) and self._concerns(name):
                    yield Leftover(kind, name, lambda name=name: delete(name))

    def _packages(self) -> Iterator[Leftover]:
        """Versions of the smoke model group; one belongs to the run that its description mentions."""
        sagemaker = self._aws.sagemaker
        pages = sagemaker.get_paginator("list_model_packages").paginate(
            ModelPackageGroupName=self._settings.model_package_group
        )
        for page in pages:
            for item in page["ModelPackageSummaryList"]:
                arn = str(item["ModelPackageArn"])
                if self._run_id is not None:
                    described = sagemaker.describe_model_package(ModelPackageName=arn)
                    if not self._concerns(json.dumps(described, default=str)):
                        continue
                yield Leftover(
                    "model package",
                    arn,
                    lambda arn=arn: sagemaker.delete_model_package(ModelPackageName=arn),
                )

    def _delete_endpoint(self, leftover: Leftover, budget: Budget) -> None:
        """SageMaker refuses to delete an endpoint while it creates or updates it, so ask until it is gone."""
        asked = False
        for _ in budget.polls(f"deleting endpoint {leftover.name}"):
            found = endpoints.look(self._aws.sagemaker, leftover.name)
            if not found.exists:
                return
            if asked and found.status == "Deleting":
                continue
            try:
                leftover.delete()
                asked = True
            except ClientError as error:
                if is_absent(error):
                    return
                if found.status not in {"Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting"}:
                    raise

    def _keys(self, bucket: str, prefix: str) -> list[dict[str, str]]:
        """All versions and delete markers under a prefix; only current objects if the role sees no more."""
        if bucket not in self._versions_kept:
            try:
                pages = self._aws.s3.get_paginator("list_object_versions").paginate(
                    Bucket=bucket, Prefix=prefix
                )
                return [
                    {"Key": item["Key"], "VersionId": item["VersionId"]}
                    for page in pages
                    for item in [*page.get("Versions", []), *page.get("DeleteMarkers", [])]
                ]
            except ClientError as error:
                if not is_denied(error):
                    raise
                self._versions_kept.add(bucket)
        pages = self._aws.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [{"Key": item["Key"]} for page in pages for item in page.get("Contents", [])]

    def _delete_objects(self, bucket: str, items: list[dict[str, str]]) -> None:
        for start in range(0, len(items), _KEYS_PER_DELETE):
            batch = items[start : start + _KEYS_PER_DELETE]
            answer = self._aws.s3.delete_objects(Bucket=bucket, Delete={"Objects": batch, "Quiet": True})
            refused = answer.get("Errors", [])
            if any("VersionId" in item for item in batch) and any(
                e["Code"] == "AccessDenied" for e in refused
            ):
                self._versions_kept.add(bucket)
                keys = sorted({item["Key"] for item in batch})
                self._delete_objects(bucket, [{"Key": key} for key in keys])
            elif refused:
                first = refused[0]
                raise CheckFailed(
                    f"{len(refused)} objects of s3://{bucket} could not be deleted, the first one "
                    f"{first['Key']}: {first['Code']} {first.get('Message', '')}"
                )


def _gone_already_is_fine(delete: Callable[[], Any]) -> None:
    try:
        delete()
    except ClientError as error:
        if not is_absent(error):
            raise


def find_remaining(line: SmokeLine, budget: Budget, running: Callable[[], list[str]]) -> list[str]:
    """What is still there, or runs, after a while.

    Listings follow deletions with a delay, and a stopped promotion is cleared up after by another.
    """
    remaining: list[str] = []
    for _ in budget.polls("looking for what is left", at_most=SETTLES_WITHIN):
        remaining = [*running(), *line.remaining()]
        if not remaining:
            break
    return remaining
