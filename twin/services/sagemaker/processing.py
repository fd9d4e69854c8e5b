"""Processing jobs: the control plane, and a container between its inputs and outputs in S3."""

import json
from typing import Any

from twin.images.container import Container, aws_environment
from twin.json_service import ServiceError
from twin.services.sagemaker import events, roles
from twin.services.sagemaker.hosts import Program
from twin.services.sagemaker.jobs import HOST, Job, JobBoard, JobFailedError, folder_of
from twin.services.sagemaker.listing import page
from twin.services.sagemaker.records import PROCESSING_JOB, Record, Records, now
from twin.services.sagemaker.refusal import refuse, refuse_members, require_members
from twin.services.sagemaker.storage import Storage
from twin.services.sagemaker.tags import Tags

_DEFAULT_RUNTIME_SECONDS = 86400
_MESSAGE_FILE = "/opt/ml/output/message"
_MESSAGE_BYTES = 1024


class Processing:
    """Operations on processing jobs."""

    def __init__(self, records: Records, tags: Tags) -> None:
        """Jobs lie in `records`."""
        self._jobs, self._tags = records.shelf(PROCESSING_JOB), tags
        self.board = JobBoard(PROCESSING_JOB, records, tags, self._work, _ending)

    def CreateProcessingJob(self, request: Record) -> Record:
        """Start a processing job on one host."""
        self._jobs.require_free(request["ProcessingJobName"])
        _check(request)
        roles.require(request["RoleArn"], self._jobs.arn(request["ProcessingJobName"]))
        record = {key: value for key, value in request.items() if key != "Tags"}
        record |= {"ProcessingJobStatus": "InProgress", "LastModifiedTime": now()}
        job = self._jobs.add(request["ProcessingJobName"], record)
        self._tags.set(job["ProcessingJobArn"], request.get("Tags"))
        events.announce(PROCESSING_JOB, job, self._tags)
        self.board.start(job)
        return {"ProcessingJobArn": job["ProcessingJobArn"]}

    def DescribeProcessingJob(self, request: Record) -> Record:
        """Return a processing job."""
        return self._jobs.get(request["ProcessingJobName"])

    def ListProcessingJobs(self, request: Record) -> Record:
        """Return a page of processing jobs."""
        found, token = page(PROCESSING_JOB, self._jobs.all(), request, status="ProcessingJobStatus")
        return {"ProcessingJobSummaries": found, "NextToken": token}

    def StopProcessingJob(self, request: Record) -> Record:
        """Ask a processing job to stop."""
        self.board.stop(request["ProcessingJobName"])
        return {}

    def DeleteProcessingJob(self, request: Record) -> Record:
        """Delete a processing job that has ended."""
        self.board.delete(request["ProcessingJobName"])
        return {}

    def _work(self, job: Job) -> None:
        request, application = job.record, job.record["AppSpecification"]
        credentials = job.credentials()
        storage = job.storage(credentials)
        container = job.hosts(application["ImageUri"], credentials).first
        _download(job, container, storage)
        job.shelf.change(request, ProcessingStartTime=now())
        last = [""]

        def each(_host: str, lines: list[str]) -> None:
            last[:] = [line for line in [*last, *lines] if line.strip()][-1:] or [""]

        entrypoint = application.get("ContainerEntrypoint") or list(container.image.entrypoint)
        arguments = application.get("ContainerArguments")
        if arguments is None and "ContainerEntrypoint" not in application:
            arguments = list(container.image.cmd)
        variables = {
            **aws_environment(credentials),
            "PROCESSING_JOB_NAME": job.name,
            "PROCESSING_JOB_ARN": job.arn,
            **request.get("Environment", {}),
        }
        limit = request.get("StoppingCondition", {}).get("MaxRuntimeInSeconds", _DEFAULT_RUNTIME_SECONDS)
        program = Program([*entrypoint, *(arguments or [])], variables)
        code = job.run({HOST: program}, limit_seconds=limit, each=each).code
        message = _message(container)
        members = {"ExitMessage": message} if message else {}
        if job.stopping.is_set() or job.timed_out:
            self.board.finish(job, "Stopped", **members)
            return
        if code:
            job.shelf.change(request, ExitMessage=message or last[0][:_MESSAGE_BYTES] or None)
            raise JobFailedError(f"AlgorithmError: {message or last[0]}, exit code: {code}")
        _upload(request, container, storage)
        self.board.finish(job, "Completed", **members)


def _check(request: Record) -> None:
    """Raise `ServiceError` for what AWS or the twin does not take."""
    cluster = request["ProcessingResources"]["ClusterConfig"]
    require_members(cluster, ["InstanceType", "InstanceCount"], "ProcessingResources.ClusterConfig")
    if cluster["InstanceCount"] > 1:
        raise refuse(
            f"ProcessingResources.ClusterConfig.InstanceCount {cluster['InstanceCount']}",
            "jobs run on one host here",
        )
    for source in request.get("ProcessingInputs", []):
        path = f"ProcessingInputs.{source['InputName']}"
        refuse_members(source, ["AppManaged", "DatasetDefinition"], path)
        require_members(source, ["S3Input"], path)
        given = source["S3Input"]
        if given.get("S3InputMode", "File") != "File":
            raise refuse(f"{path}.S3InputMode {given['S3InputMode']}", "use File")
        if given.get("S3CompressionType", "None") != "None":
            raise refuse(f"{path}.S3CompressionType {given['S3CompressionType']}")
        _check_local(given, path)
    for target in request.get("ProcessingOutputConfig", {}).get("Outputs", []):
        path = f"ProcessingOutputConfig.{target['OutputName']}"
        refuse_members(target, ["AppManaged", "FeatureStoreOutput"], path)
        require_members(target, ["S3Output"], path)
        if target["S3Output"]["S3UploadMode"] != "EndOfJob":
            raise refuse(f"{path}.S3UploadMode {target['S3Output']['S3UploadMode']}", "use EndOfJob")
        _check_local(target["S3Output"], path)


def _check_local(given: Record, path: str) -> None:
    if not given.get("LocalPath", "").startswith("/opt/ml/processing/"):
        raise ServiceError("ValidationException", f"{path}.LocalPath must be below /opt/ml/processing/.")


def _download(job: Job, container: Container, storage: Storage) -> None:
    """Fill the inputs and ``/opt/ml/config`` as SageMaker does before it starts the container."""
    request = job.record
    for source in request.get("ProcessingInputs", []):
        given = source["S3Input"]
        folder = folder_of(container, given["LocalPath"])
        if given["S3DataType"] == "ManifestFile":
            storage.download_manifest(given["S3Uri"], folder)
        else:
            storage.download(given["S3Uri"], folder)
    for target in request.get("ProcessingOutputConfig", {}).get("Outputs", []):
        folder_of(container, target["S3Output"]["LocalPath"])
    folder_of(container, "/opt/ml/output")
    config = folder_of(container, "/opt/ml/config")
    named = ("ProcessingJobName", "ProcessingInputs", "ProcessingOutputConfig", "ProcessingResources")
    named += ("RoleArn", "StoppingCondition", "AppSpecification", "Environment", "NetworkConfig")
    described: dict[str, Any] = {"ProcessingJobArn": job.arn}
    described |= {member: request[member] for member in named if member in request}
    resources = {"current_host": HOST, "hosts": [HOST]}
    (config / "processingjobconfig.json").write_text(json.dumps(described), encoding="utf-8")
    (config / "resourceconfig.json").write_text(json.dumps(resources), encoding="utf-8")


def _upload(request: Record, container: Container, storage: Storage) -> None:
    config = request.get("ProcessingOutputConfig", {})
    for target in config.get("Outputs", []):
        output = target["S3Output"]
        storage.upload(
            folder_of(container, output["LocalPath"]), output["S3Uri"], config.get("KmsKeyId") or None
        )


def _message(container: Container) -> str | None:
    """Return what the container wrote for `ExitMessage`, None when it wrote nothing."""
    path = container.path(_MESSAGE_FILE)
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(_MESSAGE_BYTES).decode(errors="replace").strip() or None


def _ending(record: Record, status: str, reason: str) -> dict[str, Any]:
    del record, status, reason
    return {"ProcessingEndTime": now()}
