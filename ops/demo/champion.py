"""After delivery: datasets arrive in the environments, models are trained and promoted, the API answers."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ops.datasets import publish
from ops.demo.tools import DemoError

if TYPE_CHECKING:
    from pathlib import Path

    from ops.accounts import Account

_POLL_SECONDS = 0.5
_TRAINING_SECONDS = 300
_ANSWER_SECONDS = 30


@dataclass(frozen=True)
class Training:
    """A training run that a dataset's arrival has started."""

    account: Account
    known: frozenset[str]

    def wait(self) -> dict[str, Any]:
        """Waits for the run's end and answers its output.

        Raises:
            DemoError: it failed, or did not start or end in time.
        """
        states, machine = self.account.client("stepfunctions"), self.account.output("StateMachineArn")
        until = time.monotonic() + _TRAINING_SECONDS
        while time.monotonic() < until:
            listed = states.list_executions(stateMachineArn=machine)["executions"]
            for run in (r for r in listed if r["executionArn"] not in self.known):
                if run["status"] == "RUNNING":
                    continue
                told = states.describe_execution(executionArn=run["executionArn"])
                if run["status"] == "SUCCEEDED":
                    return json.loads(told["output"])
                why = f"{told.get('error', run['status'])}: {told.get('cause', 'no cause given')}"
                raise DemoError(f"training in {self.account.name} failed: {why}")
            time.sleep(_POLL_SECONDS)
        raise DemoError(f"training in {self.account.name} has not ended after {_TRAINING_SECONDS} s")


def dataset_arrives(account: Account, folder: Path) -> Training:
    """Uploads the dataset; its manifest's arrival starts the environment's training workflow."""
    machine = account.output("StateMachineArn")
    before = account.client("stepfunctions").list_executions(stateMachineArn=machine)["executions"]
    publish(account, folder, bucket=account.output("DatasetsBucket"))
    return Training(account, frozenset(run["executionArn"] for run in before))


def question(*, api_url: str, image: Path, account: str, region: str, proxy: str, bundle: Path) -> list[str]:
    """The command that asks the champion of an environment what an image shows, signed as the account's root.

    On AWS the same command works without `--proxy` and `--cacert`, with credentials that may invoke the API.
    """
    return [
        "curl",
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--proxy",
        proxy,
        "--cacert",
        str(bundle),
        "--aws-sigv4",
        f"aws:amz:{region}:execute-api",
        "--user",
        f"{account}:test",
        "--header",
        "Content-Type: image/png",
        "--data-binary",
        f"@{image}",
        f"{api_url.rstrip('/')}/v1/predictions",
    ]


def ask(command: list[str]) -> dict[str, Any]:
    """Runs the command and answers the prediction.

    Raises:
        DemoError: curl is missing or failed, or the answer is no prediction.
    """
    shown = shlex.join(command)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_ANSWER_SECONDS, check=False)
    except FileNotFoundError:
        raise DemoError(
            f"curl is not installed, so that nobody asked production. The command: {shown}"
        ) from None
    except subprocess.TimeoutExpired:
        raise DemoError(
            f"production did not answer within {_ANSWER_SECONDS} s. The command: {shown}"
        ) from None
    try:
        answer = json.loads(done.stdout)
    except ValueError:
        answer = {}
    if done.returncode or "label" not in answer:
        raise DemoError(f"production answered: {(done.stdout + done.stderr).strip()}\nThe command: {shown}")
    return answer
