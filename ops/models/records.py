"""The lineage table as operators read it: runs, lines, models and what descends from a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from ops.models.home import CHAMPION, Home

INDEX = "gsi1"
# How the description of a deliberately bad package begins.
DRILL = "Drill"
_PAGE = 500
_READ = TypeDeserializer()

Record = dict[str, Any]


def plain(item: Record) -> Record:
    """An item without DynamoDB's types. Numbers become int or float."""
    found = {name: _READ.deserialize(value) for name, value in item.items()}
    return {
        name: (int(value) if value % 1 == 0 else float(value)) if hasattr(value, "quantize") else value
        for name, value in found.items()
    }


@dataclass(frozen=True)
class Records:
    """The lineage table of one environment."""

    home: Home

    def item(self, pk: str, sk: str) -> Record | None:
        """One item, as it was last written."""
        told = self.home.client("dynamodb").get_item(
            TableName=self.home.table, Key={"pk": {"S": pk}, "sk": {"S": sk}}, ConsistentRead=True
        )
        return plain(told["Item"]) if "Item" in told else None

    def run(self, run_id: str) -> Record | None:
        """A training run."""
        return self.item(f"RUN#{run_id}", "RUN")

    def model(self, package: str) -> Record | None:
        """A registered model, by its package's ARN."""
        return self.item(f"MODEL#{package}", "MODEL")

    def prediction(self, request_id: str) -> Record | None:
        """An answered request."""
        return self.item(f"PREDICTION#{request_id}", "PREDICTION")

    def champion(self, line: str = CHAMPION) -> Record | None:
        """What the line's endpoint serves."""
        return self.item(f"LINE#{line}", "CHAMPION")

    def target(self, line: str = CHAMPION) -> Record | None:
        """What requests of the line turn to, where they name their model, and the share that does."""
        return self.item(f"LINE#{line}", "TARGET")

    def newest_dataset(self, line: str = CHAMPION) -> Record | None:
        """The dataset that the line was given last."""
        return self.item(f"LINE#{line}", "DATASET")

    def descendants(self, dataset: str, *, run: str | None = None, predictions: int) -> list[Record]:
        """All that descends from a dataset version (`name#version`), of one run where that is named.

        One query on the index. Each run's predictions are read up to `predictions`: what is beyond is skipped
        by going on behind them, so that a dataset with millions of answers costs no more to look at.
        """
        found, seen = list[Record](), dict[str, int]()
        # `!` and `$` stand before and behind `#` in the order of UTF-8, and before all that ids are made of.
        first, last = (f"RUN#{run}", f"RUN#{run}$") if run else ("RUN#", "RUN$")
        while True:
            told = self._query(dataset, first, last)
            page = [plain(each) for each in told["Items"]]
            for item in page:
                owner, is_prediction = _owner(item)
                seen[owner] = seen.get(owner, 0) + is_prediction
                if not is_prediction or seen[owner] <= predictions:
                    found.append(item)
            if "LastEvaluatedKey" not in told:
                return found
            owner, is_prediction = _owner(page[-1])
            enough = is_prediction and seen[owner] >= predictions
            first = f"RUN#{owner}#PREDICTION$" if enough else f"{page[-1]['gsi1sk']}!"

    def _query(self, dataset: str, first: str, last: str) -> Record:
        return self.home.client("dynamodb").query(
            TableName=self.home.table,
            IndexName=INDEX,
            KeyConditionExpression="gsi1pk = :dataset AND gsi1sk BETWEEN :first AND :last",
            ExpressionAttributeValues={
                ":dataset": {"S": f"DATASET#{dataset}"},
                ":first": {"S": first},
                ":last": {"S": last},
            },
            Limit=_PAGE,
        )


def _owner(item: Record) -> tuple[str, bool]:
    """The run that an item belongs to, and whether the item is a prediction."""
    parts = item["gsi1sk"].split("#")
    return parts[1], len(parts) > 2 and parts[2] == "PREDICTION"


def packages(home: Home, group: str) -> Iterator[Record]:
    """The approved packages of a group, newest first, without those that drills have made."""
    api = home.client("sagemaker")
    pages = api.get_paginator("list_model_packages").paginate(
        ModelPackageGroupName=group,
        ModelApprovalStatus="Approved",
        SortBy="CreationTime",
        SortOrder="Descending",
    )
    for page in pages:
        for each in page["ModelPackageSummaryList"]:
            if not each.get("ModelPackageDescription", "").startswith(DRILL):
                yield each
