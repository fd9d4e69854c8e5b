"""Brings a build's sources into its folder, with the service role's credentials."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from twin import archives, git_remote, glue
from twin.services.codebuild.job import PipelineJob
from twin.services.codebuild.phases import PhaseFailed


def fetch(
    build: Mapping[str, Any],
    job: PipelineJob | None,
    folder: Path,
    credentials: Mapping[str, str],
    region: str,
) -> tuple[Path, dict[str, Path]]:
    """Return the primary source's folder and those of the others by name; raises `PhaseFailed`."""
    primary = folder / "src"
    primary.mkdir(parents=True, exist_ok=True)
    client = glue.client("s3", credentials, region)
    try:
        if job is not None:
            others: dict[str, Path] = {}
            for artifact in job.inputs:
                target = primary if artifact.name == job.primary else folder / f"src-{artifact.name}"
                body = client.get_object(Bucket=artifact.bucket, Key=artifact.key)["Body"].read()
                _place(body, target)
                if target is not primary:
                    others[artifact.name] = target
            return primary, others
        if build["source"]["type"] == "S3":
            bucket, _, key = build["source"]["location"].removeprefix("arn:aws:s3:::").partition("/")
            _place(client.get_object(Bucket=bucket, Key=key)["Body"].read(), primary)
    except ClientError as fault:
        raise PhaseFailed("CLIENT_ERROR", f"cannot download the source: {fault}") from fault
    except (archives.ArchiveError, git_remote.GitError) as fault:
        raise PhaseFailed("CLIENT_ERROR", f"cannot unpack the source: {fault}") from fault
    return primary, {}


def _place(content: bytes, target: Path) -> None:
    if content.startswith(b"{"):  # a reference that the connection source left instead of the files
        reference = json.loads(content)
        git_remote.clone(reference["repository"], reference["commit"], reference["branch"], target)
        return
    archives.unpack(content, target)


def buildspec_text(declared: str | None, source: Path, credentials: Mapping[str, str], region: str) -> str:
    """Return the buildspec's text: inline, from S3, or a file of the source. Raises `PhaseFailed`."""
    spec = declared or "buildspec.yml"
    if "\n" in spec or spec.lstrip().startswith("{"):
        return spec
    if spec.startswith("arn:aws:s3:::"):
        bucket, _, key = spec.removeprefix("arn:aws:s3:::").partition("/")
        try:
            return (
                glue.client("s3", credentials, region)
                .get_object(Bucket=bucket, Key=key)["Body"]
                .read()
                .decode()
            )
        except ClientError as fault:
            raise PhaseFailed("YAML_FILE_ERROR", f"cannot read the buildspec {spec}: {fault}") from fault
    path = source / spec
    if not path.is_file():
        raise PhaseFailed("YAML_FILE_ERROR", f"YAML file does not exist: the source holds no {spec}")
    return path.read_text(encoding="utf-8")
