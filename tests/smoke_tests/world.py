"""An AWS account in memory behind real boto3 clients, so that botocore still checks every request."""

import itertools
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from io import BytesIO
from typing import Any

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from botocore.awsrequest import AWSResponse
from botocore.response import StreamingBody

from smoke_tests.session import Aws
from tests.smoke_tests.watched import WORKFLOW_LOG, Watched

REGION, ACCOUNT = "us-east-1", "222222222222"
STATE_MACHINE = f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:vision-dev-training"
PROMOTION = STATE_MACHINE.replace("-training", "-promotion")
SMOKE, CHAMPION, GROUP = "vision-dev-smoke", "vision-dev-champion", "vision-dev-smoke"
DATASETS, ARTIFACTS, UPLOADS = "datasets", "artifacts", "uploads"
TRAINING_STATES = ("Preprocess", "Train", "Evaluate", "Gate", "Promote")
PROMOTION_STATES = ("CreateModel", "CreateEndpoint", "WaitForEndpoint", "RecordPromoted")
_SERVICES = ("s3", "stepfunctions", "sagemaker", "dynamodb", "sts", "logs", "cloudwatch", "xray")

_SESSION = boto3.session.Session(
    "AKIDEXAMPLE", "secret", region_name=REGION
)  # one: it keeps the service models


class Fault(Exception):
    """What AWS would answer with an error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# A client takes 10 ms to make, and a hundred tests have ten of them: worlds share them; the last one answers.
_asked: "deque[World]" = deque(maxlen=1)


@cache
def _clients() -> dict[str, Any]:
    def note(**event: Any) -> None:
        _asked[0]._note(**event)

    def answer(**event: Any) -> Any:
        return _asked[0]._answer(**event)

    clients = {name: _SESSION.client(name) for name in _SERVICES}
    for client in clients.values():
        client.meta.events.register("provide-client-params.*.*", note)
        client.meta.events.register("before-call.*.*", answer)
    return clients


@dataclass
class World:
    """The account's content; tests change it before a run to make the deployment misbehave."""

    accuracy: float = 0.98
    workflow_error: tuple[str, str, str] | None = None  # state, error, cause
    polls_until_done: int = 2
    attempt: int = 1
    run_of_predictions: str = ""  # what predictions name, when that is not the run of their model
    denied: set[str] = field(default_factory=set)  # operation names
    on_call: Callable[[str], None] = lambda _: None
    drops_lineage_of: str = ""  # kind of item that the deployment forgets to write
    configuration_on_endpoint: str = ""  # what the endpoint serves instead of the run's configuration
    undeletable: set[str] = field(default_factory=set)  # operations that answer well and do nothing

    endpoints: dict[str, dict[str, str]] = field(default_factory=dict)
    configurations: set[str] = field(default_factory=set)
    models: set[str] = field(default_factory=set)
    packages: dict[str, str] = field(default_factory=dict)  # ARN -> run id
    versions: list[tuple[str, str, str, bytes | None]] = field(
        default_factory=list
    )  # bucket, key, version, bytes
    items: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    executions: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    watched: Watched = field(default_factory=Watched)
    instance_type: str = "ml.c7i.xlarge"
    group_of_package: str = GROUP
    answered: list[str] = field(default_factory=list)  # labels, as the API gave them
    direct_label: str = ""  # what the endpoint says without the API, when that is something else
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.endpoints[CHAMPION] = {"status": "InService", "configuration": f"{CHAMPION}-first"}

    def aws(self) -> Aws:
        """Clients whose every call ends here."""
        _asked.append(self)
        clients = _clients()
        return Aws(
            s3=clients["s3"],
            states=clients["stepfunctions"],
            sagemaker=clients["sagemaker"],
            dynamodb=clients["dynamodb"],
            sts=clients["sts"],
            logs=clients["logs"],
            cloudwatch=clients["cloudwatch"],
            xray=clients["xray"],
            session=self,
            credentials=_SESSION.get_credentials(),
        )

    def put(self, bucket: str, key: str, body: bytes | None) -> None:
        """Add a version of an object (None: a delete marker)."""
        self.versions.append((bucket, key, f"v{next(self._numbers)}", body))

    def current(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """The objects that a plain listing shows."""
        newest = {key: body for owner, key, _, body in self.versions if owner == bucket}
        return {key: body for key, body in newest.items() if body is not None and key.startswith(prefix)}

    def record(self, kind: str, identity: str, **attributes: Any) -> None:
        """Write a lineage item, unless the deployment is one that forgets it."""
        if kind != self.drops_lineage_of:
            self.items[f"{kind}#{identity}", kind] = {"pk": f"{kind}#{identity}", "sk": kind, **attributes}

    def leave_behind(self, run_id: str) -> None:
        """Everything that a killed smoke run may leave."""
        self.endpoints[SMOKE] = {"status": "InService", "configuration": f"{SMOKE}-{run_id}"}
        self.configurations.add(f"{SMOKE}-{run_id}")
        self.models.add(f"{SMOKE}-{run_id}")
        self.packages[
            f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:model-package/{GROUP}/{len(self.packages) + 1}"
        ] = run_id
        # Shards and samples of rejected images are keyed by data.
        for prefix in ("prepared/smoke/d1", "quarantine/smoke/d1"):
            self.put(ARTIFACTS, f"{prefix}/thing", b"1")
        for prefix in ("evaluations/smoke", "checkpoints/smoke"):
            self.put(ARTIFACTS, f"{prefix}/{run_id}/thing", b"1")
        self.put(ARTIFACTS, f"models/smoke/vision-dev-{run_id}/output/model.tar.gz", b"1")
        self.put(DATASETS, f"smoke/{run_id}/images/left.png", b"1")

    def _note(self, params: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        context["given"] = dict(params)
        self.calls.append((model.name, dict(params)))

    def _answer(self, model: Any, context: dict[str, Any], **_: Any) -> tuple[AWSResponse, dict[str, Any]]:
        self.on_call(model.name)
        status, parsed = 200, dict[str, Any]()
        try:
            if model.name in self.denied:
                raise Fault("AccessDenied", f"not authorized to perform: {model.name}")
            if model.name not in self.undeletable:
                owner = self if hasattr(self, model.name) else self.watched
                parsed = getattr(owner, model.name)(context["given"]) or {}
        except Fault as fault:
            status, parsed = 400, {"Error": {"Code": fault.code, "Message": str(fault)}}
        parsed["ResponseMetadata"] = {"HTTPStatusCode": status}
        return AWSResponse("https://aws", status, {}, None), parsed

    # --- STS
    def GetCallerIdentity(self, _: Any) -> dict[str, Any]:
        return {
            "Account": ACCOUNT,
            "Arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/vision-dev-smoke/run",
            "UserId": "x",
        }

    # --- S3
    def PutObject(self, given: Any) -> None:
        self.put(given["Bucket"], given["Key"], given["Body"])

    def GetObject(self, given: Any) -> dict[str, Any]:
        body = self.current(given["Bucket"]).get(given["Key"])
        if body is None:
            raise Fault("NoSuchKey", "The specified key does not exist.")
        return {"Body": StreamingBody(BytesIO(body), len(body))}

    def ListObjectVersions(self, given: Any) -> dict[str, Any]:
        found = [v for v in self.versions if v[0] == given["Bucket"] and v[1].startswith(given["Prefix"])]
        return {
            "Versions": [
                {"Key": key, "VersionId": version} for _, key, version, body in found if body is not None
            ],
            "DeleteMarkers": [
                {"Key": key, "VersionId": version} for _, key, version, body in found if body is None
            ],
        }

    def ListObjectsV2(self, given: Any) -> dict[str, Any]:
        return {"Contents": [{"Key": key} for key in self.current(given["Bucket"], given["Prefix"])]}

    def DeleteObjects(self, given: Any) -> dict[str, Any]:
        for item in given["Delete"]["Objects"]:
            if "VersionId" in item and "s3:DeleteObjectVersion" in self.denied:
                refused = {"Key": item["Key"], "Code": "AccessDenied", "Message": "Access Denied"}
                return {"Errors": [refused]}
            if "VersionId" in item:
                self.versions = [v for v in self.versions if v[2] != item["VersionId"]]
            else:
                self.put(given["Bucket"], item["Key"], None)
        return {}

    # --- Step Functions
    def StartExecution(self, given: Any) -> dict[str, Any]:
        machine = given.get("stateMachineArn", STATE_MACHINE)
        arn = machine.replace("stateMachine", "execution") + ":" + given["name"]
        self.executions[arn] = {
            "asked": json.loads(given["input"]),
            "input": given["input"],
            "name": given["name"],
            "status": "RUNNING",
            "polls": 0,
        }
        return {"executionArn": arn, "startDate": datetime.now(UTC)}

    def DescribeExecution(self, given: Any) -> dict[str, Any]:
        execution = self.executions.get(given["executionArn"])
        if execution is None:
            raise Fault("ExecutionDoesNotExist", "Execution Does Not Exist")
        execution["polls"] += 1
        if execution["status"] == "RUNNING" and execution["polls"] >= self.polls_until_done:
            self._finish(execution)
        shown = ("status", "input", "output", "error", "cause")
        return {name: execution[name] for name in shown if name in execution}

    def StopExecution(self, given: Any) -> dict[str, Any]:
        self.executions[given["executionArn"]]["status"] = "ABORTED"
        return {"stopDate": datetime.now(UTC)}

    def ListExecutions(self, given: Any) -> dict[str, Any]:
        begins = given["stateMachineArn"].replace("stateMachine", "execution") + ":"
        running = [
            (arn, execution)
            for arn, execution in self.executions.items()
            if execution["status"] == "RUNNING" and arn.startswith(begins)
        ]
        return {
            "executions": [{"executionArn": arn, "name": execution["name"]} for arn, execution in running]
        }

    def GetExecutionHistory(self, given: Any) -> dict[str, Any]:
        failing = self.workflow_error[0] if self.workflow_error else ""
        began, events = datetime(2026, 11, 22, tzinfo=UTC), list[dict[str, Any]]()
        promotes = ":vision-dev-promotion:" in given["executionArn"]
        for name in PROMOTION_STATES if promotes else TRAINING_STATES:
            at = began + timedelta(seconds=len(events))
            events.append(
                {"type": "TaskStateEntered", "timestamp": at, "stateEnteredEventDetails": {"name": name}}
            )
            if name == "Train":
                parameters = json.dumps(
                    {"TrainingJobName": "vision-dev-job", "ProcessingJobName": "vision-dev-job"}
                )
                events.append({"type": "TaskScheduled", "timestamp": at,
                               "taskScheduledEventDetails": {"parameters": parameters}})  # fmt: skip
            if name == "Promote":
                parameters = json.dumps(
                    {"StateMachineArn": PROMOTION, "Name": given["executionArn"].split(":")[-1]}
                )
                events.append({"type": "TaskScheduled", "timestamp": at,
                               "taskScheduledEventDetails": {"parameters": parameters}})  # fmt: skip
            if name == failing and self.workflow_error:
                details = {"error": self.workflow_error[1], "cause": self.workflow_error[2]}
                events.append({"type": "TaskFailed", "timestamp": at, "taskFailedEventDetails": details})
            left = at + timedelta(seconds=1.5)
            events.append(
                {"type": "TaskStateExited", "timestamp": left, "stateExitedEventDetails": {"name": name}}
            )
            if name == failing:
                break
        numbered = [
            {"id": number, "previousEventId": number - 1} | event for number, event in enumerate(events, 1)
        ]
        return {"events": numbered[::-1] if given.get("reverseOrder") else numbered}

    def _finish(self, execution: dict[str, Any]) -> None:
        """What the real workflow does: artifacts, model, endpoint, lineage."""
        asked = execution["asked"]
        run_id = asked["run_id"]
        if self.workflow_error:
            execution |= {
                "status": "FAILED",
                "error": self.workflow_error[1],
                "cause": self.workflow_error[2],
            }
            return
        self.leave_behind(run_id)
        arn = STATE_MACHINE.replace("stateMachine", "execution") + f":{run_id}"
        for kind in ("ExecutionStarted", "ExecutionSucceeded"):
            self.watched.write(WORKFLOW_LOG, {"type": kind, "execution_arn": arn})
        configuration = self.configuration_on_endpoint or f"{SMOKE}-{run_id}"
        self.endpoints[SMOKE] = {"status": "InService", "configuration": configuration}
        matrix = [[4 if row == column else 0 for column in range(10)] for row in range(10)]
        quality = {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 4}
        evaluation = {"count": 40, "accuracy": self.accuracy, "confusion_matrix": matrix,
                      "per_class": {str(label): quality for label in range(10)},
                      "latency_ms": {"p50": 1.5, "p95": 2.5}}  # fmt: skip
        key = f"evaluations/smoke/{run_id}/evaluation.json"
        self.put(ARTIFACTS, key, json.dumps(evaluation).encode())
        package = next(arn for arn, owner in self.packages.items() if owner == run_id)
        results = {
            "model_package_arn": package,
            "endpoint_name": SMOKE,
            "endpoint_config_name": f"{SMOKE}-{run_id}",
            "evaluation_uri": f"s3://{ARTIFACTS}/{key}",
            "training_job": "vision-dev-job",
        }
        dataset, of_run = "DATASET#tiny#v1", f"RUN#{run_id}"
        self.record("RUN", run_id, status="SUCCEEDED", line=asked["line"], reason=asked["reason"],
                    gsi1pk=dataset, gsi1sk=of_run, manifest_uri=asked["manifest_uri"],
                    accuracy=str(self.accuracy), **results)  # fmt: skip
        self.record("MODEL", package, gsi1pk=dataset, gsi1sk=f"{of_run}#MODEL#{package}", run_id=run_id)
        self.record("DEPLOYMENT", f"smoke#{run_id}", gsi1pk=dataset, gsi1sk=f"{of_run}#DEPLOYMENT#t1",
                    status="PROMOTED", endpoint_config_name=f"{SMOKE}-{run_id}")  # fmt: skip
        if self.drops_lineage_of != "EVALUATION":
            self.items[of_run, "EVALUATION"] = {"pk": of_run, "sk": "EVALUATION", "gsi1pk": dataset,
                                                "gsi1sk": f"{of_run}#EVALUATION"}  # fmt: skip
        output = {
            "run_id": run_id,
            "line": "smoke",
            "metrics": {"accuracy": self.accuracy},
            "dataset": {"name": "tiny", "version": "v1"},
            "counts": {"train": 60, "holdout": 40},
            "report_uri": f"s3://{ARTIFACTS}/evaluations/smoke/{run_id}/report.html",
            "attempt": self.attempt,
            "repeated": False,
        }
        execution |= {"status": "SUCCEEDED", "output": json.dumps(output | results)}

    # --- SageMaker
    def DescribeEndpoint(self, given: Any) -> dict[str, Any]:
        found = self.endpoints.get(given["EndpointName"])
        if found is None:
            raise Fault("ValidationException", f'Could not find endpoint "{given["EndpointName"]}".')
        return {"EndpointStatus": found["status"], "EndpointConfigName": found["configuration"]}

    def DeleteEndpoint(self, given: Any) -> None:
        if self.endpoints[given["EndpointName"]]["status"] == "Creating":
            self.endpoints[given["EndpointName"]]["status"] = "InService"
            raise Fault("ValidationException", "Cannot delete an endpoint that is being created.")
        del self.endpoints[given["EndpointName"]]

    def ListEndpointConfigs(self, given: Any) -> dict[str, Any]:
        names = sorted(name for name in self.configurations if given["NameContains"] in name)
        return {"EndpointConfigs": [{"EndpointConfigName": name} for name in names]}

    def DeleteEndpointConfig(self, given: Any) -> None:
        self.configurations.remove(given["EndpointConfigName"])

    def ListModels(self, given: Any) -> dict[str, Any]:
        return {
            "Models": [{"ModelName": name} for name in sorted(self.models) if given["NameContains"] in name]
        }

    def DeleteModel(self, given: Any) -> None:
        self.models.remove(given["ModelName"])

    def ListModelPackages(self, _: Any) -> dict[str, Any]:
        return {"ModelPackageSummaryList": [{"ModelPackageArn": arn} for arn in self.packages]}

    def DescribeModelPackage(self, given: Any) -> dict[str, Any]:
        return {"CustomerMetadataProperties": {"run_id": self.packages[given["ModelPackageName"]]}}

    def DeleteModelPackage(self, given: Any) -> None:
        del self.packages[given["ModelPackageName"]]

    # --- DynamoDB
    def GetItem(self, given: Any) -> dict[str, Any]:
        plain = {name: TypeDeserializer().deserialize(value) for name, value in given["Key"].items()}
        found = self.items.get((plain["pk"], plain["sk"]))
        return {"Item": _typed(found)} if found else {}

    def Query(self, given: Any) -> dict[str, Any]:
        values = given["ExpressionAttributeValues"]
        owner, prefix = values[":owner"]["S"], values[":prefix"]["S"]
        found = [
            item
            for item in list(self.items.values())  # the API records answers meanwhile
            if item.get("gsi1pk") == owner and item["gsi1sk"].startswith(prefix)
        ]
        return {"Items": [_typed(item) for item in found]}


def _typed(item: dict[str, Any]) -> dict[str, Any]:
    return {name: TypeSerializer().serialize(value) for name, value in item.items()}
