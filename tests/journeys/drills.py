"""What the drills share: production behind an approval, a caller, a mailbox, and pushes that get decided."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.demo import champion
from tests.journeys import processes
from tests.journeys.changes import Change
from tests.journeys.onlookers import Caller, Mailbox
from tests.journeys.pipeline import LONGEST_PUSH, REGION, Execution, Pipeline

ENVIRONMENT = "prod"
_LOOK_SECONDS = 0.3


@dataclass(frozen=True)
class Production:
    """A platform with one environment, which is delivered and serves a trained model."""

    pipeline: Pipeline
    mailbox: Mailbox
    question: list[str]

    @contextmanager
    def pushed(self, change: Change) -> Generator[str]:
        """Pushes a change, which is taken back in the sources when the block ends; answers the commit."""
        with self.pipeline.snapshot.changed(change) as commit:
            code, said = self.pipeline.command("twin", "push")
            assert code == 0, said
            yield commit

    def approve_until_the_end(self, commit: str) -> Execution:
        """Approves whatever a commit's execution waits for until it has ended."""
        return self.wait(commit, lambda execution: execution.status not in ("InProgress", "Stopping"))

    def wait_for_approval(self, commit: str, action: str) -> None:
        """Waits until an execution asks for one approval; others are given meanwhile."""
        self.wait(commit, lambda _: action in self._waiting(commit), leave=action)

    def wait(self, commit: str, done: Callable[[Execution], bool], leave: str = "") -> Execution:
        """Looks at the newest execution of a commit until it is done, and approves what waits meanwhile."""
        until = time.monotonic() + LONGEST_PUSH
        while time.monotonic() < until:
            found = self.pipeline.executions(commit)
            if found:
                for action, approval in self._waiting(commit).items():
                    if action != leave:
                        self.pipeline.twin.decide(
                            approve=True, summary="drill", stage=approval.stage, action=action
                        )
                if done(found[-1]):
                    return found[-1]
            time.sleep(_LOOK_SECONDS)
        raise AssertionError(f"{commit} has not come to its end in {LONGEST_PUSH} s")

    def _waiting(self, commit: str) -> dict[str, Any]:
        own = {each.id for each in self.pipeline.executions(commit)}
        return {each.action: each for each in self.pipeline.twin.approvals() if each.execution in own}

    def stacks(self) -> dict[str, str]:
        """The hash of every stack's template in production, by the stack's name."""
        return {name: digest for name, (_, digest) in self.pipeline.stacks(ENVIRONMENT).items()}

    def let_approvals_expire(self) -> None:
        """Ends the time of what waits for a decision, as days of waiting would."""
        code, said = self.pipeline.command("twin", "expire")
        assert code == 0, said

    def wait_for_rollback(self, failed: Execution) -> None:
        """Waits until the stage in which an execution failed has been brought back."""
        api, name = self.pipeline.twin.pipeline_api, self.pipeline.twin.pipeline_name
        until = time.monotonic() + LONGEST_PUSH
        while time.monotonic() < until:
            listed = api.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
            newest = listed[0]
            if newest.get("executionType") == "ROLLBACK" and newest["status"] != "InProgress":
                assert newest["status"] == "Succeeded", newest
                return
            time.sleep(_LOOK_SECONDS)
        raise AssertionError(f"nothing was rolled back after {failed.id}")

    def caller(self) -> Caller:
        """Somebody who asks production for as long as a block lasts."""
        return Caller(self.question)


def deliver_production(pipeline: Pipeline) -> Production:
    """Lets the demo deliver the snapshot, and brings its twin back afterwards."""
    port = str(processes.free_port())
    code, said = pipeline.command("ops.demo", "--approve", "--port", port, seconds=LONGEST_PUSH)
    assert code == 0, said
    code, said = pipeline.command("twin", "up", "--port", port)
    assert code == 0, said
    return Production(pipeline, Mailbox(pipeline), _question(pipeline))


def _question(pipeline: Pipeline) -> list[str]:
    build = pipeline.snapshot.root / "build"
    health = pipeline.twin.get("health")
    return champion.question(
        api_url=pipeline.account(ENVIRONMENT).output("ApiUrl"),
        image=sorted((build / "demo/dataset/images").glob("*.png"))[0],
        account=pipeline.twin.account(ENVIRONMENT),
        region=REGION,
        proxy=f"http://127.0.0.1:{health['proxy_port']}",
        bundle=Path(build / "twin/proxy/ca-bundle.pem"),
    )
