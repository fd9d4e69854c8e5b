"""Where the pipeline's permissions stand: objects in their bucket's policy, the rest in managed policies.

The CDK gives each role one inline policy. There a bucket's objects could only be named with a wildcard, once
for every role; the bucket's own policy says in one place who may touch what lies in it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from aws_cdk import Stack, Token
from aws_cdk import aws_codepipeline as codepipeline
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct, IConstruct

from vision_platform.references import flatten


def place(nodes: Sequence[IConstruct]) -> None:
    """Move the statements of the inline policies among `nodes` (of one stack, without nested ones)."""
    buckets = {
        _bucket_of(policy): _BucketAccess(policy)
        for policy in nodes
        if isinstance(policy, s3.CfnBucketPolicy)
    }
    for node in nodes:
        if not isinstance(node, iam.CfnPolicy):
            continue
        resolved = Stack.of(node).resolve(node.policy_document)
        roles = Stack.of(node).resolve(node.roles) or []
        statements = [
            kept for each in resolved["Statement"] for kept in _without_objects(each, roles, buckets)
        ]
        node.policy_document = {**resolved, "Statement": statements}
        _as_managed_policy(node, roles)
    for access in buckets.values():
        access.write()
    for node in nodes:
        # A pipeline starts as soon as it is there, and must find its artifacts.
        if isinstance(node, codepipeline.CfnPipeline):
            for access in buckets.values():
                node.add_resource_dependency(access.policy)


class _BucketAccess:
    """Statements that go into one bucket's policy: who may do the same stands in one statement."""

    def __init__(self, policy: s3.CfnBucketPolicy) -> None:
        self.policy = policy
        self._granted: dict[str, tuple[dict[str, Any], list[Any]]] = {}

    def add(self, statement: dict[str, Any], roles: Sequence[Any]) -> None:
        """Let `roles` (references) do what `statement` allows."""
        granted = self._granted.setdefault(json.dumps(statement, sort_keys=True), (statement, []))
        for role in roles:
            arn = {"Fn::GetAtt": [role["Ref"], "Arn"]}
            if arn not in granted[1]:
                granted[1].append(arn)

    def write(self) -> None:
        """Put the statements into the policy."""
        document = Stack.of(self.policy).resolve(self.policy.policy_document)
        more = [{**statement, "Principal": {"AWS": arns}} for statement, arns in self._granted.values()]
        self.policy.policy_document = {**document, "Statement": [*document["Statement"], *more]}


def _without_objects(
    statement: dict[str, Any], roles: Sequence[Any], buckets: dict[str, _BucketAccess]
) -> list[dict[str, Any]]:
    """What is left of a statement when the stack's own buckets have taken theirs."""
    actions, resources = _listed(statement["Action"]), _listed(statement["Resource"])
    if statement["Effect"] == "Deny" or not all(action.startswith("s3:") for action in actions):
        return [statement]
    mine: dict[str, list[Any]] = {}
    for resource in resources:
        mine.setdefault(flatten(resource).split("/", 1)[0], []).append(resource)
    for bucket, named in mine.items():
        if bucket in buckets:
            buckets[bucket].add({**statement, "Resource": named}, roles)
    left = [each for bucket, named in mine.items() if bucket not in buckets for each in named]
    return [{**statement, "Resource": left}] if left else []


def _as_managed_policy(inline: iam.CfnPolicy, roles: Sequence[Any]) -> None:
    """Replace an inline policy. Its construct stays, so that what waits for the one waits for the other."""
    parent, document = inline.node.scope, inline.policy_document
    if not isinstance(parent, Construct) or not Stack.of(inline).resolve(document)["Statement"]:
        return
    parent.node.try_remove_child(inline.node.id)
    # Another id: CloudFormation does not let a logical id change its type.
    iam.CfnManagedPolicy(
        parent, "Managed", policy_document=document, roles=[Token.as_string(role) for role in roles]
    )


def _bucket_of(policy: s3.CfnBucketPolicy) -> str:
    """The bucket's ARN as it is flattened: `<Bucket.Arn>`."""
    return f"<{Stack.of(policy).resolve(policy.bucket)['Ref']}.Arn>"


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
