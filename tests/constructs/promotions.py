"""The promotion machine at work in a twin: its states as they are deployed, with shorter pauses."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from tests.assembly import Assembly
from tests.twin.conftest import DEV, REGION
from tests.twin.sagemaker.conftest import Place, archive, until
from tests.twin.stepfunctions.conftest import Machines

QUICK_PAUSE = 0.3
BETWEEN_LOOKS = 0.4
GATE = """
def handler(event, context):
    assert event["thresholds_only"] is True
    weak = "weak" in event["evaluation_uri"]
    return {"passed": not weak, "reasons": ["accuracy 0.5 is below 0.9"] if weak else [], "metrics": {}}
"""
_NUMBERS = itertools.count(1)


@dataclass(frozen=True)
class Ended:
    """An execution that has ended: its ARN, status, output, error and cause."""

    arn: str
    status: str
    output: dict[str, Any]
    error: str
    cause: str


class Promotions:
    """One environment's promotion machine, with the champion's line and a registry of its own."""

    def __init__(self, machines: Machines, place: Place, bench: Bench, **plan: Any) -> None:
        self.machines, self.place, self.bench = machines, place, bench
        self.prefix = f"team-{next(_NUMBERS)}"
        self.endpoint = f"{self.prefix}-champion"
        self.pause = QUICK_PAUSE
        self.patience: int | None = plan.pop("patience", None)
        self.elsewhere: str = plan.pop("elsewhere", "")
        self.alarm = plan.pop("alarm", "") or alarm(place, f"{self.endpoint}-quality")
        self.rollout: dict[str, Any] = plan.pop("rollout", {})
        self.plan = plan
        for line in ("champion", "smoke"):
            place.sagemaker.create_model_package_group(ModelPackageGroupName=f"{self.prefix}-{line}")
        self.machine = machines.client.create_state_machine(
            name=f"{self.prefix}-promotion",
            definition=json.dumps(self._definition()),
            roleArn=machines.all_powerful if self.elsewhere else self._role(),
        )["stateMachineArn"]

    def _role(self) -> str:
        """The workflow's role as it is deployed, with this environment's names."""
        text = self.bench.statements.replace("vision-dev", self.prefix)
        return self.machines.role(*json.loads(text.replace("THE-TABLE", self.bench.table)))

    def _definition(self) -> dict[str, Any]:
        from vision_platform.promotion_definition import definition
        from vision_platform.promotion_language import PromotionParts
        from vision_platform.promotion_plan import HostingPlan, Rollout

        rollout = Rollout(
            **{
                "strategy": "all_at_once",
                "step_percent": 50,
                "step_wait_seconds": 0,
                "bake_seconds": 0,
                "timeout_seconds": 600,
                "alarms": [self.alarm],
                **self.rollout,
            }
        )
        plan = HostingPlan(
            **{
                "image": self.place.image,
                "role": self.place.role,
                "key": "",
                "vpc_config": None,
                "instance_type": "ml.c5d.large",
                "instances": 1,
                "most_instances": 3,
                "invocations_per_instance": 600,
                "rollout": rollout,
                **self.plan,
            }
        )
        states = definition(
            PromotionParts(
                prefix=self.prefix,
                packages=f"arn:aws:sagemaker:{REGION}:{DEV}:model-package/",
                packages_elsewhere=self.elsewhere,
                table=self.bench.table,
                bus=self.bench.bus,
                gate_function=self.bench.gate,
                hosting=plan,
            )
        )
        text = json.dumps(states).replace('"wait": 2', f'"wait": {self.pause}')
        text = text.replace(", 30])", f", {self.pause}])")
        if self.patience is not None:
            text = text.replace(f">= {rollout.patience_seconds}", f">= {self.patience}")
        return json.loads(text)

    def become(self, bench: Bench, **plan: Any) -> None:
        """Deploy the machine anew: with other statements for its role, and another plan."""
        self.bench, self.plan = bench, plan
        self.renew()

    def renew(self) -> None:
        """Deploy the machine as `pause`, `patience` and `rollout` are now."""
        self.machines.client.update_state_machine(
            stateMachineArn=self.machine, definition=json.dumps(self._definition()), roleArn=self._role()
        )

    @contextmanager
    def changing(self) -> Generator[None]:
        """The endpoint is being updated for as long as the block lasts: then an alarm of its own ends it."""
        stop = alarm(self.place, f"{self.endpoint}-enough-{next(_NUMBERS)}")
        policy = {
            "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
            "TerminationWaitInSeconds": 600,
        }
        self.place.sagemaker.update_endpoint(
            EndpointName=self.endpoint,
            EndpointConfigName=self.serving["EndpointConfigName"],
            DeploymentConfig={
                "BlueGreenUpdatePolicy": policy,
                "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": stop}]},
            },
        )
        try:
            yield
        finally:
            ring(self.place, stop)

    def package(self, answer: str, *, approval: str = "Approved", name: str = "", group: str = "") -> str:
        """Register a model that answers `answer`; returns the package's ARN."""
        run = name or f"run-{next(_NUMBERS)}"
        uri = self.place.put(f"artifacts/{self.prefix}/{run}.tar.gz", archive({"answer.txt": answer}))
        return register(self.place, group or self.endpoint, uri, run, approval)

    def start(
        self, deployment: str, package: str, *, line: str = "champion", reason: str = "training"
    ) -> str:
        asked = {
            "line": line,
            "deployment_id": deployment,
            "model_package_arn": package,
            "reason": reason,
        }
        return self.machines.start(self.machine, asked)

    def ended(self, arn: str) -> Ended:
        described = until(lambda: self._ended(arn), seconds=60)
        output = json.loads(described["output"]) if described.get("output") else {}
        return Ended(arn, described["status"], output, described.get("error", ""), described.get("cause", ""))

    def _ended(self, arn: str) -> dict[str, Any] | None:
        time.sleep(BETWEEN_LOOKS)
        described = self.machines.client.describe_execution(executionArn=arn)
        return None if described["status"] == "RUNNING" else described

    def promote(self, deployment: str, package: str, **more: Any) -> Ended:
        return self.ended(self.start(deployment, package, **more))

    def tidy(self, after: str) -> Ended:
        """What the rule does when an execution did not end by itself."""
        return self.ended(self.machines.start(self.machine, {"after": after}))

    def states(self, arn: str) -> list[str]:
        events = self.machines.events(arn)
        return [
            event["stateEnteredEventDetails"]["name"]
            for event in events
            if "stateEnteredEventDetails" in event
        ]

    def until_in(self, arn: str, state: str) -> None:
        """Wait until an execution is in that state."""

        def there() -> bool:
            newest = self.machines.client.get_execution_history(
                executionArn=arn, reverseOrder=True, maxResults=5
            )["events"]
            entered = (event.get("stateEnteredEventDetails", {}).get("name") for event in newest)
            return state in entered

        until(there)

    def item(self, pk: str, sk: str) -> dict[str, str]:
        found = self.place.client("dynamodb").get_item(
            TableName=self.bench.table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
        )
        return {name: next(iter(value.values())) for name, value in found.get("Item", {}).items()}

    def deployment(self, deployment: str, line: str = "champion") -> dict[str, str]:
        return self.item(f"DEPLOYMENT#{line}#{deployment}", "DEPLOYMENT")

    @property
    def champion(self) -> dict[str, str]:
        return self.item("LINE#champion", "CHAMPION")

    @property
    def lock(self) -> dict[str, str]:
        return self.item("LINE#champion", "PROMOTION")

    @property
    def serving(self) -> dict[str, Any]:
        return self.place.sagemaker.describe_endpoint(EndpointName=self.endpoint)

    def made(self) -> list[str]:
        """The deployments whose configurations or models are there."""
        sagemaker, begins = self.place.sagemaker, f"{self.prefix}-"
        configs = sagemaker.list_endpoint_configs(NameContains=begins)["EndpointConfigs"]
        models = sagemaker.list_models(NameContains=begins)["Models"]
        names = {each["EndpointConfigName"] for each in configs} | {each["ModelName"] for each in models}
        return sorted(name.removeprefix(begins) for name in names)

    def limits(self) -> tuple[int, int] | None:
        """Between which counts the endpoint scales."""
        found = self.place.client("application-autoscaling").describe_scalable_targets(
            ServiceNamespace="sagemaker", ResourceIds=[f"endpoint/{self.endpoint}/variant/primary"]
        )["ScalableTargets"]
        return (found[0]["MinCapacity"], found[0]["MaxCapacity"]) if found else None

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """What was announced of this environment since the last look."""
        return self.bench.events(self.prefix)


@dataclass
class Bench:
    """What all machines of the tests share: a table for each, a bus with its listener, the gate."""

    place: Place
    table: str
    bus: str
    queue: str
    gate: str
    statements: str

    def events(self, prefix: str) -> list[tuple[str, dict[str, Any]]]:
        sqs, heard = self.place.client("sqs"), list[tuple[str, dict[str, Any]]]()
        while messages := sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                event = json.loads(message["Body"])
                if event["detail"]["environment"] == prefix:
                    heard.append((event["detail-type"], event["detail"]))
                sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return heard

    def with_table(self, name: str) -> Bench:
        """The same, with a lineage of its own."""
        make_table(self.place, name)
        return replace(self, table=name)


def make_table(place: Place, name: str) -> None:
    place.client("dynamodb").create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[
            {"AttributeName": each, "AttributeType": "S"} for each in ("pk", "sk", "gsi1pk", "gsi1sk")
        ],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "gsi1",
                "KeySchema": [
                    {"AttributeName": "gsi1pk", "KeyType": "HASH"},
                    {"AttributeName": "gsi1sk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )


def deployed_statements(assembly: Assembly, place: Place) -> str:
    """What the workflow's role may do, as JSON, with what the tests make in place of what other stacks do."""
    stands_for = {
        "LineageTable": f"arn:aws:dynamodb:{REGION}:{DEV}:table/THE-TABLE",
        "EventsBus": f"arn:aws:events:{REGION}:{DEV}:event-bus/promotions",
        "IdentitiesHosting": place.role,
        "GateFunction": f"arn:aws:lambda:{REGION}:{DEV}:function:gate",
    }

    def real(resource: str) -> str:
        return next((arn for word, arn in stands_for.items() if word in resource), resource)

    found: list[dict[str, Any]] = []
    for each in (
        *assembly.statements(role="WorkflowPermissions", stack="promotion"),
        *assembly.statements(role="PromotionByName", stack="foundation"),
    ):
        if not any("EncryptionKey" in resource for resource in each.resources):
            allowed = {"Action": list(each.actions), "Resource": [real(one) for one in each.resources]}
            found.append({"Effect": "Allow", **allowed, "Condition": each.condition})
    return json.dumps(found)


def set_up(machines: Machines, place: Place, assembly: Assembly) -> Bench:
    """The table, the bus, its listener, the gate and the role's permissions."""
    make_table(place, "lineage")
    events, sqs = place.client("events"), place.client("sqs")
    events.create_event_bus(Name="promotions")
    queue = sqs.create_queue(QueueName="heard")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    allowed = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    pattern = json.dumps({"source": ["vision.platform"]})
    events.put_rule(Name="heard", EventBusName="promotions", EventPattern=pattern)
    events.put_targets(Rule="heard", EventBusName="promotions", Targets=[{"Id": "queue", "Arn": arn}])
    return Bench(
        place,
        "lineage",
        "promotions",
        queue,
        gate(machines, place),
        deployed_statements(assembly, place),
    )


def alarm(place: Place, name: str) -> str:
    """An alarm that is fine until it rings, and then rings on: those who look now and then hear it."""
    place.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="Tests",
        MetricName=name,
        Statistic="Sum",
        Period=300,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanOrEqualToThreshold",
        TreatMissingData="notBreaching",
    )
    return name


def ring(place: Place, name: str) -> None:
    place.client("cloudwatch").put_metric_data(
        Namespace="Tests", MetricData=[{"MetricName": name, "Value": 5}]
    )


def gate(machines: Machines, place: Place) -> str:
    """A gate that finds evaluations called weak too weak."""
    import io
    import zipfile

    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("handler.py", GATE)
    function = place.client("lambda").create_function(
        FunctionName="gate",
        Runtime="python3.14",
        Role=machines.role(service="lambda.amazonaws.com"),
        Handler="handler.handler",
        Code={"ZipFile": content.getvalue()},
    )
    return function["FunctionArn"]


def register(place: Place, group: str, model_uri: str, run: str, approval: str) -> str:
    """A model package as the training workflow makes them."""
    return place.sagemaker.create_model_package(
        ModelPackageGroupName=group,
        ModelApprovalStatus=approval,
        InferenceSpecification={
            "Containers": [{"Image": place.image, "ModelDataUrl": model_uri}],
            "SupportedContentTypes": ["application/octet-stream"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        ModelMetrics={
            "ModelQuality": {
                "Statistics": {
                    "ContentType": "application/json",
                    "S3Uri": f"s3://lake/evaluations/champion/{run}/evaluation.json",
                }
            }
        },
        CustomerMetadataProperties={"run_id": run, "dataset": "digits v1"},
    )["ModelPackageArn"]
