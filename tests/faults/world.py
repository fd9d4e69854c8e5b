"""What the fault tests share: a deployed environment with a champion, a caller, listeners, and the table."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import requests

from ops.models.execution import RUNNING, Execution
from ops.models.records import Records
from ops.models.traffic import Traffic
from tests.events import validate
from tests.faults.platform import Platform
from tests.faults.targets import State, all_states
from tests.twin.conftest import DEV, ROOT

MACHINES = ("training", "promotion", "aftermath")
LONGEST_RUN = 300
_POLL_SECONDS = 0.2
_IMAGES = 140

Record = dict[str, Any]
T = TypeVar("T")


@dataclass
class Row:
    """One line of the table: what struck a state, and what became of it."""

    state: str
    fault: str
    outcome: str
    good: bool = True


@dataclass
class World:
    """The environment, its champion, and everything that was seen."""

    platform: Platform
    manifest: str
    traffic: Traffic
    queue: str
    rows: list[Row] = field(default_factory=list[Row])
    heard: list[Record] = field(default_factory=list[Record])

    @property
    def records(self) -> Records:
        """The lineage table."""
        return Records(self.platform.home)

    def client(self, service: str) -> Any:
        """A client as the environment's root."""
        return self.platform.client(service)

    # ---- workflows

    def definitions(self) -> dict[str, Record]:
        """The deployed definitions, by the machine's kind."""
        api = self.client("stepfunctions")
        return {
            kind: json.loads(
                api.describe_state_machine(stateMachineArn=self.platform.home.machine(kind))["definition"]
            )
            for kind in MACHINES
        }

    def states(self) -> dict[tuple[str, str], State]:
        """Every state of every workflow."""
        return all_states(self.definitions())

    def train(self, run_id: str, **more: Any) -> Execution:
        """Starts a run on the dataset, or takes it up again."""
        given = {"line": "champion", "reason": "request", "manifest_uri": self.manifest, "run_id": run_id}
        return self.start("training", given | more)

    def again(self, run_id: str) -> Execution:
        """Takes a run up again as it was started."""
        return self.start("training", {"line": "champion", "reason": "request", "run_id": run_id})

    def start(self, machine: str, given: Record) -> Execution:
        """Starts a workflow."""
        api = self.client("stepfunctions")
        told = api.start_execution(
            stateMachineArn=self.platform.home.machine(machine), input=json.dumps(given)
        )
        return Execution(api, told["executionArn"])

    def ended(self, execution: Execution) -> Execution:
        """Waits for an execution's end."""

        def over() -> bool:
            execution.look()
            return execution.status != RUNNING

        wait_for(over, f"the end of {execution.arn}", LONGEST_RUN)
        return execution

    def entered(self, execution: Execution, state: str) -> None:
        """Waits until an execution is in a state, or has been."""

        def there() -> bool:
            execution.look()
            return any(step.state == state for step in execution.steps)

        wait_for(there, f"{execution.arn} in {state}")

    def last(self, machine: str, *, status: str | None = None) -> Execution | None:
        """The newest execution of a workflow."""
        api = self.client("stepfunctions")
        only = {"statusFilter": status} if status else {}
        listed = api.list_executions(
            stateMachineArn=self.platform.home.machine(machine), maxResults=1, **only
        )["executions"]
        return Execution(api, listed[0]["executionArn"]) if listed else None

    # ---- faults

    @contextmanager
    def fault(self, state: State, error: str, times: int = 1, **more: Any) -> Generator[Callable[[], int]]:
        """Lets the calls of a state fail; gives a way to ask how often that has happened."""
        wanted = {
            "service": state.service,
            "operation": state.operation,
            "error": error,
            "times": times,
            "account": DEV,
            "match": f"state:{self.platform.home.prefix}-{state.machine}/{state.name};",
        }
        with self.injected(wanted | more) as hits:
            yield hits

    @contextmanager
    def injected(self, wanted: Record) -> Generator[Callable[[], int]]:
        """Sets a fault of the twin's, and takes it away again."""
        url = f"{self.platform.twin.endpoint}/_twin/faults"
        answer = requests.post(url, json=wanted, timeout=30)
        assert answer.ok, answer.text
        number = answer.json()["id"]

        def hits() -> int:
            listed = requests.get(url, timeout=30).json()["faults"]
            return next((int(each["hits"]) for each in listed if each["id"] == number), 0)

        try:
            yield hits
        finally:
            requests.delete(url, params={"id": number}, timeout=30)

    # ---- what must hold after every fault

    def events(self) -> list[Record]:
        """Every event of the platform so far, each as it is documented."""
        api = self.client("sqs")
        while True:
            told = api.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages", [])
            if not told:
                return self.heard
            for message in told:
                event = json.loads(message["Body"])
                validate.check([event])
                self.heard.append(event)
                api.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])

    def announced(self, kind: str, **detail: Any) -> None:
        """Waits for an event of this kind whose detail has these values."""

        def there() -> bool:
            return any(
                event["detail-type"] == kind
                and all(event["detail"].get(name) == value for name, value in detail.items())
                for event in self.events()
            )

        wait_for(there, f"{kind} {detail} on the bus")

    def recorded(self, run_id: str, status: str) -> Record:
        """Waits for a run's record to say so."""

        def there() -> Record | None:
            found = self.records.run(run_id)
            return found if found and found["status"] == status else None

        return wait_for(there, f"run {run_id} recorded as {status}")

    def champion_serves(self) -> None:
        """The champion on record answers, and no request has ever failed."""
        counts = self.traffic.counts
        since = counts.sent
        wait_for(lambda: counts.sent >= since + 3, "answers of the API")
        assert not counts.faults, f"{counts.failed} of {counts.sent} requests failed: {dict(counts.faults)}"
        champion = self.records.champion()
        assert champion is not None
        wait_for(
            lambda: counts.latest[-1].model == champion["model_package_arn"],
            f"answers by the champion {champion['model_package_arn']}",
        )

    def nothing_orphaned(self) -> None:
        """No job, lock, place in the queue, configuration or model is left over."""
        wait_for(lambda: not self.orphans(), lambda: f"nothing to be left: {self.orphans()}")

    def orphans(self) -> list[str]:
        """What is there and should not be."""
        api, home = self.client("sagemaker"), self.platform.home
        found = [
            *[f"job {j['TrainingJobName']}" for j in _running(api, "training_jobs", "TrainingJobSummaries")],
            *[
                f"job {j['ProcessingJobName']}"
                for j in _running(api, "processing_jobs", "ProcessingJobSummaries")
            ],
            *[
                f"tuning {j['HyperParameterTuningJobName']}"
                for j in _running(api, "hyper_parameter_tuning_jobs", "HyperParameterTuningJobSummaries")
            ],
        ]
        endpoint = api.describe_endpoint(EndpointName=home.endpoint())
        if endpoint["EndpointStatus"] != "InService":
            found.append(f"endpoint {endpoint['EndpointStatus']}")
        serving = endpoint["EndpointConfigName"]
        champion = self.records.champion() or {}
        if serving != f"{home.endpoint()}-{champion.get('deployment_id')}":
            found.append(f"endpoint with {serving}, champion of {champion.get('deployment_id')}")
        configs = api.list_endpoint_configs(MaxResults=100)["EndpointConfigs"]
        models = api.list_models(MaxResults=100)["Models"]
        found += [
            f"config {each['EndpointConfigName']}"
            for each in configs
            if each["EndpointConfigName"] != serving
        ]
        found += [f"model {each['ModelName']}" for each in models if each["ModelName"] != serving]
        line = self.client("dynamodb").query(
            TableName=home.table,
            KeyConditionExpression="pk = :line",
            ExpressionAttributeValues={":line": {"S": "LINE#champion"}},
            ConsistentRead=True,
        )["Items"]
        places = [each["sk"]["S"] for each in line]
        found += [place for place in places if place.startswith(("QUEUE#", "LOCK", "PROMOTION"))]
        return found

    def jobs(self, run_id: str) -> list[str]:
        """The training and evaluation jobs that a run has had, however they ended."""
        api, own = self.client("sagemaker"), f"{self.platform.home.prefix}-{run_id}"
        training = api.list_training_jobs(NameContains=own, MaxResults=100)["TrainingJobSummaries"]
        judging = api.list_processing_jobs(NameContains=own, MaxResults=100)["ProcessingJobSummaries"]
        found = [
            *[("", each["TrainingJobName"]) for each in training],
            *[("evaluation ", each["ProcessingJobName"]) for each in judging],
        ]
        # Further attempts have a number behind the name.
        return [kind + name for kind, name in found if name == own or name.startswith(f"{own}-")]

    def note(self, state: State | str, fault: str, outcome: str, *, good: bool = True) -> None:
        """Adds a line to the table."""
        self.rows.append(Row(str(state), fault, outcome, good))

    def visited(self) -> set[tuple[str, str]]:
        """Every state that any execution has been in, by machine and name."""
        api, found = self.client("stepfunctions"), set[tuple[str, str]]()
        for machine in MACHINES:
            arn = self.platform.home.machine(machine)
            for page in api.get_paginator("list_executions").paginate(stateMachineArn=arn):
                for each in page["executions"]:
                    found |= {(machine, step) for step in self._steps(each["executionArn"])}
        return found

    def _steps(self, arn: str) -> set[str]:
        api = self.client("stepfunctions")
        execution = Execution(api, arn)
        execution.look()
        found = {step.state for step in execution.steps}
        for run in api.list_map_runs(executionArn=arn)["mapRuns"]:
            for child in api.list_executions(mapRunArn=run["mapRunArn"])["executions"]:
                inner = Execution(api, child["executionArn"])
                inner.look()
                found |= {step.state for step in inner.steps}
        return found


def wait_for(look: Callable[[], T], what: str | Callable[[], str], seconds: float = 60) -> T:
    """Waits until `look` answers something; says what it waited for when it never does."""
    until = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > until:
            raise AssertionError(f"waited {seconds} s for {what if isinstance(what, str) else what()}")
        time.sleep(_POLL_SECONDS)


def sample_data(folder: Path, images: int = _IMAGES) -> Path:
    """A dataset of a few handwritten digits."""
    script = ROOT / "model" / "sample_data.py"
    subprocess.run(
        [str(ROOT / ".venv/bin/python"), str(script), "--out", str(folder), "--limit", str(images)],
        check=True,
        capture_output=True,
    )
    return folder


def _running(api: Any, kind: str, key: str) -> list[Record]:
    return getattr(api, f"list_{kind}")(StatusEquals="InProgress", MaxResults=100)[key]
