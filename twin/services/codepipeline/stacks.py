"""`AWS::CodePipeline::Pipeline` in CloudFormation: made, updated with a restart, deleted."""

import secrets
import threading
import time
from typing import Any

from twin import glue
from twin.json_service import NotImplementedInTwin, ServiceError
from twin.services.codepipeline.definition import from_cloudformation
from twin.services.codepipeline.service import CodePipeline

_SETTLE_SECONDS = 120.0
_LOOK_SECONDS = 0.1


def register(service: CodePipeline) -> None:
    """Provision pipelines through the service."""
    handler = _PipelineResource(service)
    glue.register_cloudformation(
        "AWS::CodePipeline::Pipeline", create=handler.create, update=handler.update, delete=handler.delete
    )


class _PipelineResource:
    def __init__(self, service: CodePipeline) -> None:
        self._service = service

    def create(
        self, logical_id: str, properties: dict[str, Any], stack_name: str
    ) -> tuple[str, dict[str, Any]]:
        name = properties.get("Name") or f"{stack_name}-{logical_id}"[:87] + f"-{secrets.token_hex(6)}"
        if self._service.pipelines.find(name):
            raise ServiceError(
                "PipelineNameInUseException", f"A pipeline with the name '{name}' already exists"
            )
        self._service.notice_pushes()
        self._put(name, properties)
        self._service.executions.start(
            name, "CreatePipeline", _detail(stack_name), first=_settled(stack_name)
        )
        return name, self._attributes(name)

    def update(
        self, physical_id: str, old: dict[str, Any], new: dict[str, Any], stack_name: str, logical_id: str
    ) -> tuple[str, dict[str, Any]]:
        if new.get("Name") not in (None, physical_id) or ("Name" in old and "Name" not in new):
            return self.create(logical_id, new, stack_name)
        if self._put(physical_id, new) and self._service.pipelines.get(physical_id)["restart"]:
            successor = self._service.executions.start(
                physical_id, "StartPipelineExecution", _detail(stack_name), first=_settled(stack_name)
            )
            self._service.executions.replace_running(physical_id, successor)
        return physical_id, self._attributes(physical_id)

    def delete(self, physical_id: str, properties: dict[str, Any]) -> None:
        del properties
        self._service.DeletePipeline({"name": physical_id})

    def _put(self, name: str, properties: dict[str, Any]) -> bool:
        if properties.get("CustomActionTypes"):
            raise NotImplementedInTwin("codepipeline custom action types")
        declaration = from_cloudformation(name, properties)
        restart = str(properties.get("RestartExecutionOnUpdate", "false")).lower() == "true"
        changed = self._service.pipelines.put(declaration, restart=restart, tags=_tags(properties))
        closed = {t["StageName"]: t["Reason"] for t in properties.get("DisableInboundStageTransitions", [])}
        for stage in declaration["stages"]:
            self._service.set_transition(name, stage["name"], closed.get(stage["name"]))
        return changed

    def _attributes(self, name: str) -> dict[str, Any]:
        return {"Version": str(self._service.pipelines.get(name)["declaration"]["version"])}


def _tags(properties: dict[str, Any]) -> list[dict[str, str]]:
    return [{"key": t["Key"], "value": str(t["Value"])} for t in properties.get("Tags", [])]


def _detail(stack_name: str) -> str:
    here = glue.current_scope()
    return f"arn:aws:cloudformation:{here.region}:{here.account}:stack/{stack_name}"


def _settled(stack_name: str) -> threading.Event:
    """Return an event that is set once the stack stands still.

    On AWS an execution needs longer to begin than CloudFormation to finish; here it would be faster, and run
    before the policies of its roles are there.
    """
    done = threading.Event()
    here = glue.current_scope()

    def watch() -> None:
        api = glue.client("cloudformation", glue.root_credentials(here.account), here.region)
        until = time.monotonic() + _SETTLE_SECONDS
        try:
            while time.monotonic() < until:
                time.sleep(_LOOK_SECONDS)
                status = api.describe_stacks(StackName=stack_name)["Stacks"][0]["StackStatus"]
                if not status.endswith("_IN_PROGRESS"):
                    break
        finally:
            done.set()

    glue.spawn(watch, name="stack-settled")
    return done
