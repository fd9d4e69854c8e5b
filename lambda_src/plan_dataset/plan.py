"""Divides a dataset into parts of one shard each, and these into batches, and writes both."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from vision_runtime.manifest import SPLITS, Manifest
from vision_runtime.prepared import (
    DatasetName,
    Part,
    Plan,
    PlannedImage,
    PreparedFolder,
    ShardName,
    holdout_digest,
    write,
)

WRITERS = 16  # threads that wait for S3


def make_plan(manifest: Manifest, manifest_sha256: str, data_id: str, shard_images: int) -> Plan:
    """What is to be prepared of a manifest."""
    return Plan(
        dataset=DatasetName(name=manifest.dataset, version=manifest.version),
        manifest_sha256=manifest_sha256,
        data_id=data_id,
        holdout_sha256=holdout_digest(manifest.of("holdout")),
        shard_images=shard_images,
        counts={split: len(manifest.of(split)) for split in SPLITS},
    )


def parts(plan: Plan, manifest: Manifest, classes: Sequence[str], recipe: str) -> Iterator[Part]:
    """One for each shard; the holdout's first, because no fault in it is tolerated."""
    indices = {label: index for index, label in enumerate(classes)}
    for split in SPLITS:
        images = manifest.of(split)
        for number in range(plan.shards(split)):
            first = number * plan.shard_images
            yield Part(
                recipe=recipe,
                split=split,
                number=number,
                first=first,
                images=tuple(
                    PlannedImage(image.key, indices[image.label], image.sha256)
                    for image in images[first : first + plan.shard_images]
                ),
            )


def write_plan(
    s3: Any, folder: PreparedFolder, plan: Plan, parts: Iterable[Part], shards_per_batch: int
) -> int:
    """Write the parts, the batches and the plan into the folder; answers how many batches there are.

    Whoever plans the same again overwrites all with the same: nothing of it expires while a run needs it.
    """
    shards: list[ShardName] = []
    with ThreadPoolExecutor(WRITERS) as writers:
        written: list[Future[bytes]] = []
        for part in parts:
            shards.append(ShardName(part.split, part.number))
            written.append(writers.submit(write, s3, folder.part(shards[-1]), part))
        for done in written:
            done.result()
    batches = [
        {
            "shards": [
                {"split": split, "number": number} for split, number in shards[first:][:shards_per_batch]
            ]
        }
        for first in range(0, len(shards), shards_per_batch)
    ]
    write(s3, folder.batches, batches)
    write(s3, folder.plan, plan)
    return len(batches)
