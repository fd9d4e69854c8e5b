"""What surrounds asynchronous endpoints: topics that hear of answers and failures, folders of the lake."""

from __future__ import annotations

from typing import cast

from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from constructs import Construct

from vision_platform import data_lake
from vision_platform.encryption import PlatformKey
from vision_platform.model_lines import ModelLines
from vision_platform.permissions import PlatformRole, allow

_BY_REQUEST = "Requests and answers are keyed by request; the folder is one line's own"


class InferenceTopics(Construct):
    """Two topics: one hears of every answer, the other of every failure. Whoever wants to know subscribes."""

    def __init__(self, scope: Construct, id: str, *, key: PlatformKey) -> None:
        super().__init__(scope, id)
        self._topics = [self._topic(kind, key) for kind in ("Success", "Error")]
        self.success, self.error = (topic.topic_arn for topic in self._topics)

    def _topic(self, kind: str, key: PlatformKey) -> sns.ITopic:
        return cast("sns.ITopic", sns.Topic(self, kind, master_key=key.key, enforce_ssl=True))

    def allow_publishing(self, role: PlatformRole) -> None:
        """Let endpoints that run as `role` say how their requests ended."""
        allow(role, ["sns:Publish"], [topic.topic_arn for topic in self._topics])


def folder_of(bucket: s3.IBucket) -> str:
    """Where the lines' folders lie (s3://..., without a slash at its end)."""
    return f"s3://{bucket.bucket_name}/{data_lake.ASYNCHRONOUS.rstrip('/')}"


def allow_working(role: PlatformRole, bucket: s3.IBucket, lines: ModelLines) -> None:
    """Let endpoints that run as `role` read requests, and write answers and failures."""
    data_lake.allow_reading(role, bucket, _folders(lines, "input"), because=_BY_REQUEST)
    data_lake.allow_writing(role, bucket, _folders(lines, "output", "failed"), because=_BY_REQUEST)


def allow_asking(role: PlatformRole, bucket: s3.IBucket, lines: ModelLines) -> None:
    """Let a function that runs as `role` write requests, and read answers and failures."""
    data_lake.allow_writing(role, bucket, _folders(lines, "input"), because=_BY_REQUEST)
    data_lake.allow_reading(role, bucket, _folders(lines, "output", "failed"), because=_BY_REQUEST)


def _folders(lines: ModelLines, *kinds: str) -> list[str]:
    return [f"{data_lake.ASYNCHRONOUS}{line}/{kind}/" for line in lines.names for kind in kinds]
