"""Which stack a request is about, and answers that wait a moment for the operation they started."""

import asyncio
from typing import Any
from urllib.parse import parse_qs

from twin import glue

# The CDK's command line looks at a stack once after starting an operation, then every 5 s. Operations of
# the twin take less than that: an answer that comes with the result saves most of those waits.
_LONGEST_WAIT_SECONDS = 4.0
_LOOK_SECONDS = 0.02
_STARTING = {"CreateStack", "UpdateStack", "DeleteStack", "ExecuteChangeSet"}


def install() -> None:
    """Hold the answers of the calls that start an operation until it has ended, or for a few seconds."""
    handlers = glue.internal("app").SERVICE_HANDLERS
    original = handlers["cloudformation"]

    async def handle(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        form = form_of(body)
        starts = form.get("Action") in _STARTING
        stack = stack_of(form) if starts else ""
        answer = await original(method, path, headers, body, query)
        if starts and answer[0] == 200:
            await _ended(stack)
        return answer

    handlers["cloudformation"] = handle


async def _ended(stack: str) -> None:
    stacks = glue.internal("services.cloudformation")._stacks
    deadline = asyncio.get_running_loop().time() + _LONGEST_WAIT_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(_LOOK_SECONDS)
        if not str(stacks.get(stack, {}).get("StackStatus", "")).endswith("_IN_PROGRESS"):
            return


def form_of(body: bytes) -> dict[str, str]:
    """Return the parameters of a request in the query protocol, the first value of each."""
    return {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}


def stack_of(form: dict[str, str]) -> str:
    """Return the name of the stack that a request is about; a change set may be given by its ARN alone."""
    stack = form.get("StackName", "")
    stack = stack.split("/")[1] if stack.startswith("arn:") else stack
    found = change_set_of(form, stack)
    return found["StackName"] if found else stack


def change_set_of(form: dict[str, str], stack: str) -> dict[str, Any] | None:
    """Return the record of the change set that a request names."""
    if "ChangeSetName" not in form:
        return None
    return glue.internal("services.cloudformation.changesets")._find_change_set(form["ChangeSetName"], stack)[
        1
    ]
