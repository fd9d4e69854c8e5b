"""The CloudFormation action: change sets and stacks from a template in an artifact, with the acting role."""

import json
import re
import secrets
from typing import Any

from botocore.exceptions import ClientError

from twin import archives, glue
from twin.services.codepipeline.actions import stack_failure
from twin.services.codepipeline.context import ActionContext, Result
from twin.services.codepipeline.errors import ActionFailed, from_client_error

_POLL_SECONDS = 0.2
_INLINE_TEMPLATE_BYTES = 51_200  # what the API takes in a request; longer templates go by way of S3
_NO_CHANGES = re.compile(r"didn't contain changes|No updates are to be performed|no changes", re.IGNORECASE)


def deploy(context: ActionContext) -> Result:
    """Do what `ActionMode` says; a stack's outputs are the action's variables."""
    modes = {
        "CHANGE_SET_REPLACE": _replace_change_set,
        "CHANGE_SET_EXECUTE": _execute_change_set,
        "CREATE_UPDATE": _create_or_update,
        "REPLACE_ON_FAILURE": _replace_on_failure,
        "DELETE_ONLY": _delete,
    }
    mode = context.configuration["ActionMode"]
    if mode not in modes:
        raise ActionFailed("ConfigurationError", f"ActionMode {mode!r} is none of {', '.join(modes)}")
    stack = _Stack(context)
    context.run.set(external_id=stack.name)
    try:
        outputs = modes[mode](stack)
    except ClientError as fault:
        raise from_client_error(fault, f"stack {stack.name} in {context.account}/{context.region}") from fault
    if context.outputs():
        _write_outputs(context, outputs)
    return Result(variables=outputs, summary=stack.summary)


class _Stack:
    """One stack, reached with the acting role's credentials."""

    def __init__(self, context: ActionContext) -> None:
        self.context, self.name = context, context.configuration["StackName"]
        self.api = context.client("cloudformation")
        self.summary: str | None = None

    def describe(self) -> dict[str, Any] | None:
        try:
            return self.api.describe_stacks(StackName=self.name)["Stacks"][0]
        except ClientError as fault:
            if "does not exist" in str(fault):
                return None
            raise

    def exists(self) -> bool:
        found = self.describe()
        return found is not None and found["StackStatus"] not in ("REVIEW_IN_PROGRESS", "DELETE_COMPLETE")

    def settle(self, *, changed: bool = True) -> dict[str, str]:
        """Wait until the stack stands still and return its outputs; raises `ActionFailed` when it failed.

        A stack that this action has not `changed` may still bear the mark of an update that was rolled back
        before, which is no failure of this one.
        """
        while True:
            found = self.describe()
            status = found["StackStatus"] if found else "DELETE_COMPLETE"
            if not status.endswith("_IN_PROGRESS"):
                break
            self.context.pause(_POLL_SECONDS)
        if found is not None:
            self.context.run.set(external_id=found["StackId"])
        before = not changed and status == "UPDATE_ROLLBACK_COMPLETE"
        if not before and ("ROLLBACK" in status or status.endswith("FAILED")):
            raise ActionFailed("JobFailed", self._why(status, found["StackId"] if found else self.name))
        self.summary = f"Stack {self.name} is {status}"
        return {o["OutputKey"]: o["OutputValue"] for o in (found or {}).get("Outputs", [])}

    def _why(self, status: str, stack_id: str) -> str:
        context = self.context
        causes = stack_failure.reasons(stack_id, context.account, context.region)
        return f"stack {self.name} in {context.account}/{context.region} is {status}: {causes}"

    def request(self) -> dict[str, Any]:
        """Return what CreateStack, UpdateStack and CreateChangeSet need."""
        settings = self.context.configuration
        if not settings.get("TemplatePath"):
            raise ActionFailed(
                "ConfigurationError", f"ActionMode {settings['ActionMode']} needs TemplatePath"
            )
        file = (
            _json(self.context.read_file(settings["TemplateConfiguration"]), "TemplateConfiguration")
            if settings.get("TemplateConfiguration")
            else {}
        )
        if file.get("StackPolicy"):
            raise ActionFailed("ConfigurationError", "StackPolicy is not implemented by the local twin")
        parameters = {**file.get("Parameters", {}), **self._overrides()}
        request: dict[str, Any] = {
            "StackName": self.name,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()
            ],
            "Capabilities": [c.strip() for c in settings.get("Capabilities", "").split(",") if c.strip()],
            "Tags": [{"Key": key, "Value": str(value)} for key, value in file.get("Tags", {}).items()],
            **self._template(self.context.read_file(settings["TemplatePath"])),
        }
        if settings.get("RoleArn"):
            request["RoleARN"] = settings["RoleArn"]
        return request

    def _overrides(self) -> dict[str, Any]:
        text = self.context.configuration.get("ParameterOverrides")
        given = _json(text.encode(), "ParameterOverrides") if text else {}
        return {key: self._override(value) for key, value in given.items()}

    def _override(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if "Fn::GetParam" in value:
            name, file, key = value["Fn::GetParam"]
            document = _json(self.context.read_file(f"{name}::{file}"), file)
            if key not in document:
                raise ActionFailed("ConfigurationError", f"{file} of artifact {name!r} has no key {key!r}")
            return document[key]
        if "Fn::GetArtifactAtt" in value:
            name, attribute = value["Fn::GetArtifactAtt"]
            place = self.context.locate(name)
            url = f"https://s3.{self.context.region}.amazonaws.com/{place['bucket']}/{place['key']}"
            return {"BucketName": place["bucket"], "ObjectKey": place["key"], "URL": url}[attribute]
        raise ActionFailed("ConfigurationError", f"ParameterOverrides holds an unknown function: {value}")

    def _template(self, body: bytes) -> dict[str, str]:
        if len(body) <= _INLINE_TEMPLATE_BYTES:
            return {"TemplateBody": body.decode()}
        # AWS passes long templates inside; here they take the artifact store, with the pipeline's own role.
        context = self.context
        bucket, region = context.store()["location"], context.region
        key = f"{context.declaration['name'][:20]}/templates/{secrets.token_hex(8)}"
        glue.client("s3", context.pipeline_credentials, region).put_object(Bucket=bucket, Key=key, Body=body)
        return {"TemplateURL": f"https://s3.{region}.amazonaws.com/{bucket}/{key}"}


def _replace_change_set(stack: _Stack) -> dict[str, str]:
    name = _change_set_name(stack)
    request = stack.request()
    found = stack.describe()
    if found is not None:
        stack.api.delete_change_set(StackName=stack.name, ChangeSetName=name)
    kind = "UPDATE" if stack.exists() else "CREATE"
    stack.api.create_change_set(ChangeSetName=name, ChangeSetType=kind, **request)
    while True:
        state = stack.api.describe_change_set(StackName=stack.name, ChangeSetName=name)
        if not state["Status"].endswith(("_IN_PROGRESS", "_PENDING")):
            break
        stack.context.pause(_POLL_SECONDS)
    stack.context.run.set(external_id=state["ChangeSetId"])
    if state["Status"] == "FAILED" and not _NO_CHANGES.search(state.get("StatusReason", "")):
        raise ActionFailed(
            "JobFailed", f"change set {name} of stack {stack.name}: {state.get('StatusReason')}"
        )
    changes = [change["ResourceChange"] for change in state.get("Changes", [])]
    stack.summary = (
        "Change set "
        + (f"with {len(changes)} change(s)" if changes else "without changes")
        + f" for stack {stack.name}"
    )
    return {}


def _execute_change_set(stack: _Stack) -> dict[str, str]:
    name = _change_set_name(stack)
    state = stack.api.describe_change_set(StackName=stack.name, ChangeSetName=name)
    if state["Status"] == "FAILED":  # without changes: the action before this one let nothing else pass
        return stack.settle(changed=False)
    stack.api.execute_change_set(StackName=stack.name, ChangeSetName=name)
    return stack.settle()


def _create_or_update(stack: _Stack) -> dict[str, str]:
    request = stack.request()
    changed = True
    try:
        (stack.api.update_stack if stack.exists() else stack.api.create_stack)(**request)
    except ClientError as fault:
        if not _NO_CHANGES.search(str(fault)):
            raise
        changed = False
    return stack.settle(changed=changed)


def _replace_on_failure(stack: _Stack) -> dict[str, str]:
    found = stack.describe()
    if found is not None and found["StackStatus"] in (
        "ROLLBACK_COMPLETE",
        "ROLLBACK_FAILED",
        "CREATE_FAILED",
    ):
        _delete(stack)
    return _create_or_update(stack)


def _delete(stack: _Stack) -> dict[str, str]:
    if stack.describe() is not None:
        role = stack.context.configuration.get("RoleArn")
        stack.api.delete_stack(StackName=stack.name, **({"RoleARN": role} if role else {}))
        stack.settle()
    stack.summary = f"Stack {stack.name} is deleted"
    return {}


def _change_set_name(stack: _Stack) -> str:
    name = stack.context.configuration.get("ChangeSetName")
    if not name:
        raise ActionFailed("ConfigurationError", "change set actions need ChangeSetName")
    return name


def _json(content: bytes, what: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as fault:
        raise ActionFailed("ConfigurationError", f"{what} is not JSON: {fault}") from fault
    if not isinstance(document, dict):
        raise ActionFailed("ConfigurationError", f"{what} is not a JSON object")
    return document


def _write_outputs(context: ActionContext, outputs: dict[str, str]) -> None:
    file = context.configuration.get("OutputFileName")
    if not file:
        raise ActionFailed(
            "ConfigurationError", "an output artifact of a CloudFormation action needs OutputFileName"
        )
    context.upload(context.outputs()[0], archives.pack_contents({file: json.dumps(outputs).encode()}))
