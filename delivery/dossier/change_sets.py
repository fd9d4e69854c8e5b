"""What CloudFormation itself says would happen: a change set per stack, looked at and deleted again."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from delivery.dossier.assembly import PlannedStack
from delivery.dossier.faults import DossierError, code_of, in_words, is_absent, message_of
from delivery.dossier.session import Aws

# CloudFormation takes this much template in the request; a larger one it reads from S3.
_INLINE_BYTES = 51_200
_CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
_NOTHING_CHANGES = ("didn't contain changes", "No updates are to be performed")
_FIRST_PAUSE, _LONGEST_PAUSE, _PATIENCE_SECONDS = 0.1, 3.0, 300.0


@dataclass(frozen=True)
class Seen:
    """One resource change as a change set tells it.

    `replacement` is CloudFormation's word: True, Conditional, False, or empty for added and removed ones.
    `recreation` says per property whether changing it makes a new resource: Always, Conditionally, Never;
    `causes` says per property which references bring it a new value, such as `Table.Arn` or a parameter.
    """

    logical_id: str
    type: str
    action: str
    replacement: str = ""
    recreation: Mapping[str, str] = field(default_factory=dict[str, str])
    causes: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    scope: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ChangeSet:
    """What a change set told, or why there is none."""

    changes: tuple[Seen, ...] = ()
    unavailable: str = ""
    note: str = ""


class ChangeSets:
    """Makes change sets by the dossier's role; every one is deleted, whatever happens."""

    def __init__(self, aws: Aws, role: str, execution: str) -> None:
        """The change sets of one pipeline execution have the same name in each of its tries."""
        self._aws, self._role, self._execution = aws, role, execution
        self._name = f"dossier-{execution}"
        self.abandoned = Event()

    def look(self, planned: PlannedStack) -> ChangeSet:
        """Ask CloudFormation what deploying the stack would do. Faults become `unavailable`."""
        stack = planned.stack
        try:
            cloudformation = self._aws.by(self._role, "cloudformation", stack.region)
        except (ClientError, BotoCoreError) as error:
            return ChangeSet(unavailable=in_words(error, f"assuming {self._role}"))
        made, left, template = False, "", dict[str, str]()
        try:
            template = self._template(planned)
            # A try that was killed may have left one of this name.
            cloudformation.delete_change_set(StackName=stack.name, ChangeSetName=self._name)
            self._create(cloudformation, planned, template)
            made = True
            found = self._described(cloudformation, stack.name)
        except DossierError as error:
            found = ChangeSet(unavailable=str(error))
        except (ClientError, BotoCoreError) as error:
            found = ChangeSet(unavailable=in_words(error, "making a change set"))
        finally:
            # Also after a refusal: a request whose answer got lost may have been heard.
            left = self._delete(cloudformation, stack.name)
            left = left if made else ""
            if "TemplateURL" in template:
                left = f"{left} {self._forget(planned)}".strip()
        return ChangeSet(found.changes, found.unavailable, left)

    def _template(self, planned: PlannedStack) -> dict[str, str]:
        body = ""
        for template in (planned.stack.template, _without_metadata(planned.stack.template)):
            body = json.dumps(template, separators=(",", ":"), ensure_ascii=False)
            if len(body.encode()) <= _INLINE_BYTES:
                return {"TemplateBody": body}
        if not planned.assets:
            raise DossierError(f"the template is larger than {_INLINE_BYTES} bytes, and no bucket is known")
        region, key = planned.stack.region, self._key(planned)
        # Beside the published assets, never among them: what is deployed next does not come from here.
        s3 = self._aws.by(self._role, "s3", region)
        s3.put_object(Bucket=planned.assets, Key=key, Body=body.encode(), ContentType="application/json")
        suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
        return {"TemplateURL": f"https://s3.{region}.{suffix}/{planned.assets}/{key}"}

    def _key(self, planned: PlannedStack) -> str:
        return f"dossier/{self._execution}/{planned.stack.name}.json"

    def _forget(self, planned: PlannedStack) -> str:
        """Delete an uploaded template; return what is to be said when that fails."""
        try:
            s3 = self._aws.by(self._role, "s3", planned.stack.region)
            s3.delete_object(Bucket=planned.assets, Key=self._key(planned))
        except (ClientError, BotoCoreError):
            return f"s3://{planned.assets}/{self._key(planned)} could not be deleted: delete it by hand"
        return ""

    def _create(self, cloudformation: Any, planned: PlannedStack, template: Mapping[str, str]) -> None:
        parameters = [
            {"ParameterKey": key, "ParameterValue": value} for key, value in planned.stack.parameters.items()
        ]
        cloudformation.create_change_set(
            StackName=planned.stack.name,
            ChangeSetName=self._name,
            # Only ever of a stack that exists: one of type CREATE would leave an empty stack behind.
            ChangeSetType="UPDATE",
            Description="Read for the dossier of a deployment, then deleted; never executed",
            Capabilities=_CAPABILITIES,
            Parameters=parameters,
            Tags=[{"Key": key, "Value": value} for key, value in planned.tags.items()],
            **template,
        )

    def _described(self, cloudformation: Any, stack: str) -> ChangeSet:
        deadline, pause = time.monotonic() + _PATIENCE_SECONDS, _FIRST_PAUSE
        while True:
            answer = cloudformation.describe_change_set(StackName=stack, ChangeSetName=self._name)
            if answer["Status"] not in ("CREATE_PENDING", "CREATE_IN_PROGRESS"):
                break
            if time.monotonic() > deadline or self.abandoned.wait(pause):
                return ChangeSet(unavailable=f"no change set was ready within {_PATIENCE_SECONDS:.0f} s")
            pause = min(pause * 2, _LONGEST_PAUSE)
        if answer["Status"] != "CREATE_COMPLETE":
            reason = str(answer.get("StatusReason", ""))
            if any(words in reason for words in _NOTHING_CHANGES):
                return ChangeSet()
            return ChangeSet(unavailable=f"CloudFormation could not make a change set: {reason}")
        changes = list(answer["Changes"])
        while "NextToken" in answer:
            answer = cloudformation.describe_change_set(
                StackName=stack, ChangeSetName=self._name, NextToken=answer["NextToken"]
            )
            changes += answer["Changes"]
        return ChangeSet(tuple(_seen(each["ResourceChange"]) for each in changes if "ResourceChange" in each))

    def _delete(self, cloudformation: Any, stack: str) -> str:
        """Delete the change set; return what is to be said when that fails."""
        with suppress(BotoCoreError):
            try:
                cloudformation.delete_change_set(StackName=stack, ChangeSetName=self._name)
                return ""
            except ClientError as error:
                if is_absent(error) or code_of(error) == "ChangeSetNotFound":
                    return ""
                said = message_of(error)
                return f"The change set {self._name} could not be deleted ({said}): delete it by hand"
        return f"The change set {self._name} may be left: AWS could not be asked to delete it"


def _without_metadata(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template without what the CDK notes beside its resources; changes of that are not told anyway."""
    resources = {
        logical_id: {key: value for key, value in definition.items() if key != "Metadata"}
        for logical_id, definition in (template.get("Resources") or {}).items()
    }
    return {**template, "Resources": resources}


def _seen(change: Mapping[str, Any]) -> Seen:
    recreation: dict[str, str] = {}
    causes: dict[str, tuple[str, ...]] = {}
    for detail in change.get("Details", []):
        target = detail.get("Target", {})
        if target.get("Attribute") != "Properties":
            continue
        name, severity = target.get("Name", ""), target.get("RequiresRecreation", "Never")
        recreation[name] = max(severity, recreation.get(name, "Never"), key=_SEVERITY.index)
        if detail.get("CausingEntity"):
            causes[name] = (*causes.get(name, ()), detail["CausingEntity"])
    return Seen(
        logical_id=change["LogicalResourceId"],
        type=change["ResourceType"],
        action=change["Action"],
        replacement=change.get("Replacement", ""),
        recreation=recreation,
        causes=causes,
        scope=frozenset(change.get("Scope", [])),
    )


_SEVERITY = ("Never", "Conditionally", "Always")
