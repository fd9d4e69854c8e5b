"""What training and processing jobs share: containers that run, can be stopped, and are reported on."""

import shutil
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twin import config, faults, glue
from twin.images.container import Container
from twin.images.image import ImageError, find
from twin.json_service import ServiceError
from twin.services.sagemaker import events, roles
from twin.services.sagemaker.hosts import Ending, Hosts, Program
from twin.services.sagemaker.records import Kind, Record, Records, Shelf
from twin.services.sagemaker.storage import Storage, StorageError
from twin.services.sagemaker.tags import Tags

HOST = "algo-1"
_REASON_CHARACTERS = 1024
INTERRUPTED = (
    "InternalServerError: the local twin was shut down while the job was running. Start the job again."
)


class JobFailedError(Exception):
    """The job fails; the message is its failure reason, as AWS words it."""


def host_names(count: int) -> tuple[str, ...]:
    """Return the names of a job's hosts: algo-1, algo-2, ..."""
    return tuple(f"algo-{number}" for number in range(1, count + 1))


class Job:
    """One job at work: its record, its role's session, its hosts."""

    def __init__(self, kind: Kind, record: Record, shelf: Shelf, tags: Tags) -> None:
        """`record` is the job's, and changes while it runs."""
        self.kind, self.record, self.shelf, self.tags = kind, record, shelf, tags
        self.name, self.arn = record[kind.name], record[kind.arn]
        self.stopping = threading.Event()
        self.interrupted = threading.Event()
        self.timed_out = False
        self._began = int(time.time())
        self._hosts: Hosts | None = None
        here = glue.current_scope()
        self.folder = config.current().folder("sagemaker", here.account, here.region) / (
            f"{kind.resource}-{self.name}"
        )

    @property
    def log_group(self) -> str:
        """The CloudWatch log group of this kind of job."""
        return f"/aws/sagemaker/{self.kind.shape}s"

    def credentials(self) -> dict[str, str]:
        """Return a session of the job's role; raises `JobFailedError`."""
        try:
            return roles.credentials(self.record["RoleArn"], self.arn)
        except glue.TrustError as fault:
            raise JobFailedError(f"ClientError: {fault}") from fault

    def storage(self, credentials: Mapping[str, str]) -> Storage:
        """Return S3 as the job's role sees it."""
        return Storage(self.record["RoleArn"], credentials)

    def hosts(self, image_uri: str, credentials: Mapping[str, str], count: int = 1) -> Hosts:
        """Return fresh hosts for a run of the job, laid out in its folder; raises `JobFailedError`."""
        try:
            self._hosts = Hosts(find(image_uri, credentials), host_names(count), self.folder)
        except ImageError as fault:
            raise JobFailedError(
                "ClientError: Cannot pull algorithm container. Either the image does not exist or its "
                f"permissions are incorrect. ({fault})"
            ) from fault
        return self._hosts

    def run(
        self,
        programs: Mapping[str, Program],
        *,
        limit_seconds: float,
        each: Callable[[str, list[str]], None] | None = None,
    ) -> Ending:
        """Run a program on every host, to the end of all; output goes to CloudWatch Logs, a stream per host.

        They are ended when the job is stopped or interrupted, or `limit_seconds` are over (`timed_out`).
        """
        if self._hosts is None:
            raise RuntimeError("the job has no hosts yet")
        hosts = self._hosts

        def forward(host: str, lines: list[str]) -> None:
            glue.put_log_lines(self.log_group, f"{self.name}/{host}-{self._began}", lines)
            if each is not None:
                each(host, lines)

        def run_out() -> None:
            self.timed_out = True
            hosts.end()

        try:
            hosts.start(programs, f"{self.kind.resource} {self.name}")
        except ImageError as fault:
            raise JobFailedError(f"ClientError: {fault}") from fault
        if faults.strikes_job(f"Create{self.kind.shape}", self.name):
            hosts.kill()
        timer = threading.Timer(max(0.0, limit_seconds), run_out)
        timer.daemon = True
        timer.start()
        try:
            # Asked for while the container was being prepared.
            if self.stopping.is_set() or self.interrupted.is_set():
                hosts.end()
            return hosts.follow(forward)
        finally:
            timer.cancel()

    def stop(self) -> None:
        """Ask the job to stop; it is killed when it does not within AWS's grace."""
        self.stopping.set()
        self._end()

    def interrupt(self) -> None:
        """Take the job's hosts away, with the notice that AWS gives; whoever runs it starts it again."""
        self.interrupted.set()
        self._end()

    def _end(self) -> None:
        if self._hosts is not None:
            self._hosts.end()

    def change(self, **members: Any) -> None:
        """Change the job's record and tell EventBridge."""
        self.shelf.change(self.record, **members)
        events.announce(self.kind, self.record, self.tags)

    def clean_up(self) -> None:
        """Delete the job's folder, as AWS deletes the instances."""
        if self._hosts is not None:
            self._hosts.remove()
            shutil.rmtree(self.folder, ignore_errors=True)


class JobBoard:
    """The jobs that run in this process, by ARN, and how they are started, stopped and given up."""

    def __init__(
        self,
        kind: Kind,
        records: Records,
        tags: Tags,
        work: Callable[[Job], None],
        ending: Callable[[Record, str, str], dict[str, Any]],
    ) -> None:
        """Keep jobs of a kind.

        `work` does a job from start to end, and raises `JobFailedError` or `StorageError` to fail it;
        `ending` (record, final status, reason) gives the members that a job has once it has ended.
        """
        self.kind, self.shelf, self.tags = kind, records.shelf(kind), tags
        self._work, self._ending = work, ending
        self._running: dict[str, Job] = {}

    @property
    def _status(self) -> str:
        return f"{self.kind.shape}Status"

    def start(self, record: Record) -> None:
        """Start the job of a new record in a thread of its own."""
        job = Job(self.kind, record, self.shelf, self.tags)
        self._running[job.arn] = job
        glue.spawn(self._run, job, name=f"twin-{self.kind.resource}")

    def running(self, name: str, account: str = "") -> list[Job]:
        """Return the jobs of that name that run now, in every account and region, or in one account."""
        found = [job for job in list(self._running.values()) if job.name.lower() == name.lower()]
        return [job for job in found if account in ("", job.arn.split(":")[4])]

    def _run(self, job: Job) -> None:
        try:
            self._work(job)
        except (JobFailedError, StorageError) as fault:
            reason = str(fault) if isinstance(fault, JobFailedError) else f"ClientError: {fault}"
            self.fail(job, reason)
        except Exception as fault:
            self.fail(
                job, f"InternalServerError: {type(fault).__name__}: {fault} (a defect of the local twin)"
            )
            raise
        finally:
            job.clean_up()
            self._running.pop(job.arn, None)

    def fail(self, job: Job, reason: str) -> None:
        """End a job as failed, or as stopped if that is what was asked for."""
        if job.stopping.is_set():
            self.finish(job, "Stopped")
        else:
            self.finish(job, "Failed", reason[:_REASON_CHARACTERS])

    def finish(self, job: Job, status: str, reason: str = "", **members: Any) -> None:
        """Give the job its final status."""
        if reason:
            members["FailureReason"] = reason
        job.change(**{self._status: status, **self._ending(job.record, status, reason), **members})

    def stop(self, name: str) -> None:
        """Ask a job to stop; raises `ServiceError` when it has ended."""
        record = self.shelf.get(name)
        if record[self._status] not in ("InProgress", "Stopping"):
            raise ServiceError(
                "ValidationException",
                f"The request was rejected because the {self.kind.resource.replace('-', ' ')} is in status "
                f"{record[self._status]}.",
            )
        job = self._running.get(record[self.kind.arn])
        if job is not None and not job.stopping.is_set():
            self.shelf.change(record, **{self._status: "Stopping"})
            job.stop()

    def delete(self, name: str) -> None:
        """Delete the record of a job that has ended."""
        record = self.shelf.get(name)
        if record[self._status] in ("InProgress", "Stopping"):
            raise ServiceError("ResourceInUse", f"Job {name} is still running: stop it first.")
        self.shelf.remove(name)
        self.tags.drop(record[self.kind.arn])

    def give_up_interrupted(self) -> list[tuple[glue.Scope, Record]]:
        """Fail the jobs of the last run of the twin, whose processes are gone; returns them."""
        found: list[tuple[glue.Scope, Record]] = []
        for scope, _, record in self.shelf.store.everywhere():
            if record[self._status] in ("InProgress", "Stopping"):
                ending = self._ending(record, "Failed", INTERRUPTED)
                self.shelf.change(record, **{self._status: "Failed", "FailureReason": INTERRUPTED, **ending})
                found.append((scope, record))
        return found

    def announce(self, interrupted: list[tuple[glue.Scope, Record]]) -> None:
        """Tell EventBridge of jobs that were given up."""
        for scope, record in interrupted:
            with glue.scope(scope.account, scope.region):
                events.announce(self.kind, record, self.tags)


def folder_of(container: Container, inside: str) -> Path:
    """Return a folder of the container, made when it is missing."""
    path = container.path(inside)
    path.mkdir(parents=True, exist_ok=True)
    return path
