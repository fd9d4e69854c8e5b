"""Plans a dataset's preparation: a manifest in, the parts and batches out that are prepared side by side."""

from __future__ import annotations

import hashlib
import os
from typing import Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config as ClientConfig
from holdout import check_holdout
from plan import WRITERS, make_plan, parts, write_plan

from vision_runtime import environment
from vision_runtime.images.rules import MEBIBYTE
from vision_runtime.manifest import ManifestError, read_manifest
from vision_runtime.prepared import PreparedFolder, data_id, recipe
from vision_runtime.prepared_event import CHAMPION, ManifestEvent, line_folder
from vision_runtime.run_event import read_event
from vision_runtime.s3_uri import ObjectMissing, ObjectTooLarge, S3Uri
from vision_runtime.spec import ModelSpec

# 500,000 images take about 80 MiB, and 400 MB of memory; more belong into several datasets.
MAX_MANIFEST_BYTES = 256 * MEBIBYTE

logger = Logger()
s3: Any = boto3.client("s3", config=ClientConfig(max_pool_connections=WRITERS, retries={"mode": "standard"}))
dynamodb: Any = boto3.client("dynamodb", config=ClientConfig(retries={"mode": "standard"}))
artifacts_bucket = environment.text(os.environ, "ARTIFACTS_BUCKET")
lineage_table = environment.text(os.environ, "LINEAGE_TABLE")
shard_images = environment.whole(os.environ, "SHARD_IMAGES")
shards_per_batch = environment.whole(os.environ, "SHARDS_PER_BATCH")
redaction = environment.text(os.environ, "REDACTION")
spec = ModelSpec.from_environment(os.environ)


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: Any) -> dict[str, Any]:
    """Plan one dataset version. Raises ManifestError and HoldoutChanged, by these names."""
    request = read_event(ManifestEvent, event)
    logger.append_keys(run_id=request.run_id, line=request.line)
    location = request.manifest()
    content = _read(location)
    manifest = read_manifest(content, spec.classes)
    if request.line == CHAMPION:
        check_holdout(s3, dynamodb, lineage_table, manifest, location)
    checksum = hashlib.sha256(content).hexdigest()
    made_by = recipe(spec, redaction)
    plan = make_plan(manifest, checksum, data_id(checksum, made_by, shard_images), shard_images)
    folder = PreparedFolder(S3Uri(artifacts_bucket, f"{line_folder(request.line)}{plan.data_id}/"))
    planned = parts(plan, manifest, spec.classes, made_by)
    batches = write_plan(s3, folder, plan, planned, shards_per_batch)
    logger.info("planned", dataset=manifest.dataset, version=manifest.version, counts=plan.counts)
    return {
        "dataset": {"name": manifest.dataset, "version": manifest.version},
        "manifest_sha256": checksum,
        "data_id": plan.data_id,
        "folder_uri": str(folder.at),
        "batches": {"bucket": folder.batches.bucket, "key": folder.batches.key},
        "batch_count": batches,
        "counts": plan.counts,
    }


def _read(location: S3Uri) -> bytes:
    try:
        return location.read(s3, MAX_MANIFEST_BYTES)
    except (ObjectMissing, ObjectTooLarge) as error:
        raise ManifestError(f"manifest_uri: {error}") from error
