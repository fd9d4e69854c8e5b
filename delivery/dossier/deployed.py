"""What is deployed now: the stacks of an environment with their templates, read by the CDK's lookup role."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from delivery.dossier.assembly import PlannedStack
from delivery.dossier.faults import DossierError, in_words
from delivery.dossier.session import Aws
from delivery.dossier.sides import Stack

# A stack in these states holds nothing: it was never created, failed to be, or is gone.
_EMPTY = frozenset({"REVIEW_IN_PROGRESS", "ROLLBACK_COMPLETE", "DELETE_COMPLETE", "CREATE_FAILED"})
_THREADS = 8


@dataclass(frozen=True)
class DeployedStack:
    """A stack as CloudFormation has it."""

    stack: Stack
    status: str


@dataclass(frozen=True)
class Deployed:
    """The deployed stacks by region and name; `left_behind` are the environment's that nothing plans now.

    `unusable` says of planned stacks that exist without holding anything in which state they are.
    """

    stacks: Mapping[tuple[str, str], DeployedStack]
    left_behind: tuple[DeployedStack, ...]
    unusable: Mapping[tuple[str, str], str]


def read(planned: Sequence[PlannedStack], lookup_role: str, aws: Aws) -> Deployed:
    """Read the templates that are deployed in place of the planned stacks.

    Raises:
        DossierError: they cannot be read. A dossier without them would call everything new.
    """
    regions = list(dict.fromkeys(each.stack.region for each in planned))
    names = {(each.stack.region, each.stack.name): each for each in planned}
    tags = _common_tags(planned)
    found: dict[tuple[str, str], dict[str, Any]] = {}
    unusable: dict[tuple[str, str], str] = {}
    try:
        for region in regions:
            for stack in _listed(aws.by(lookup_role, "cloudformation", region)):
                key = (region, stack["StackName"])
                if stack["StackStatus"] in _EMPTY:
                    if key in names:
                        unusable[key] = stack["StackStatus"]
                elif key in names or tags.items() <= _tags(stack).items():
                    found[key] = stack

        def template(key: tuple[str, str]) -> DeployedStack:
            return _read(found[key], names.get(key), aws.by(lookup_role, "cloudformation", key[0]))

        with ThreadPoolExecutor(_THREADS) as threads:
            read_all = threads.map(template, found)
            stacks = dict(zip(found, read_all, strict=True))
    except (ClientError, BotoCoreError) as error:
        raise DossierError(in_words(error, f"reading the deployed stacks by {lookup_role}")) from None
    left = tuple(stack for key, stack in stacks.items() if key not in names)
    return Deployed({key: stack for key, stack in stacks.items() if key in names}, left, unusable)


def _listed(cloudformation: Any) -> list[dict[str, Any]]:
    """One listing of all stacks: fewer calls than one each, and it shows what nothing plans any more."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    return [stack for page in pages for stack in page["Stacks"]]


def _read(found: Mapping[str, Any], planned: PlannedStack | None, cloudformation: Any) -> DeployedStack:
    name = str(found["StackName"])
    body = cloudformation.get_template(StackName=found["StackId"], TemplateStage="Original")["TemplateBody"]
    _, _, _, region, account, _ = str(found["StackId"]).split(":", 5)
    stack = Stack(
        name=name,
        account=account,
        region=region,
        template=body if isinstance(body, Mapping) else _parsed(body, name),
        parameters={
            each["ParameterKey"]: each.get("ResolvedValue", each.get("ParameterValue", ""))
            for each in found.get("Parameters", [])
        },
        path=planned.stack.path if planned else "",
    )
    return DeployedStack(stack, found["StackStatus"])


def _parsed(body: str, name: str) -> Mapping[str, Any]:
    try:
        return json.loads(body)
    except ValueError:
        raise DossierError(
            f"the deployed template of {name} is not JSON: the CDK did not deploy it; compare it by hand"
        ) from None


def _common_tags(planned: Sequence[PlannedStack]) -> dict[str, str]:
    """The tags that all planned stacks carry: by these the environment's stacks are known."""
    common = set(planned[0].tags.items())
    for each in planned[1:]:
        common &= set(each.tags.items())
    return dict(common)


def _tags(stack: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}
