"""CloudFormation references as the one-line text that stands for them in the ids of findings."""

from __future__ import annotations

import json
from typing import Any


def flatten(value: Any) -> str:
    """A resolved CloudFormation value as the one-line text that cdk-nag puts into its finding ids."""
    match value:
        case str():
            text = value.replace("${", "<").replace("}", ">")
        case {"Fn::Join": [delimiter, items]}:
            text = str(delimiter).join(flatten(item) for item in items)
        case {"Fn::GetAtt": [resource, attribute]}:
            text = f"<{flatten(resource)}.{flatten(attribute)}>"
        case {"Ref": name}:
            text = f"<{flatten(name)}>"
        case {"Fn::Sub": inner} | {"Fn::ImportValue": inner}:
            text = flatten(inner)
        case _:
            text = json.dumps(value, separators=(",", ":"))
    return text
