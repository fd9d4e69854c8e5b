"""What happens between Starting and the end of a training job: its runs, one after each interruption."""

import time
from collections.abc import Callable
from typing import Any

from twin.images.container import Container, aws_environment
from twin.services.sagemaker import channels
from twin.services.sagemaker.channels import ML
from twin.services.sagemaker.checkpoints import Checkpoints
from twin.services.sagemaker.hosts import Ending, Hosts, Program
from twin.services.sagemaker.jobs import Job, JobFailedError, folder_of, host_names
from twin.services.sagemaker.metrics import MetricReader
from twin.services.sagemaker.records import Record, now
from twin.services.sagemaker.statuses import entered
from twin.services.sagemaker.storage import Storage
from twin.services.sagemaker.toolkit import CODE, Cluster, Script

_DEFAULT_RUNTIME_SECONDS = 86400
# Spot capacity costs about this part of the full price; AWS bills by its price of the hour.
_SPOT_PRICE = 0.3
Listener = Callable[[str, float], None]


class TrainingRun:
    """One training job at work."""

    def __init__(self, job: Job, listener: Listener | None = None) -> None:
        """`listener` is told the name and value of every metric as it is reported."""
        self._job, self._request = job, job.record
        self._spec: Record = self._request["AlgorithmSpecification"]
        self._names = host_names(self._request["ResourceConfig"]["InstanceCount"])
        self._script = Script(self._request.get("HyperParameters", {}), self._request.get("Environment", {}))
        self._metrics = MetricReader(self._spec.get("MetricDefinitions", []), job.name, listener)
        self._credentials = job.credentials()
        self._storage: Storage = job.storage(self._credentials)
        self._trained = 0.0  # seconds in Training so far
        self._lines = {name: list[str]() for name in self._names}
        self.capacity_returns_at = 0.0  # monotonic; set by whoever interrupts the job

    def perform(self) -> str:
        """Do the job and return its final status; raises `JobFailedError` and `StorageError`."""
        while True:
            hosts = self._prepare()
            ending = self._train(hosts)
            if not self._is_interrupted():
                break
            if not self._await_capacity():
                return "Stopped"
        ended_early = self._job.stopping.is_set() or self._job.timed_out
        if ending.code and not ended_early:
            self._fail(hosts, ending)
        self._upload(hosts)
        return "Stopped" if ended_early else "Completed"

    def _prepare(self) -> Hosts:
        """Make the hosts and fill them."""
        self._enter("Downloading")
        hosts = self._job.hosts(self._spec["TrainingImage"], self._credentials, len(self._names))
        for name, container in hosts.containers.items():
            channels.fill(self._request, container, self._storage, name, self._names)
        return hosts

    def _train(self, hosts: Hosts) -> Ending:
        """Run the hosts to their end, with the checkpoints of the run before."""
        programs = self._programs(hosts)
        checkpoints = Checkpoints(self._request, hosts, self._storage)
        checkpoints.restore()
        started = time.monotonic()
        first = {} if "TrainingStartTime" in self._request else {"TrainingStartTime": now()}
        self._enter("Training", **first)
        checkpoints.begin()
        try:
            return self._job.run(programs, limit_seconds=self._seconds_left(), each=self._read)
        finally:
            checkpoints.finish()
            self._count_time(time.monotonic() - started)

    def _read(self, host: str, lines: list[str]) -> None:
        self._lines[host] = [*self._lines[host], *lines][-20:]
        if self._metrics.read(lines):
            self._job.shelf.change(self._request, FinalMetricDataList=self._metrics.final())

    def _programs(self, hosts: Hosts) -> dict[str, Program]:
        named = [channel["ChannelName"] for channel in self._request.get("InputDataConfig", [])]
        cluster = Cluster.of(self._names, self._request["ResourceConfig"]["InstanceType"])
        common = {
            **aws_environment(self._credentials),
            "TRAINING_JOB_NAME": self._job.name,
            "TRAINING_JOB_ARN": self._job.arn,
        }
        own = self._request.get("Environment", {})
        programs: dict[str, Program] = {}
        for host, container in hosts.containers.items():
            command = self._command(container)
            if command is None:
                self._script.fetch(container, self._storage)
                script = self._script.variables(named, cluster, host)
                words = self._script.command(cluster, host)
                programs[host] = Program(words, {**common, **script, **own}, CODE)
            else:
                programs[host] = Program(command, {**common, **own})
        return programs

    def _command(self, container: Container) -> list[str] | None:
        """Return the command that the request or the image names; None for script mode."""
        if self._spec.get("ContainerEntrypoint"):
            return [*self._spec["ContainerEntrypoint"], *self._spec.get("ContainerArguments", [])]
        if not container.image.is_mapped:
            return [*container.image.entrypoint, *self._spec.get("ContainerArguments", ["train"])]
        if not self._script.program:
            raise JobFailedError(
                f"ClientError: image {self._spec['TrainingImage']} runs scripts here: give sagemaker_program "
                "and sagemaker_submit_directory as hyperparameters, or ContainerEntrypoint"
            )
        return None

    # ---- time

    def _seconds_left(self) -> float:
        """Return how long the job may still train; for spot capacity its waiting counts as well."""
        condition = self._request.get("StoppingCondition", {})
        left = condition.get("MaxRuntimeInSeconds", _DEFAULT_RUNTIME_SECONDS) - self._trained
        return min(left, self._wait_left())

    def _wait_left(self) -> float:
        limit = self._request.get("StoppingCondition", {}).get("MaxWaitTimeInSeconds")
        if limit is None or not self._request.get("EnableManagedSpotTraining"):
            return float("inf")
        return limit - (time.time() - self._request["CreationTime"])

    def _count_time(self, seconds: float) -> None:
        self._trained += seconds
        trained = int(self._trained) + 1
        billable = trained
        if self._request.get("EnableManagedSpotTraining"):
            billable = max(1, int(trained * _SPOT_PRICE))
        self._job.shelf.change(self._request, TrainingTimeInSeconds=trained, BillableTimeInSeconds=billable)

    def _is_interrupted(self) -> bool:
        ended = self._job.stopping.is_set() or self._job.timed_out
        return self._job.interrupted.is_set() and not ended

    def _await_capacity(self) -> bool:
        """Wait for capacity; False when the job was stopped meanwhile, or its time is over."""
        self._enter("Interrupted")
        gone = max(0.0, self.capacity_returns_at - time.monotonic())
        stopped = self._job.stopping.wait(min(gone, max(0.0, self._wait_left())))
        if stopped or self._wait_left() <= 0:
            self._note_limit()
            return False
        self._job.interrupted.clear()
        self._enter("Starting")
        return True

    def _note_limit(self) -> None:
        """Let the job say by which limit it was ended."""
        if self._wait_left() <= 0:
            self._job.shelf.change(self._request, **entered(self._request, "MaxWaitTimeExceeded"))
        elif self._job.timed_out:
            self._job.shelf.change(self._request, **entered(self._request, "MaxRuntimeExceeded"))

    # ---- the end

    def _enter(self, status: str, **members: Any) -> None:
        self._job.change(**entered(self._request, status), **members)

    def _fail(self, hosts: Hosts, ending: Ending) -> None:
        container = hosts.containers[ending.host]
        reported = _failure_file(container)
        if reported is None and self._command(container) is None:
            cluster = Cluster.of(self._names, self._request["ResourceConfig"]["InstanceType"])
            command = " ".join(container.command(self._script.command(cluster, ending.host)))
            raise JobFailedError(self._script.failure(ending.code, self._lines[ending.host], command))
        raise JobFailedError(f"AlgorithmError: {reported or ''}, exit code: {ending.code}")

    def _upload(self, hosts: Hosts) -> None:
        """Pack what all hosts have written into one archive each for model and output."""
        self._enter("Uploading")
        output = self._request["OutputDataConfig"]
        base = f"{output['S3OutputPath'].rstrip('/')}/{self._job.name}/output"
        key = output.get("KmsKeyId") or None
        all_hosts = hosts.containers.values()
        models = [folder_of(container, f"{ML}/model") for container in all_hosts]
        self._storage.upload_archive(models, f"{base}/model.tar.gz", key)
        data = [folder_of(container, f"{ML}/output/data") for container in all_hosts]
        if any(any(folder.iterdir()) for folder in data):
            self._storage.upload_archive(data, f"{base}/output.tar.gz", key)
        artifacts = {"S3ModelArtifacts": f"{base}/model.tar.gz"}
        self._job.shelf.change(self._request, ModelArtifacts=artifacts)
        if self._job.timed_out:
            self._note_limit()


def _failure_file(container: Container) -> str | None:
    """Return what the container wrote about its failure, None when it wrote nothing."""
    path = container.path(f"{ML}/output/failure")
    if not path.is_file():
        return None
    with path.open("rb") as file:
        return file.read(1024).decode(errors="replace").strip() or None
