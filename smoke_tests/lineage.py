"""Follows lineage both ways: from an answer back to the dataset, and from the dataset on to every answer."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

from boto3.dynamodb.types import TypeDeserializer

from smoke_tests.budget import Budget
from smoke_tests.faults import CheckFailed
from smoke_tests.journal import require
from smoke_tests.training import Outcome

T = TypeVar("T")

_INDEX = "gsi1"
# Predictions may be written after the answer, and an index follows its table within a second or so.
_SETTLES_WITHIN = 20.0
_SHOWN_MISSING = 3


@dataclass(frozen=True)
class Link:
    """One step of the chain from an answer to its dataset, as shown in the report."""

    kind: str
    identity: str
    detail: str = ""


class Lineage:
    """Reads the lineage table of one environment."""

    def __init__(self, dynamodb: Any, table: str) -> None:
        self._dynamodb, self._table = dynamodb, table
        self._deserialize = TypeDeserializer().deserialize

    def item(self, kind: str, identity: str) -> dict[str, Any]:
        """The item of that kind and identity as plain values; empty when there is none."""
        return self._get(f"{kind}#{identity}", kind)

    def _get(self, pk: str, sk: str) -> dict[str, Any]:
        answer = self._dynamodb.get_item(
            TableName=self._table,
            Key={"pk": {"S": pk}, "sk": {"S": sk}},
            ConsistentRead=True,
        )
        return self._plain(answer.get("Item", {}))

    def target(self, line: str) -> dict[str, Any]:
        """What requests of a line turn to, where they name their model; empty when there is none yet."""
        return self._get(f"LINE#{line}", "TARGET")

    def related(self, owner: str, prefix: str) -> list[dict[str, Any]]:
        """Items filed under `owner` (such as RUN#<id>) in the index, whose sort key begins with `prefix`."""
        pages = self._dynamodb.get_paginator("query").paginate(
            TableName=self._table,
            IndexName=_INDEX,
            KeyConditionExpression="gsi1pk = :owner AND begins_with(gsi1sk, :prefix)",
            ExpressionAttributeValues={":owner": {"S": owner}, ":prefix": {"S": prefix}},
        )
        return [self._plain(item) for page in pages for item in page["Items"]]

    def is_champion_deployment(self, deployment_id: str) -> bool:
        """Whether lineage knows a deployment of that id of the champion's line."""
        return bool(self.item("DEPLOYMENT", f"champion#{deployment_id}"))

    def _plain(self, item: dict[str, Any]) -> dict[str, Any]:
        return {name: self._deserialize(value) for name, value in item.items()}


def require_run(lineage: Lineage, outcome: Outcome) -> str:
    """Fail unless the run's record says what the workflow said; return it in words."""
    run = lineage.item("RUN", outcome.run_id)
    require(bool(run), f"lineage has no record RUN#{outcome.run_id} of this run")
    expected = {
        "status": "SUCCEEDED",
        "line": "smoke",
        "reason": "smoke",
        "gsi1pk": _dataset(outcome),
        "training_job": outcome.training_job,
        "model_package_arn": outcome.model_package_arn,
        "evaluation_uri": outcome.evaluation_uri,
        "endpoint_name": outcome.endpoint_name,
        "endpoint_config_name": outcome.endpoint_config_name,
    }
    _require_fields(f"RUN#{outcome.run_id}", run, expected)
    return "SUCCEEDED, with dataset, training job, model package, evaluation and endpoint"


def chain(lineage: Lineage, request_id: str, outcome: Outcome, budget: Budget) -> list[Link]:
    """What trained the model that answered `request_id`: one look at its record names model, run and dataset.

    Raises:
        CheckFailed: naming the record that is missing or names another run than this one.
    """
    prediction = _settled(
        lambda: lineage.item("PREDICTION", request_id),
        budget,
        f"lineage has no record PREDICTION#{request_id} of an answered request",
    )
    expected = {
        "line": "smoke",
        "model_version": outcome.model_package_arn,
        "run_id": outcome.run_id,
        "dataset": f"{outcome.dataset.name}#{outcome.dataset.version}",
    }
    _require_fields(f"PREDICTION#{request_id}", prediction, expected)
    found = _made(lineage, outcome)
    run, evaluation = found.get("RUN", {}), found.get("EVALUATION", {})
    deployment = found.get("DEPLOYMENT", {})
    return [
        Link("Dataset", expected["dataset"].replace("#", " "), str(run.get("manifest_uri", ""))),
        Link(
            "Training run",
            outcome.run_id,
            f"{run.get('status', '')}, started for: {run.get('reason', '')}",
        ),
        Link("Evaluation", str(evaluation.get("evaluation_uri", "")), f"accuracy {run.get('accuracy', '?')}"),
        Link("Model package", outcome.model_package_arn),
        Link("Endpoint", outcome.endpoint_name, str(deployment.get("endpoint_config_name", ""))),
        Link("Answer", request_id, f"label {prediction.get('label', '?')}"),
    ]


def require_influence(lineage: Lineage, outcome: Outcome, request_ids: Iterable[str], budget: Budget) -> str:
    """Fail unless one query for dataset and run yields all that came of them, every answer included."""
    wanted = {f"PREDICTION#{request_id}" for request_id in request_ids}
    made = {
        "RUN": f"RUN#{outcome.run_id}",
        "EVALUATION": f"RUN#{outcome.run_id}",
        "MODEL": f"MODEL#{outcome.model_package_arn}",
        "DEPLOYMENT": f"DEPLOYMENT#smoke#{outcome.run_id}",
    }
    missing: list[str] = []
    for _ in budget.polls("reading lineage", at_most=_SETTLES_WITHIN):
        found = lineage.related(_dataset(outcome), f"RUN#{outcome.run_id}")
        there = {(str(item["sk"]), str(item["pk"])) for item in found}
        missing = [f"{kind} of {outcome.run_id}" for kind, pk in made.items() if (kind, pk) not in there]
        missing += sorted(wanted - {pk for sk, pk in there if sk == "PREDICTION"})
        if not missing:
            deployment = next(item for item in found if item["sk"] == "DEPLOYMENT")
            promoted = {"status": "PROMOTED", "endpoint_config_name": outcome.endpoint_config_name}
            _require_fields(str(deployment["pk"]), deployment, promoted)
            return f"dataset -> run, evaluation, model, deployment and all {len(wanted)} answers in one query"
    raise CheckFailed(
        f"lineage does not lead from {_dataset(outcome)} to {len(missing)} of "
        f"{len(made) + len(wanted)} records: {', '.join(missing[:_SHOWN_MISSING])}"
    )


def _made(lineage: Lineage, outcome: Outcome) -> dict[str, dict[str, Any]]:
    """What came of the run, by kind; of answers one."""
    return {str(item["sk"]): item for item in lineage.related(_dataset(outcome), f"RUN#{outcome.run_id}")}


def _dataset(outcome: Outcome) -> str:
    """Under what the index lists everything that came of the dataset's version."""
    return f"DATASET#{outcome.dataset.name}#{outcome.dataset.version}"


def _require_fields(name: str, record: dict[str, Any], expected: dict[str, str]) -> None:
    wrong = [
        f"{field} is {record.get(field)!r} instead of {value!r}"
        for field, value in expected.items()
        if record.get(field) != value
    ]
    require(not wrong, f"the record {name} is wrong: {'; '.join(wrong)}")


def _settled(read: Callable[[], T], budget: Budget, otherwise: str) -> T:
    """What `read` returns as soon as that is not empty; `CheckFailed(otherwise)` when it stays so."""
    for _ in budget.polls("reading lineage", at_most=_SETTLES_WITHIN):
        if found := read():
            return found
    raise CheckFailed(otherwise)
