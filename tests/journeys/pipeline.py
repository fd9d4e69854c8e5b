"""Pushes to the pipeline in the twin, and what became of them: by the command line and by AWS's API."""

from __future__ import annotations

import hashlib
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ops.accounts import Account
from tests.journeys.changes import Change
from tests.journeys.snapshot import Snapshot
from twin.client import Twin

REGION = "us-east-1"
# A push takes one or two minutes on a quiet machine with two cores; this only ends what hangs.
LONGEST_PUSH = 1200
_LONGEST_COMMAND = 120

Record = dict[str, Any]


@dataclass(frozen=True)
class Execution:
    """One execution of the pipeline with its actions, oldest first, as CodePipeline tells them."""

    id: str
    status: str
    actions: tuple[Record, ...]

    @property
    def stages(self) -> list[str]:
        """The stages in which an action was started, in order."""
        return list(dict.fromkeys(action["stageName"] for action in self.actions))

    @property
    def failed(self) -> list[Record]:
        """The actions that failed."""
        return [action for action in self.actions if action["status"] == "Failed"]

    def ran(self, stage: str) -> list[str]:
        """The names of the actions that were started in a stage."""
        return [action["actionName"] for action in self.actions if action["stageName"] == stage]


@dataclass(frozen=True)
class Push:
    """A commit's way: `said` is what the terminal showed; `executions` has more than one after a restart."""

    title: str
    commit: str
    exit_code: int
    said: str
    executions: tuple[Execution, ...]
    seconds: float
    since: float

    @property
    def last(self) -> Execution:
        """The execution that the push ended with."""
        return self.executions[-1]


@dataclass(frozen=True)
class Pipeline:
    """The delivery pipeline of a snapshot in a running twin."""

    snapshot: Snapshot
    twin: Twin

    def command(self, *arguments: str, seconds: float = _LONGEST_COMMAND) -> tuple[int, str]:
        """The exit code and the words of a Python module of the snapshot, such as ``twin``, with arguments.

        Raises:
            AssertionError: it did not end in time; the text holds what it said until then.
        """
        try:
            done = subprocess.run(
                [str(self.snapshot.root / ".venv/bin/python"), "-m", *arguments],
                cwd=self.snapshot.root,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=seconds,
                text=True,
                check=False,
            )
        except subprocess.TimeoutExpired as fault:
            said = (fault.stdout or b"").decode(errors="replace")
            command = " ".join(arguments)
            raise AssertionError(f"{command}: no end after {seconds} s. It said:\n{said}") from None
        return done.returncode, done.stdout

    def push(self, change: Change) -> Push:
        """Commits the change, pushes it, watches it to its end, and takes it back in the sources."""
        with self.snapshot.changed(change) as commit:
            return self.push_head(change.title, commit)

    def push_head(self, title: str, commit: str) -> Push:
        """Pushes the snapshot's newest commit and watches it to its end."""
        since, began = time.time(), time.monotonic()
        exit_code, said = self.command("twin", "push", "--watch", seconds=LONGEST_PUSH)
        seconds = time.monotonic() - began
        return Push(title, commit, exit_code, said, self.executions(commit), seconds, since)

    def executions(self, commit: str) -> tuple[Execution, ...]:
        """The executions that ran a commit, oldest first."""
        api, name = self.twin.pipeline_api, self.twin.pipeline_name
        listed = api.list_pipeline_executions(pipelineName=name)["pipelineExecutionSummaries"]
        found: list[Execution] = []
        for each in reversed(listed):
            if commit not in [source.get("revisionId") for source in each.get("sourceRevisions", [])]:
                continue
            key = each["pipelineExecutionId"]
            actions = api.list_action_executions(
                pipelineName=name, filter={"pipelineExecutionId": key}, maxResults=100
            )["actionExecutionDetails"]
            found.append(Execution(key, each["status"], tuple(reversed(actions))))
        return tuple(found)

    def account(self, name: str) -> Account:
        """The account of an environment, or the tooling account."""
        return Account(name, partial(self.twin.client, account=name, region=REGION))

    def stacks(self, environment: str) -> dict[str, tuple[str, str]]:
        """When each stack of an environment was deployed last, and its template's hash, by its name."""
        api = self.twin.client("cloudformation", environment)
        found: dict[str, tuple[str, str]] = {}
        for page in api.get_paginator("describe_stacks").paginate():
            for stack in page["Stacks"]:
                deployed = stack.get("LastUpdatedTime") or stack["CreationTime"]
                template = api.get_template(StackName=stack["StackName"])["TemplateBody"]
                digest = hashlib.sha256(repr(template).encode()).hexdigest()
                found[stack["StackName"]] = (str(deployed), digest)
        return found

    @contextmanager
    def unchanged(self, *environments: str) -> Generator[None]:
        """Holds that nothing was deployed to these environments meanwhile."""
        before = {name: self.stacks(name) for name in environments}
        yield
        assert {name: self.stacks(name) for name in environments} == before

    def denials(self, since: float) -> list[Record]:
        """What IAM has denied since a time."""
        return self.twin.get(f"iam?since={since:.3f}")["denials"]


def log_of_the_stop(push: Push, stage: str, action: str) -> str:
    """The log of the action in which a push must have stopped.

    The terminal must have named the step, the reason and the log, and nothing may have begun after it.
    """
    assert push.exit_code == 1, push.said
    assert push.last.status == "Failed"
    (failed,) = push.last.failed
    assert (failed["stageName"], failed["actionName"]) == (stage, action)
    assert push.last.stages[-1] == stage
    assert push.last.ran(stage)[-1] == action
    result = failed["output"]["executionResult"]
    log = Path(unquote(urlsplit(result["externalExecutionUrl"]).path))
    assert f"Failed: {stage} / {action}" in push.said
    assert f"why: {result['errorDetails']['message']}" in push.said
    assert f"log: {log}" in push.said
    return log.read_text(encoding="utf-8")
