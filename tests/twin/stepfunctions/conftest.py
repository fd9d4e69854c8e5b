"""State machines for the tests: made, run to their end and looked at."""

import json
import time
import uuid
from typing import Any

import pytest

ACCOUNT = "222222222222"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}


class Machines:
    """Makes state machines in one account and runs them."""

    account = ACCOUNT

    def __init__(self, twin: Any) -> None:
        self.twin = twin
        self.client = twin.client("stepfunctions", ACCOUNT)
        self.iam = twin.client("iam", ACCOUNT)
        self.all_powerful = self.role(EVERYTHING)

    def role(self, *statements: dict[str, Any], service: str = "states.amazonaws.com") -> str:
        name = f"states-{uuid.uuid4().hex[:8]}"
        trust = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        arn = self.iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        if statements:
            policy = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
            self.iam.put_role_policy(RoleName=name, PolicyName="p", PolicyDocument=policy)
        return arn

    def make(self, definition: dict[str, Any], role: str | None = None, **settings: Any) -> str:
        return self.client.create_state_machine(
            name=f"m-{uuid.uuid4().hex[:8]}",
            definition=json.dumps(definition),
            roleArn=role or self.all_powerful,
            **settings,
        )["stateMachineArn"]

    def start(self, machine: str, data: Any = None, **settings: Any) -> str:
        started = self.client.start_execution(
            stateMachineArn=machine, input=json.dumps(data or {}), **settings
        )
        return started["executionArn"]

    def wait(self, execution: str, seconds: float = 30) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            described = self.client.describe_execution(executionArn=execution)
            if described["status"] != "RUNNING":
                return described
            time.sleep(0.03)
        raise AssertionError(f"{execution} still runs: {self.events(execution)[-1]}")

    def run(self, definition: dict[str, Any], data: Any = None, role: str | None = None) -> dict[str, Any]:
        """Make a machine, run it once and describe the execution; ``result`` is its parsed output."""
        described = self.wait(self.start(self.make(definition, role), data))
        if described.get("output"):
            described["result"] = json.loads(described["output"])
        return described

    def state(self, state: dict[str, Any], data: Any = None, jsonata: bool = True, **more: Any) -> Any:
        """Run one state alone."""
        language = {"QueryLanguage": "JSONata"} if jsonata else {}
        return self.run({**language, "StartAt": "S", "States": {"S": {**state, "End": True}}}, data, **more)

    def events(self, execution: str) -> list[dict[str, Any]]:
        return self.client.get_execution_history(executionArn=execution, maxResults=1000)["events"]


@pytest.fixture(scope="session")
def machines(twin: Any) -> Machines:
    return Machines(twin)
