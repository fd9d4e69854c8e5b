"""What an action works with: its resolved configuration, its role's credentials, its artifacts."""

import secrets
import threading
from dataclasses import dataclass, field
from typing import Any

from botocore.exceptions import ClientError

from twin import archives, glue
from twin.services.codepipeline import remote_zip
from twin.services.codepipeline.approvals import Approvals
from twin.services.codepipeline.definition import store_of
from twin.services.codepipeline.errors import Abandoned, ActionFailed, from_client_error
from twin.services.codepipeline.records import ActionRun, Execution


@dataclass
class Result:
    """What an action leaves: output variables, a line for people, source revisions."""

    variables: dict[str, str] = field(default_factory=dict[str, str])
    summary: str | None = None
    revisions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


@dataclass
class ActionContext:
    """One action that is running.

    `credentials` belong to the acting role: the action's own, else the pipeline's. `account` and `region` are
    where the action acts.
    """

    execution: Execution
    declaration: dict[str, Any]
    action: dict[str, Any]
    run: ActionRun
    configuration: dict[str, str]
    credentials: dict[str, str]
    pipeline_credentials: dict[str, str]
    pipeline_account: str
    pipeline_region: str
    account: str
    region: str
    abandoned: threading.Event
    approvals: Approvals
    produced: dict[str, dict[str, str]] = field(default_factory=dict[str, dict[str, str]])

    def client(self, service: str, region: str | None = None) -> Any:
        """Return an SDK client with the acting role's credentials."""
        return glue.client(service, self.credentials, region or self.region)

    def pause(self, seconds: float) -> None:
        """Wait; raises `Abandoned` when the execution is stopped meanwhile."""
        if self.abandoned.wait(seconds):
            raise Abandoned

    def inputs(self) -> list[str]:
        """Return the names of the input artifacts."""
        return [artifact["name"] for artifact in self.action.get("inputArtifacts", [])]

    def outputs(self) -> list[str]:
        """Return the names of the output artifacts."""
        return [artifact["name"] for artifact in self.action.get("outputArtifacts", [])]

    def store(self) -> dict[str, Any]:
        """Return the artifact store of the action's region."""
        return store_of(self.declaration, self.region)

    def encryption_key(self) -> str | None:
        """Return the key that artifacts are encrypted with, or None for the bucket's own."""
        return (self.store().get("encryptionKey") or {}).get("id")

    def locate(self, name: str) -> dict[str, str]:
        """Return bucket and key of an artifact, brought into the action's region where it lies elsewhere."""
        if name not in self.execution.artifacts:
            raise ActionFailed(
                "ConfigurationError", f"the artifact {name!r} was not produced in this execution"
            )
        place, bucket = self.execution.artifacts[name], self.store()["location"]
        if place["bucket"] == bucket:
            return place
        copy = {"bucket": bucket, "key": place["key"]}
        try:
            source = glue.client("s3", self.pipeline_credentials, self.pipeline_region)
            body = source.get_object(Bucket=place["bucket"], Key=place["key"])["Body"].read()
            self._put(glue.client("s3", self.pipeline_credentials, self.region), copy, body)
        except ClientError as fault:
            raise from_client_error(fault, f"cannot copy artifact {name!r} to {self.region}") from fault
        return copy

    def reserve(self, name: str) -> dict[str, str]:
        """Return a fresh place for an output artifact; it counts as produced when the action succeeds."""
        prefix = f"{self.declaration['name'][:20]}/{name[:10]}"
        place = {
            "bucket": self.store()["location"],
            "key": f"{prefix}/{secrets.token_hex(4)}",
        }
        self.produced[name] = place
        return place

    def upload(self, name: str, content: bytes) -> None:
        """Write an output artifact with the acting role's credentials."""
        place = self.reserve(name)
        try:
            self._put(self.client("s3"), place, content)
        except ClientError as fault:
            where = f"s3://{place['bucket']}/{place['key']}"
            raise from_client_error(fault, f"cannot write artifact {name!r} ({where})") from fault

    def _put(self, client: Any, place: dict[str, str], content: bytes) -> None:
        key = self.encryption_key()
        extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        client.put_object(Bucket=place["bucket"], Key=place["key"], Body=content, **extra)

    def read_file(self, reference: str) -> bytes:
        """Return a file of an input artifact, written ``Artifact::path``."""
        name, separator, path = reference.partition("::")
        if not separator or name not in self.inputs():
            raise ActionFailed(
                "ConfigurationError", f"{reference!r} must be written as <input artifact>::<path>"
            )
        place = self.locate(name)
        try:
            return remote_zip.read_member(self.client("s3"), place["bucket"], place["key"], path)
        except archives.ArchiveError as fault:
            raise ActionFailed("ConfigurationError", f"artifact {name!r}: {fault}") from fault
        except ClientError as fault:
            where = f"s3://{place['bucket']}/{place['key']}"
            raise from_client_error(fault, f"cannot read artifact {name!r} ({where})") from fault
