"""What lies in the reports bucket: smoke results of the environment before, and the last dossier."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ConfigDict, ValidationError

from delivery.dossier.faults import DossierError, in_words
from delivery.dossier.model import Acknowledgement, Acknowledgements, Dossier, Smoke, SmokeResult
from delivery.dossier.settings import Settings, prefix_of

_SLOWEST = 4
DATA, PAGE = "dossier.json", "index.html"


class _Check(BaseModel):
    model_config = ConfigDict(extra="ignore")

    title: str = ""
    name: str
    status: str
    seconds: float = 0.0


class _Images(BaseModel):
    model_config = ConfigDict(extra="ignore")

    asked: int = 0
    right: int = 0


class _Summary(BaseModel):
    """What of a smoke run's summary.json is shown."""

    model_config = ConfigDict(extra="ignore")

    environment: str
    region: str = ""
    passed: bool
    total_seconds: float = 0.0
    accuracy: float | None = None
    images: _Images = _Images()
    checks: tuple[_Check, ...] = ()


def smoke(settings: Settings, s3: Any) -> Smoke | None:
    """The smoke results of this execution in the environment before; None where there is no such one.

    Raises:
        DossierError: the reports bucket cannot be read, or a summary is none.
    """
    if not settings.before:
        return None
    prefix = f"smoke/{settings.execution}/"
    try:
        pages = s3.get_paginator("list_objects_v2").paginate(
            Bucket=settings.reports_bucket, Prefix=prefix + settings.before
        )
        # A second region's report lies beside the first one's, under the environment's name with its own.
        folders = sorted(
            str(item["Key"]).removesuffix("summary.json")
            for page in pages
            for item in page.get("Contents", [])
            if str(item["Key"]).endswith("/summary.json")
            and str(item["Key"]).removeprefix(prefix + settings.before)[0] in "/-"
        )
        results = [_smoke_result(settings, s3, folder) for folder in folders]
    except (ClientError, BotoCoreError) as error:
        what = f"reading the smoke results in {settings.reports_bucket}"
        raise DossierError(in_words(error, what)) from None
    return Smoke(environment=settings.before, results=tuple(results))


def _smoke_result(settings: Settings, s3: Any, folder: str) -> SmokeResult:
    key = folder + "summary.json"
    body = s3.get_object(Bucket=settings.reports_bucket, Key=key)["Body"].read()
    try:
        found = _Summary.model_validate_json(body)
    except ValidationError as error:
        raise DossierError(
            f"s3://{settings.reports_bucket}/{key} is no summary of a smoke run: {_first(error)}"
        ) from None
    slowest = sorted(found.checks, key=lambda check: -check.seconds)[:_SLOWEST]
    return SmokeResult(
        environment=found.environment,
        region=found.region,
        passed=found.passed,
        checks=len(found.checks),
        failed=tuple(
            check.title or check.name for check in found.checks if check.status not in ("passed", "skipped")
        ),
        accuracy=found.accuracy,
        images_right=f"{found.images.right} of {found.images.asked}" if found.images.asked else "",
        total_seconds=found.total_seconds,
        slowest=tuple((check.title or check.name, check.seconds) for check in slowest),
        page=f"s3://{settings.reports_bucket}/{folder}{PAGE}",
    )


def acknowledgements(
    now: Sequence[Acknowledgement], last_success: str | None, before: Dossier | None
) -> Acknowledgements:
    """Compare the accepted findings with those in the dossier of the execution that is deployed.

    Without one there is nothing to compare with, and the dossier says so.
    """
    found = tuple(sorted(set(now), key=_order))
    if before is None:
        return Acknowledgements(compared_with=None, all=found)
    old = {(each.at, each.finding): each for each in before.acknowledgements.all}
    new = {(each.at, each.finding): each for each in found}
    return Acknowledgements(
        compared_with=last_success,
        all=found,
        added=tuple(each for key, each in new.items() if key not in old),
        removed=tuple(each for key, each in old.items() if key not in new),
        changed=tuple(each for key, each in new.items() if key in old and old[key].reason != each.reason),
    )


def last_dossier(settings: Settings, execution: str | None, s3: Any) -> Dossier | None:
    """The dossier of the execution that is deployed, or None where there is none.

    It was made from the very assembly that was then deployed, which makes it the record of what was accepted
    there, and of what that was to cost.

    Raises:
        DossierError: the reports bucket cannot be read.
    """
    if execution is None:
        return None
    key = prefix_of(execution, settings.environment) + DATA
    try:
        # Looked for first: S3 answers a request for what is not there as it answers a forbidden one.
        there = s3.list_objects_v2(Bucket=settings.reports_bucket, Prefix=key).get("Contents", [])
        if not any(item["Key"] == key for item in there):
            return None
        body = s3.get_object(Bucket=settings.reports_bucket, Key=key)["Body"].read()
        return Dossier.model_validate(json.loads(body))
    except (ClientError, BotoCoreError) as error:
        raise DossierError(in_words(error, f"reading s3://{settings.reports_bucket}/{key}")) from None
    except ValueError:
        # Written by an earlier version of this program: as good as none.
        return None


def _order(acknowledgement: Acknowledgement) -> tuple[str, str, str]:
    return acknowledgement.at, acknowledgement.finding, acknowledgement.reason


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
