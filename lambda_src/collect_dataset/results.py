"""Writes what people and later steps read: the description of the whole, rejected images, samples of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from findings import Findings

from vision_runtime.manifest import SPLITS
from vision_runtime.prepared import PreparedFolder, Rejected, write
from vision_runtime.prepared_event import FolderEvent
from vision_runtime.s3_uri import S3Uri

LISTED = 20_000  # rejected images; when there are more, the whole dataset is at fault


def describe(s3: Any, folder: PreparedFolder, findings: Findings, classes: Sequence[str]) -> None:
    """Write `manifest.json`: names, sizes and checksums of all shards, and what they hold."""
    plan = findings.plan
    document = {
        "schema": "vision.prepared/1",
        "dataset": plan.dataset.model_dump(),
        "manifest_sha256": plan.manifest_sha256,
        "data_id": plan.data_id,
        "classes": list(classes),
        "splits": {
            split: {
                "images": findings.counts[split],
                "per_class": {
                    label: findings.class_counts[split][index] for index, label in enumerate(classes)
                },
                "shards": [
                    {"name": shard.name, "bytes": shard.size, "sha256": shard.sha256, "images": shard.images}
                    for shard in findings.shards[split]
                ],
            }
            for split in SPLITS
            if split in findings.shards
        },
        "rejected": findings.faults,
        "redacted": dict(sorted(findings.redacted.items())),
    }
    write(s3, folder.manifest, document)


def report_rejections(
    s3: Any, request: FolderEvent, folder: PreparedFolder, findings: Findings, *, tolerated: int, samples: int
) -> None:
    """Write `rejected.json`, and copy the first `samples` rejected images of each fault to quarantine."""
    quarantine = S3Uri(folder.at.bucket, f"quarantine/{request.line}/{findings.plan.data_id}/")
    taken: Counter[str] = Counter()
    images: list[dict[str, Any]] = []
    for split, image in findings.rejected:
        entry = {"split": split, **image.model_dump(), "quarantined": ""}
        if taken[image.fault] < samples:
            taken[image.fault] += 1
            entry["quarantined"] = str(
                _quarantine(s3, request.manifest().sibling(image.key), image, quarantine)
            )
        if len(images) < LISTED:
            images.append(entry)
    document = {
        "schema": "vision.rejected/1",
        "dataset": findings.plan.dataset.model_dump(),
        "counts": findings.faults,
        "tolerated": tolerated,
        "images": images,
        "left_out_of_this_list": len(findings.rejected) - len(images),
    }
    write(s3, folder.rejections, document)


def _quarantine(s3: Any, source: S3Uri, image: Rejected, quarantine: S3Uri) -> S3Uri:
    """Copy inside S3: a rejected image may be far too large for memory. Its own metadata stays behind."""
    place = quarantine.sibling(f"{image.fault}/{image.sha256}")
    s3.copy_object(
        Bucket=place.bucket,
        Key=place.key,
        CopySource={"Bucket": source.bucket, "Key": source.key},
        MetadataDirective="REPLACE",
        TaggingDirective="REPLACE",
        ContentType="application/octet-stream",
    )
    return place
