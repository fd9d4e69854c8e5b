"""Reads the reports of all shards, and checks that the shards are there."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from vision_runtime.manifest import SPLITS
from vision_runtime.prepared import Plan, PreparedError, PreparedFolder, Report, ShardName, read

READERS = 16  # threads that wait for S3
SHOWN = 5  # shards in one message


class ShardsMissing(ValueError):
    """Shards of the plan have not been made, or are not what their reports say."""


def read_reports(s3: Any, folder: PreparedFolder, plan: Plan) -> Iterator[Report]:
    """The reports of a plan's shards, the holdout's first.

    Raises ShardsMissing, when it is read to its end, for all shards that are missing or not whole.
    """
    names = [ShardName(split, number) for split in SPLITS for number in range(plan.shards(split))]
    missing: list[str] = []
    with ThreadPoolExecutor(READERS) as readers:
        # Some at a time: half a million pictures' digests in all are more than need be in memory.
        for first in range(0, len(names), READERS):
            batch = names[first : first + READERS]
            found = readers.map(lambda name: _report(s3, folder, plan, name), batch)
            for name, report in zip(batch, found, strict=True):
                if report is None:
                    missing.append(folder.shard(name).key)
                else:
                    yield report
    if missing:
        shown = ", ".join(missing[:SHOWN]) + (" ..." if len(missing) > SHOWN else "")
        raise ShardsMissing(
            f"{len(missing)} of {len(names)} shards are missing or not whole ({shown}): prepare their "
            "batches again; what is there is kept"
        )


def _report(s3: Any, folder: PreparedFolder, plan: Plan, name: ShardName) -> Report | None:
    """The shard's report, if the shard is as it says and as large as planned."""
    try:
        report = read(s3, folder.report(name), Report)
    except PreparedError:
        return None  # another version's, or damaged: preprocessing makes the shard again
    if report is None:
        return None
    planned = min(plan.shard_images, plan.counts[name.split] - name.number * plan.shard_images)
    shard = folder.shard(name).stored(s3)
    whole = shard is not None and shard.size == report.shard_bytes and len(report.digests) == planned
    return report if whole else None
