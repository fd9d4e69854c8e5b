"""The training machine at a workbench: its states as they are deployed, in a world that a test sets."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.assembly import ROOT
from tests.events.validate import SOURCE, check
from tests.twin.conftest import DEV, SERVER_PYTHON, Twin

PREFIX = "vision-dev"
MANIFEST = "s3://data/datasets/digits/v1/manifest.json"
_NUMBERS = itertools.count(1)
_FOLDER = "s3://lake/prepared/champion/d1/"
PREPARED: dict[str, Any] = {
    "dataset": {"name": "digits", "version": "v1"},
    "manifest_sha256": "ab" * 32,
    "train_uri": f"{_FOLDER}train/",
    "validation_uri": "",
    "holdout_uri": f"{_FOLDER}holdout/",
    "prepared_uri": f"{_FOLDER}manifest.json",
    "report_uri": f"{_FOLDER}rejected.json",
    "counts": {"train": 30, "validation": 0, "holdout": 10, "rejected": 1},
    "rejected": {"corrupt": 1},
}
LAMBDAS: dict[str, Any] = {
    "plan": {
        "dataset": {"name": "digits", "version": "v1"},
        "folder_uri": _FOLDER,
        "batches": {"bucket": "lake", "key": "prepared/champion/d1/batches.json"},
        "batch_count": 3,
    },
    "preprocess": {"made": 1, "skipped": 0},
    "collect": PREPARED,
    "select": {
        "training_job": "trial-2",
        "model_uri": "s3://lake/models/champion/trial-2/output/model.tar.gz",
        "objective": 0.99,
        "hyperparameters": {"learning-rate": "0.01"},
        "trials": [],
        "trial_count": 4,
        "left_out": 0,
        "left_out_because": {},
    },
    "gate": {"passed": True, "reasons": ["accuracy 0.98 is at least 0.95"], "metrics": {"accuracy": 0.98}},
}
BATCHES = [{"shards": [{"split": split, "number": 0}]} for split in ("holdout", "train", "train")]


def parts(**changes: Any) -> Any:
    """The workflow's parts with plain names in the place of CloudFormation's references."""
    from vision_platform import training_parts as kinds

    functions = kinds.TrainingFunctions(
        plan_dataset="plan",
        preprocess="preprocess",
        collect_dataset="collect",
        select_model="select",
        gate="gate",
    )
    jobs = kinds.JobSettings(
        training_image="image",
        training_source="s3://assets/source.tar.gz",
        hyperparameters={"epochs": "12", "learning-rate": "0.002", "seed": "17"},
        training_instance_type="ml.c7i.xlarge",
        training_instance_count=1,
        spot=False,
        max_wait_seconds=7200,
        volume_gb=30,
        max_runtime_seconds=3600,
        evaluation_instance_type="ml.c7i.large",
        evaluation_max_runtime_seconds=1800,
        serving_image="serving",
        hosting_instance_type="ml.c7i.large",
    )
    tuning = kinds.TuningSettings(
        enabled=False,
        strategy="Bayesian",
        objective="validation:accuracy",
        direction="Maximize",
        max_jobs=4,
        max_parallel_jobs=2,
        max_runtime_seconds=3600,
        early_stopping=True,
        warm_start=False,
        ranges=(
            kinds.Range(
                name="learning-rate", kind="continuous", min=0.0005, max=0.02, scale="Logarithmic", values=()
            ),
        ),
        hyperband_min_resource=1,
        hyperband_max_resource=9,
    )
    whole = kinds.TrainingParts(
        prefix=PREFIX,
        datasets_bucket="data",
        artifacts_bucket="lake",
        table=changes.pop("table", "lineage"),
        bus="bus",
        functions=functions,
        promotion="arn:aws:states:us-east-1:222222222222:stateMachine:vision-dev-promotion",
        promotion_timeout_seconds=3600,
        preprocessing_concurrency=2,
        prepared_days=30,
        jobs=replace(jobs, **changes.pop("jobs", {})),
        tuning=replace(tuning, **changes.pop("tuning", {})),
        identity=kinds.JobIdentity(
            training_role="trainer", evaluation_role="judge", key="key", vpc_config=None
        ),
    )
    return replace(whole, **changes)


@dataclass(frozen=True)
class Told:
    """What is known of an execution: its status, output or error, and the states that it entered."""

    arn: str
    status: str
    states: list[str]
    output: Any = None
    error: str = ""
    cause: str = ""


@dataclass
class Engine:
    """The process that runs state machines."""

    twin: Twin
    process: subprocess.Popen[str]

    def order(self, do: str, **more: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        assert "fault" not in answer, answer["fault"]
        return answer["answer"]


def announced(asked: Iterable[tuple[str, dict[str, Any]]]) -> list[tuple[str, dict[str, Any]]]:
    """The kinds and details of events among calls. Raises AssertionError when one breaks its schema."""
    entries = [
        entry
        for operation, request in asked
        if operation == "events:put_events"
        for entry in request["Entries"]
    ]
    told = [(entry["DetailType"], json.loads(entry["Detail"])) for entry in entries]
    check({"source": SOURCE, "detail-type": kind, "detail": detail} for kind, detail in told)
    return told


@pytest.fixture(scope="session")
def engine(twin: Twin) -> Iterator[Engine]:
    """The process, one for all tests."""
    script = Path(__file__).with_name("workflow_world.py")
    process = subprocess.Popen(
        [str(SERVER_PYTHON), str(script), twin.endpoint],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        text=True,
    )
    try:
        yield Engine(twin, process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)


@dataclass
class Bench:
    """One environment's training machine and aftermath, with a lineage table of its own."""

    engine: Engine
    table: str = field(default_factory=lambda: f"training-{next(_NUMBERS)}")
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __post_init__(self) -> None:
        keys = ("pk", "sk")
        self.dynamodb = self.engine.twin.client("dynamodb", DEV)
        self.dynamodb.create_table(
            TableName=self.table,
            BillingMode="PAY_PER_REQUEST",
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
            KeySchema=[
                {"AttributeName": key, "KeyType": kind}
                for key, kind in zip(keys, ("HASH", "RANGE"), strict=True)
            ],
        )
        objects = {"lake/prepared/champion/d1/batches.json": BATCHES}
        self.set(lambdas=LAMBDAS, objects=objects, faults=[], jobs={}, outcomes={}, promotion={}, asked=[])
        self.set(meanwhile={})

    def set(self, **world: Any) -> None:
        """Change the world."""
        self.engine.order("set", world=world)

    def answer(self, **lambdas: Any) -> None:
        """Change what functions answer."""
        self.set(lambdas={**LAMBDAS, **lambdas})

    def start(self, machine: str = "training", **given: Any) -> str:
        from vision_platform import aftermath_states, training_states

        kinds = {"training": training_states, "aftermath": aftermath_states}
        definition = kinds[machine].definition(parts(table=self.table, **self.changes))
        name = f"e{next(_NUMBERS)}"
        if machine == "training":
            given = {"line": "champion", "manifest_uri": MANIFEST, "reason": "request"} | given
        return self.engine.order(
            "start",
            machine=f"{PREFIX}-{machine}",
            name=name,
            input={name: value for name, value in given.items() if value is not None},
            definition=json.loads(json.dumps(definition)),
        )["arn"]

    def wait(self, arn: str) -> Told:
        return Told(**self.engine.order("wait", arn=arn))

    def run(self, **given: Any) -> Told:
        """Start training and wait for its end."""
        return self.wait(self.start(**given))

    def until_in(self, arn: str, state: str) -> Told:
        told = Told(**self.engine.order("until_in", arn=arn, state=state))
        assert state in told.states, told
        return told

    def hold(self, run: str, **more: Any) -> str:
        """Start a run that stays in its training job."""
        attempts = int(self.record(run).get("attempt", "0")) + 1
        job = f"{PREFIX}-{run}" + (f"-{attempts}" if attempts > 1 else "")
        self.set(outcomes={"TrainingJob": "InProgress"})
        arn = self.start(run_id=run, **more)
        assert self.engine.order("until_job", job=job)["there"]
        self.set(outcomes={})
        return arn

    def abort(self, arn: str) -> None:
        """Stop an execution from outside, and let nothing clear up after it."""
        assert self.engine.order("abort", arn=arn)["status"] == "ABORTED"

    def clear_up(self, arn: str, status: str = "ABORTED", **detail: Any) -> Told:
        """What the rule starts when an execution has ended badly."""
        given = json.dumps({"line": "champion", "manifest_uri": MANIFEST})
        return self.wait(self.start("aftermath", executionArn=arn, status=status, input=given, **detail))

    def asked(self) -> list[tuple[str, dict[str, Any]]]:
        """The calls of AWS since the last look."""
        return [(operation, request) for operation, request in self.engine.order("asked")]

    def operations(self) -> list[str]:
        return [operation for operation, _ in self.asked()]

    def request(self, operation: str) -> dict[str, Any]:
        """The one request of that operation since the last look."""
        (found,) = [request for asked, request in self.asked() if asked == operation]
        return found

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What was announced since the last look at the calls, each as it is documented."""
        return announced(self.asked())

    def item(self, pk: str, sk: str) -> dict[str, str]:
        found = self.dynamodb.get_item(
            TableName=self.table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
        )
        return {name: next(iter(value.values())) for name, value in found.get("Item", {}).items()}

    def record(self, run: str) -> dict[str, str]:
        return self.item(f"RUN#{run}", "RUN")

    def in_line(self, line: str = "champion") -> list[str]:
        """The sort keys of the line's lock and queue."""
        found = self.dynamodb.query(
            TableName=self.table,
            KeyConditionExpression="pk = :line AND sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":line": {"S": f"LINE#{line}"},
                ":first": {"S": "LOCK"},
                ":last": {"S": "QUEUE#~"},
            },
        )
        return [each["sk"]["S"] for each in found["Items"]]


@pytest.fixture
def bench(engine: Engine) -> Bench:
    """A workbench of the test's own."""
    return Bench(engine)
