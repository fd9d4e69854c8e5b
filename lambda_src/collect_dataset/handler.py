"""Checks that a dataset is prepared as a whole, and describes it: counts, what was left out and why."""

from __future__ import annotations

import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config as ClientConfig
from findings import Findings, TooManyRejectedImages
from reports import READERS, ShardsMissing, read_reports
from results import describe, report_rejections

from vision_runtime import environment
from vision_runtime.frozen_holdout import FrozenHoldout, freeze
from vision_runtime.prepared import Plan, PreparedFolder, read
from vision_runtime.prepared_event import CHAMPION, FolderEvent
from vision_runtime.run_event import read_event
from vision_runtime.spec import ModelSpec

logger = Logger()
s3: Any = boto3.client("s3", config=ClientConfig(max_pool_connections=READERS, retries={"mode": "standard"}))
dynamodb: Any = boto3.client("dynamodb", config=ClientConfig(retries={"mode": "standard"}))
artifacts_bucket = environment.text(os.environ, "ARTIFACTS_BUCKET")
lineage_table = environment.text(os.environ, "LINEAGE_TABLE")
# A few broken scans must not stop a training run; the report lists them.
max_rejected = environment.share(os.environ, "MAX_REJECTED_SHARE")
samples = environment.whole(os.environ, "QUARANTINE_SAMPLES", least=0)
spec = ModelSpec.from_environment(os.environ)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Collect one prepared dataset.

    Raises ShardsMissing, ManifestError, TooManyRejectedImages and HoldoutChanged, by these names.
    """
    request = read_event(FolderEvent, event)
    logger.append_keys(run_id=request.run_id, line=request.line)
    folder = request.folder(artifacts_bucket)
    plan = _plan(folder)
    findings = Findings(plan, spec.classes)
    for report in read_reports(s3, folder, plan):
        findings.add(report)
    findings.check_leaks(s3, folder)
    tolerated = findings.tolerated(max_rejected)
    report_rejections(s3, request, folder, findings, tolerated=tolerated, samples=samples)
    if len(findings.rejected) > tolerated:
        raise TooManyRejectedImages(f"{findings.too_many(tolerated)}; all of them: {folder.rejections}")
    findings.check_classes()
    if request.line == CHAMPION:
        freeze(dynamodb, lineage_table, _holdout(plan, request), request.run_id)
    describe(s3, folder, findings, spec.classes)
    logger.info("prepared", dataset=plan.dataset.name, version=plan.dataset.version, counts=findings.counts)
    return {
        "dataset": {"name": plan.dataset.name, "version": plan.dataset.version},
        "manifest_sha256": plan.manifest_sha256,
        "train_uri": str(folder.split("train")),
        "validation_uri": str(folder.split("validation")) if findings.counts["validation"] else "",
        "holdout_uri": str(folder.split("holdout")),
        "prepared_uri": str(folder.manifest),
        "report_uri": str(folder.rejections),
        "counts": {**findings.counts, "rejected": len(findings.rejected)},
        "rejected": findings.faults,
    }


def _plan(folder: PreparedFolder) -> Plan:
    plan = read(s3, folder.plan, Plan)
    if plan is None:
        raise ShardsMissing(f"{folder.plan} does not exist: plan the dataset first")
    return plan


def _holdout(plan: Plan, request: FolderEvent) -> FrozenHoldout:
    return FrozenHoldout(
        plan.dataset.name,
        plan.holdout_sha256,
        plan.counts["holdout"],
        plan.dataset.version,
        request.manifest_uri,
    )
