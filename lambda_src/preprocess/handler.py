"""Prepares one batch of a dataset: the shards that it names, unless they are there already."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import boto3
from aws_lambda_powertools import Logger
from botocore.config import Config as ClientConfig
from pydantic import BaseModel, ConfigDict, Field
from shard_making import LIMITS, Source, make_shard

from vision_runtime import environment
from vision_runtime.manifest import Split
from vision_runtime.prepared import Part, PreparedError, PreparedFolder, Report, ShardName, read, recipe
from vision_runtime.prepared_event import FolderEvent
from vision_runtime.read_ahead import MOST, window
from vision_runtime.redaction_rekognition import detector_named
from vision_runtime.run_event import read_event
from vision_runtime.spec import ModelSpec

logger = Logger()
s3: Any = boto3.client("s3", config=ClientConfig(max_pool_connections=MOST, retries={"mode": "standard"}))
artifacts_bucket = environment.text(os.environ, "ARTIFACTS_BUCKET")
redaction = environment.text(os.environ, "REDACTION")
detector = detector_named(redaction)
spec = ModelSpec.from_environment(os.environ)
made_by = recipe(spec, redaction)
ahead = window(os.environ, LIMITS.max_bytes)
# A shard that is older may expire before the run that needs it has ended: it is made again.
fresh = timedelta(days=environment.whole(os.environ, "INTERMEDIATE_DAYS")) / 2


class PlanOutdated(ValueError):
    """A plan was made by another version of this code or of the model's spec; the run starts again."""


class Shard(BaseModel):
    """A shard to be made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split: Split
    number: Annotated[int, Field(ge=0)]


class PreprocessEvent(FolderEvent):
    """What the workflow's map passes in: a batch."""

    shards: Annotated[tuple[Shard, ...], Field(min_length=1)]


@logger.inject_lambda_context(clear_state=True)
def handler(event: dict[str, Any], _context: Any) -> dict[str, int]:
    """Make a batch of shards. Raises ManifestError, PlanOutdated, by these names."""
    request = read_event(PreprocessEvent, event)
    logger.append_keys(run_id=request.run_id, line=request.line)
    folder = request.folder(artifacts_bucket)
    source = Source(s3, request.manifest(), spec.input, detector, ahead)
    made = skipped = 0
    for shard in request.shards:
        name = ShardName(shard.split, shard.number)
        if _is_there(folder, name):
            skipped += 1
            continue
        report = make_shard(source, folder, _part(folder, name))
        made += 1
        logger.info(
            "made", shard=folder.shard(name).key, images=len(report.digests), rejected=len(report.rejected)
        )
    return {"made": made, "skipped": skipped}


def _is_there(folder: PreparedFolder, name: ShardName) -> bool:
    """Whether the shard is complete and will outlive the run."""
    place = folder.report(name)
    stored = place.stored(s3)
    if stored is None or datetime.now(UTC) - stored.modified > fresh:
        return False
    try:
        report = read(s3, place, Report)
    except PreparedError:
        return False  # another version's, or damaged: the shard is made again
    shard = folder.shard(name).stored(s3)
    return report is not None and shard is not None and shard.size == report.shard_bytes


def _part(folder: PreparedFolder, name: ShardName) -> Part:
    part = read(s3, folder.part(name), Part)
    if part is None or part.recipe != made_by:
        raise PlanOutdated(
            f"{folder.part(name)} is missing, or planned for another version of the model's input or of the "
            "image rules: start the run again, which plans anew"
        )
    return part
