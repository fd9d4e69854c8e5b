"""The holdout that a dataset keeps for good: by it alone models of different versions can be compared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

SORT_KEY = "HOLDOUT"


class HoldoutChanged(ValueError):
    """A dataset version comes with another holdout than the first one that was trained on."""


@dataclass(frozen=True)
class FrozenHoldout:
    """A holdout: the digest and number of its images, and the version and manifest that brought it first."""

    dataset: str
    sha256: str
    images: int
    version: str
    manifest_uri: str

    def check(self, other: FrozenHoldout, difference: str = "") -> None:
        """Raise HoldoutChanged unless `other` has the same images; `difference` says what is not the same."""
        if self.sha256 == other.sha256:
            return
        raise HoldoutChanged(
            f"the holdout of dataset {self.dataset!r} was frozen with version {self.version!r} "
            f"({self.images} images, {self.manifest_uri}), and version {other.version!r} has another one "
            f"({other.images} images){difference}: keep its images, checksums and labels as they were, "
            "or publish the dataset under another name"
        )


def frozen_holdout(dynamodb: Any, table: str, dataset: str) -> FrozenHoldout | None:
    """The dataset's frozen holdout, if it has one yet. Raises botocore's errors."""
    item = dynamodb.get_item(TableName=table, Key=_key(dataset), ConsistentRead=True).get("Item")
    if item is None:
        return None
    return FrozenHoldout(
        dataset,
        item["holdout_sha256"]["S"],
        int(item["images"]["N"]),
        item["version"]["S"],
        item["manifest_uri"]["S"],
    )


def freeze(dynamodb: Any, table: str, holdout: FrozenHoldout, run_id: str) -> None:
    """Freeze the holdout for good, or find it frozen. Raises HoldoutChanged, or botocore's errors."""
    item = {
        **_key(holdout.dataset),
        "holdout_sha256": {"S": holdout.sha256},
        "images": {"N": str(holdout.images)},
        "version": {"S": holdout.version},
        "manifest_uri": {"S": holdout.manifest_uri},
        "run_id": {"S": run_id},
        "frozen_at": {"S": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")},
    }
    try:
        dynamodb.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(pk)")
    except ClientError as error:
        if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
            raise
        first = frozen_holdout(dynamodb, table, holdout.dataset)
        if first is None:
            raise
        first.check(holdout)


def _key(dataset: str) -> dict[str, Any]:
    return {"pk": {"S": f"HOLDOUT#{dataset}"}, "sk": {"S": SORT_KEY}}
