"""Narrows what the CDK's pipeline grants: wildcards are written out, and what nobody uses is taken out."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from aws_cdk import DefaultStackSynthesizer, Stack, Stage
from aws_cdk import aws_codebuild as codebuild
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import IConstruct

from delivery.policy_placement import place
from vision_platform.references import flatten

# What CodePipeline, CodeBuild and the CDK's bootstrap roles call, action by action.
_USED = {
    "s3:GetObject*": ("s3:GetObject", "s3:GetObjectVersion"),
    "s3:GetBucket*": ("s3:GetBucketAcl", "s3:GetBucketLocation", "s3:GetBucketVersioning"),
    "s3:List*": ("s3:ListBucket",),
    "s3:DeleteObject*": ("s3:DeleteObject",),
    "s3:Abort*": ("s3:AbortMultipartUpload",),
    "kms:ReEncrypt*": ("kms:ReEncryptFrom", "kms:ReEncryptTo"),
    "kms:GenerateDataKey*": ("kms:GenerateDataKey",),
}
# Granted on everything, and not called by this pipeline: publishing an asset starts no build, the pipeline's
# own role names the projects that it starts, and the CLI looks for the bootstrap stack by the roles it takes.
_UNUSED_ON_EVERYTHING = {
    "cloudformation:DescribeStacks",
    "codebuild:BatchGetBuilds",
    "codebuild:StartBuild",
    "codebuild:StopBuild",
    "s3:ListBucket",
}
# The roles by which the CLI deploys the pipeline's own stacks, in self-mutation.
_DEPLOYING = (
    DefaultStackSynthesizer.DEFAULT_DEPLOY_ROLE_ARN,
    DefaultStackSynthesizer.DEFAULT_FILE_ASSET_PUBLISHING_ROLE_ARN,
)


class UnknownWildcardError(Exception):
    """The CDK grants a wildcard action that nobody has written out; the message names it."""


def narrow(
    scope: IConstruct,
    *,
    smoke_roles: Sequence[iam.Role] = (),
    readers: Sequence[iam.Role] = (),
    artifacts: Sequence[str] = (),
    keys_elsewhere: Sequence[str] = (),
) -> None:
    """Narrow every policy of the pipeline's stack `scope`, and put each statement where it belongs.

    Roles of smoke steps alone write test reports, and they, as the `readers`, only read the buckets
    `artifacts` (ARNs): what is deployed to the next environment must not come from them. `keys_elsewhere` are
    ARNs of artifact keys in other regions, where the CDK grants the use of any key.
    To be called when the scope is complete: policies are taken as they are then. Raises UnknownWildcardError
    for a wildcard action that is not in the table.
    """
    smoke_paths = tuple(f"{role.node.path}/" for role in smoke_roles)
    reader_paths = (*smoke_paths, *[f"{role.node.path}/" for role in readers])
    nodes = list(_own_nodes(scope))
    exact = {
        **_bootstrap_roles(Stack.of(scope)),
        **_report_groups(node for node in nodes if isinstance(node, codebuild.CfnProject)),
    }
    for node in nodes:
        if not isinstance(node, iam.CfnPolicy | s3.CfnBucketPolicy):
            continue
        stack, path = Stack.of(node), node.node.path
        reads = path.startswith(reader_paths)
        rules = _Rules(
            keys_elsewhere=keys_elsewhere,
            read_only=[flatten(stack.resolve(arn)) for arn in artifacts] if reads else [],
            exact=exact,
        )
        document = stack.resolve(node.policy_document)
        reports = path.startswith(smoke_paths)
        node.policy_document = {
            **document,
            "Statement": [
                rules.narrowed(each)
                for each in document["Statement"]
                if each["Effect"] == "Deny" or not _unused(each, reports=reports)
            ],
        }
    place(nodes)


def _own_nodes(scope: IConstruct) -> Iterator[IConstruct]:
    """What is below `scope`, without the stages that the pipeline delivers: these are written narrow."""
    yield scope
    for child in scope.node.children:
        # Stages stand directly below. One call for all of the rest: node by node it takes two for each.
        if not isinstance(child, Stage):
            yield from child.node.find_all()


def _bootstrap_roles(stack: Stack) -> dict[str, list[Any]]:
    """What self-mutation may assume in place of every role of the account: the pattern, and the roles."""
    regions = [stack.region, *sorted({each.region for each in stack.dependencies} - {stack.region})]
    return {
        f"arn:*:iam::{stack.account}:role/*": [
            pattern.replace("${AWS::Partition}", stack.partition)
            .replace("${AWS::AccountId}", stack.account)
            .replace("${AWS::Region}", region)
            .replace("${Qualifier}", DefaultStackSynthesizer.DEFAULT_QUALIFIER)
            for region in regions
            for pattern in _DEPLOYING
        ]
    }


def _report_groups(projects: Iterator[codebuild.CfnProject]) -> dict[str, list[Any]]:
    """The report groups that CodeBuild makes for each project, by the pattern that the CDK grants instead."""
    groups: dict[str, list[Any]] = {}
    for project in projects:
        stack = Stack.of(project)
        start = f"arn:{stack.partition}:codebuild:{stack.region}:{stack.account}:report-group/"
        reference = {"Ref": stack.resolve(project.logical_id)}
        groups[f"{start}{flatten(reference)}-*"] = [
            {"Fn::Join": ["", [start, reference, f"-{name}"]]}
            for name in _reports(stack.resolve(project.source)["buildSpec"])
        ]
    return groups


def _reports(specification: Any) -> list[str]:
    """The names under `reports` in a build specification, which may hold references or be a file's name."""
    if isinstance(specification, dict):
        parts = specification["Fn::Join"][1]
        specification = "".join(part if isinstance(part, str) else flatten(part) for part in parts)
    return list(json.loads(specification).get("reports", {})) if specification.startswith("{") else []


def _unused(statement: dict[str, Any], *, reports: bool) -> bool:
    """Whether a statement allows nothing that this pipeline does."""
    actions = set(_listed(statement["Action"]))
    resources = [flatten(each) for each in _listed(statement["Resource"])]
    if all(":log-group:/aws/codebuild/" in each for each in resources):
        # Builds log to the pipeline's own encrypted group, for which each role has a statement too.
        return True
    if all(":report-group/" in each for each in resources):
        return not reports
    return resources == ["*"] and actions <= _UNUSED_ON_EVERYTHING


class _Rules:
    """How the statements of one policy are written out."""

    def __init__(
        self, *, keys_elsewhere: Sequence[str], read_only: Sequence[str], exact: Mapping[str, list[Any]]
    ) -> None:
        self._keys_elsewhere, self._read_only, self._exact = keys_elsewhere, read_only, exact

    def narrowed(self, statement: dict[str, Any]) -> dict[str, Any]:
        if statement["Effect"] == "Deny":
            return statement
        actions = sorted({each for action in _listed(statement["Action"]) for each in _written_out(action)})
        resources = [
            exact
            for each in _listed(statement["Resource"])
            for exact in self._exact.get(flatten(each), [each])
        ]
        if self._keys_elsewhere and "*" in resources and all(each.startswith("kms:") for each in actions):
            resources = [*[each for each in resources if each != "*"], *self._keys_elsewhere]
        if any(flatten(each) in self._read_only for each in resources):
            actions = [action for action in actions if action.startswith(("s3:Get", "s3:List"))]
        return {**statement, "Action": actions, "Resource": resources}


def _written_out(action: str) -> tuple[str, ...]:
    if "*" not in action:
        return (action,)
    if action not in _USED:
        raise UnknownWildcardError(
            f"{action}: the CDK grants this wildcard; add the actions it stands for to "
            "delivery/least_privilege.py"
        )
    return _USED[action]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
