"""One pipeline of a test in a running twin: push to it, decide its approvals, wait for what comes."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.twin.conftest import Twin
from tests.twin.pipelines.builders import pipeline_template

ENDED = ("Succeeded", "Failed", "Stopped", "Cancelled", "Superseded")
PATIENCE_SECONDS = 180


@dataclass
class Pipeline:
    """One pipeline of a test: how to push to it, and to see what it does."""

    twin: Twin
    name: str
    repository: str
    checkout: Path
    template: dict[str, Any]

    @property
    def api(self) -> Any:
        return self.twin.client("codepipeline")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=T", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", str(self.checkout), *identity, *arguments],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def commit(self, files: dict[str, str], message: str = "change") -> str:
        for name, content in files.items():
            path = self.checkout / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        self.git("add", "-A")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def push(self, files: dict[str, str], message: str = "change", branch: str = "main") -> str:
        commit = self.commit(files, message)
        self.git("push", "--quiet", "--force", "origin", f"HEAD:refs/heads/{branch}")
        return commit

    def deploy(self, template: dict[str, Any] | None = None) -> None:
        """Create or update the stack that holds the pipeline."""
        self.template = template or self.template
        cloudformation = self.twin.client("cloudformation")
        request = {
            "StackName": self.name,
            "TemplateBody": json.dumps(self.template),
            "Capabilities": ["CAPABILITY_NAMED_IAM"],
        }
        known = [s for s in cloudformation.list_stacks()["StackSummaries"] if s["StackName"] == self.name]
        exists = any(s["StackStatus"] != "DELETE_COMPLETE" for s in known)
        (cloudformation.update_stack if exists else cloudformation.create_stack)(**request)
        status = wait_for(lambda: settled(cloudformation, self.name), f"stack {self.name}")
        assert status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), reasons(cloudformation, self.name)

    def executions(self) -> list[dict[str, Any]]:
        return self.api.list_pipeline_executions(pipelineName=self.name)["pipelineExecutionSummaries"]

    def of_commit(self, commit: str) -> dict[str, Any]:
        """The first execution that a push of this commit started."""

        def look() -> Any:
            for execution in reversed(self.executions()):
                if execution["trigger"]["triggerType"] == "WebhookV2" and any(
                    r["revisionId"] == commit for r in execution.get("sourceRevisions", [])
                ):
                    return execution
            return None

        return wait_for(look, f"an execution of {commit}")

    def execution(self, key: str) -> dict[str, Any]:
        return self.api.get_pipeline_execution(pipelineName=self.name, pipelineExecutionId=key)[
            "pipelineExecution"
        ]

    def wait(self, key: str, status: tuple[str, ...] = ENDED) -> dict[str, Any]:
        def look() -> Any:
            found = self.execution(key)
            return found if found["status"] in status else None

        return wait_for(look, lambda: f"execution {key} to be {status}: {self.actions(key)}")

    def actions(self, key: str) -> dict[str, dict[str, Any]]:
        """The newest run of each action, by name."""
        listed = self.api.list_action_executions(pipelineName=self.name, filter={"pipelineExecutionId": key})[
            "actionExecutionDetails"
        ]
        return {action["actionName"]: action for action in reversed(listed)}

    def stage(self, name: str) -> dict[str, Any]:
        """A stage's state."""
        states = self.api.get_pipeline_state(name=self.name)["stageStates"]
        return next(state for state in states if state["stageName"] == name)

    def state(self, stage: str, action: str) -> dict[str, Any]:
        """An action's latest execution; empty where there was none."""
        states = self.stage(stage)["actionStates"]
        return next((s.get("latestExecution", {}) for s in states if s["actionName"] == action), {})

    def token(self, stage: str, action: str) -> str:
        return wait_for(lambda: self.state(stage, action).get("token"), "an approval that waits")


def wait_for(look: Callable[[], Any], what: str | Callable[[], str]) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"waited in vain for {what() if callable(what) else what}")


def settled(cloudformation: Any, stack: str) -> str | None:
    status = cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"]
    return None if status.endswith("_IN_PROGRESS") else status


def reasons(cloudformation: Any, stack: str) -> list[str]:
    events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
    return [f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason')}" for e in events]


def new_pipeline(twin: Twin, repository: str, checkout: Path, **shape: Any) -> Pipeline:
    name = repository.replace("/", "-")
    remote = twin.home / "repositories" / f"{repository}.git"
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(checkout)], check=True)
    pipeline = Pipeline(twin, name, repository, checkout, pipeline_template(name, repository, **shape))
    pipeline.git("remote", "add", "origin", str(remote))
    return pipeline


def started(pipeline: Pipeline) -> str:
    """Deploy the pipeline; returns its first execution."""
    pipeline.deploy()
    return pipeline.executions()[-1]["pipelineExecutionId"]


def decide(pipeline: Pipeline, stage: str, status: str = "Approved", summary: str = "ok") -> None:
    """Wait for the approval `Approve` of a stage, and decide it."""
    pipeline.api.put_approval_result(
        pipelineName=pipeline.name,
        stageName=stage,
        actionName="Approve",
        token=pipeline.token(stage, "Approve"),
        result={"summary": summary, "status": status},
    )
