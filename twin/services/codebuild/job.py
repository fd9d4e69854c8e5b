"""What CodePipeline hands to a build that it starts: where the artifacts lie, and what to write back."""

import secrets
from dataclasses import dataclass


@dataclass(frozen=True)
class StoredArtifact:
    """An artifact in an artifact store."""

    name: str
    bucket: str
    key: str


@dataclass(frozen=True)
class PipelineJob:
    """The pipeline's side of one build; `primary` names the input that becomes the build's working folder."""

    pipeline: str
    inputs: tuple[StoredArtifact, ...]
    primary: str
    outputs: tuple[StoredArtifact, ...]
    encryption_key: str | None
    revision: str


_offered: dict[str, PipelineJob] = {}


def offer(job: PipelineJob) -> str:
    """Keep a job for the StartBuild call that follows; returns the idempotency token to send with it.

    The call itself goes over the wire with the action role's credentials, so that IAM judges it.
    """
    token = f"codepipeline-{secrets.token_hex(16)}"
    _offered[token] = job
    return token


def take(token: str | None) -> PipelineJob | None:
    """Return the job that was offered under this token, once."""
    return _offered.pop(token, None) if token else None
