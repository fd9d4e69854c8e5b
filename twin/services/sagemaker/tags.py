"""Tags of SageMaker's resources, and the three operations on them."""

from twin.json_service import ServiceError
from twin.services.sagemaker.records import KINDS, Record, Records


class Tags:
    """AddTags, ListTags and DeleteTags, for any resource SageMaker keeps."""

    def __init__(self, records: Records) -> None:
        """Tags lie in `records`."""
        self._records = records

    def set(self, arn: str, tags: list[dict[str, str]] | None) -> None:
        """Add the tags of a request to a resource."""
        if tags:
            with self._records.lock:
                held = self._records.tags.get(arn, {})
                self._records.tags[arn] = held | {tag["Key"]: tag["Value"] for tag in tags}

    def of(self, arn: str) -> dict[str, str]:
        """Return the tags of a resource, key to value."""
        return dict(self._records.tags.get(arn, {}))

    def drop(self, arn: str) -> None:
        """Forget the tags of a resource that is gone."""
        self._records.tags.pop(arn, None)

    def _require(self, arn: str) -> None:
        resource = arn.rpartition(":")[2].partition("/")[0]
        kind = next((kind for kind in KINDS if kind.resource == resource), None)
        if kind is None or self._records.shelf(kind).find(arn) is None:
            raise ServiceError("ValidationException", f"Could not find resource {arn}")

    def AddTags(self, request: Record) -> Record:
        """Add or replace tags; returns all that the resource then has."""
        self._require(request["ResourceArn"])
        self.set(request["ResourceArn"], request["Tags"])
        return self.ListTags(request)

    def ListTags(self, request: Record) -> Record:
        """Return the tags of a resource."""
        self._require(request["ResourceArn"])
        return {"Tags": [{"Key": k, "Value": v} for k, v in self.of(request["ResourceArn"]).items()]}

    def DeleteTags(self, request: Record) -> Record:
        """Take tags away; those that are not there are passed over."""
        self._require(request["ResourceArn"])
        kept = self.of(request["ResourceArn"])
        for key in request["TagKeys"]:
            kept.pop(key, None)
        self._records.tags[request["ResourceArn"]] = kept
        return {}
