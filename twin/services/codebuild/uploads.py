"""Stores what a build leaves: its artifacts and its test reports."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from twin import archives, glue
from twin.services.codebuild import reports
from twin.services.codebuild.buildspec import ArtifactFiles, Buildspec
from twin.services.codebuild.files import NoFiles, collect, select
from twin.services.codebuild.job import PipelineJob, StoredArtifact
from twin.services.codebuild.log import BuildLog
from twin.services.codebuild.phases import PhaseFailed
from twin.services.codebuild.report_store import ReportAccessDenied, ReportStore


class Uploader:
    """Uploads for one build, with the service role's credentials."""

    def __init__(
        self,
        build: dict[str, Any],
        source: Path,
        credentials: Mapping[str, str],
        region: str,
        log: BuildLog,
    ) -> None:
        """`source` is the folder that the buildspec's paths are relative to."""
        self._build, self._source, self._log = build, source, log
        self._credentials, self._region = credentials, region

    def artifacts(self, buildspec: Buildspec, job: PipelineJob | None) -> None:
        """Upload what the buildspec declares for each output; raises `PhaseFailed`."""
        if job is not None:
            for index, output in enumerate(job.outputs):
                declared = buildspec.secondary_artifacts.get(output.name)
                declared = declared or (buildspec.artifacts if index == 0 else None)
                self._to_pipeline(output, declared, job.encryption_key)
            return
        target = self._build["artifacts_declared"]
        if target["type"] == "S3" and buildspec.artifacts is not None:
            self._to_bucket(buildspec.artifacts, target)

    def _to_pipeline(self, output: StoredArtifact, declared: ArtifactFiles | None, key: str | None) -> None:
        if declared is None:
            raise PhaseFailed(
                "CLIENT_ERROR", f"the buildspec declares no artifact for the action's output {output.name!r}"
            )
        content = archives.pack(self._collect(declared))
        extra = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}
        self._put(output.bucket, output.key, content, extra)

    def _to_bucket(self, declared: ArtifactFiles, target: Mapping[str, Any]) -> None:
        entries = self._collect(declared)
        parts = [target.get("path", "").strip("/")]
        if target.get("namespaceType") == "BUILD_ID":
            parts.append(self._build["id"].rsplit(":", 1)[-1])
        parts.append((target.get("name") or self._build["projectName"]).strip("/"))
        prefix = "/".join(part for part in parts if part)
        if target.get("packaging") == "ZIP":
            self._put(target["location"], prefix, archives.pack(entries), {})
        else:
            for name, path in entries:
                self._put(target["location"], f"{prefix}/{name}", path.read_bytes(), {})
        self._build["artifacts"] = {"location": f"arn:aws:s3:::{target['location']}/{prefix}"}

    def _collect(self, declared: ArtifactFiles) -> list[tuple[str, Path]]:
        try:
            entries = collect(declared, self._source)
        except NoFiles as fault:
            raise PhaseFailed("CLIENT_ERROR", str(fault)) from fault
        self._log.say(f"Found {len(entries)} file(s) for the artifact")
        return entries

    def _put(self, bucket: str, key: str, content: bytes, extra: Mapping[str, str]) -> None:
        try:
            glue.client("s3", self._credentials, self._region).put_object(
                Bucket=bucket, Key=key, Body=content, **extra
            )
        except ClientError as fault:
            raise PhaseFailed("CLIENT_ERROR", f"cannot upload to s3://{bucket}/{key}: {fault}") from fault

    def reports(self, buildspec: Buildspec, store: ReportStore) -> None:
        """Read the report files of the buildspec and store a report per group; raises `PhaseFailed`."""
        for declared in buildspec.reports:
            base = self._source / declared.base_directory
            names = select(declared.files, base) if base.is_dir() else []
            if not names:
                self._log.say(f"No test report files found for report group {declared.group}")
                continue
            try:
                cases = [case for name in names for case in reports.read_junit(base / name, name)]
                arn = store.add(self._build, declared.group, cases, self._credentials)
            except (reports.ReportError, ReportAccessDenied) as fault:
                raise PhaseFailed("CLIENT_ERROR", f"report group {declared.group}: {fault}") from fault
            self._build.setdefault("reportArns", []).append(arn)
            self._log.say(f"Uploaded report {arn}: {len(cases)} test case(s)")
