"""What SageMaker tells EventBridge: a resource as its Describe operation shows it, times in milliseconds."""

import re
from typing import Any

from twin import glue
from twin.json_service import service_model
from twin.services.sagemaker.records import Kind, Record
from twin.services.sagemaker.tags import Tags

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")


def announce(kind: Kind, record: Record, tags: Tags, *, what: str = "", **replaced: Any) -> None:
    """Put ``SageMaker <Kind> State Change`` for a record; events write `replaced` in their own way.

    `what` of the resource changed state where it is not the whole (``Deployment`` of an endpoint).
    """
    shape = service_model("sagemaker").operation_model(f"Describe{kind.shape}").output_shape
    detail = {**_detail(shape, record), "Tags": tags.of(record[kind.arn]), **replaced}
    words = " ".join(word for word in (kind.title or _WORD.sub(" ", kind.shape), what) if word)
    detail_type = f"SageMaker {words} State Change"
    glue.put_service_event("aws.sagemaker", detail_type, detail, [record[kind.arn]])


def _detail(shape: Any, value: Any) -> Any:
    """Return what the model knows of `value`, with every time as epoch milliseconds."""
    kind = shape.type_name
    if kind == "structure":
        return {
            k: _detail(member, value[k]) for k, member in shape.members.items() if value.get(k) is not None
        }
    if kind == "list":
        return [_detail(shape.member, item) for item in value]
    if kind == "timestamp":
        return int(value * 1000)
    return value
