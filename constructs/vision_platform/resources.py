"""What constructs share about CloudFormation's resources: how long they live, and how to reach them."""

from __future__ import annotations

from typing import TypeVar

from aws_cdk import RemovalPolicy
from constructs import Construct

# What has a memory outlives its stack; only a first deployment that fails takes it away again.
KEEP = RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE

Resource = TypeVar("Resource")


def cfn_resource(construct: Construct, kind: type[Resource]) -> Resource:
    """The resource that `construct` wraps, for properties that the construct does not offer.

    Raises TypeError when it wraps none of type `kind`.
    """
    resource = construct.node.default_child
    if not isinstance(resource, kind):
        raise TypeError(f"{construct.node.path} wraps {type(resource).__name__}, not {kind.__name__}")
    return resource
