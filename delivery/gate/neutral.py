"""Names without what differs between environments, so that their statements can be told to be the same."""

from __future__ import annotations

import json
import re

from delivery.gate.assembly import Assembly, Stack

_STACK_OUTPUT = re.compile(r'\{"Fn::GetStackOutput":(\{[^{}]*\})\}')
# The eight digits that the CDK puts at the end of logical ids: `<StorageReports31B47EB2.Arn>`.
_LOGICAL_ID = re.compile(r"<(\w+?)[0-9A-F]{8}(?=[.>])")


class Neutral:
    """Makes names neutral for one assembly: its environments, accounts and regions."""

    def __init__(self, assembly: Assembly) -> None:
        self._tooling = {each.account for each in assembly.stacks if not each.stage}
        self._environments = {each.environment for each in assembly.stacks if each.environment}
        self._accounts = {each.account for each in assembly.stacks if each.environment}

    def text(self, text: str, stack: Stack) -> str:
        """A resource or a reason: environment, account and region replaced, references made readable."""
        text = _STACK_OUTPUT.sub(_output, text)
        text = _LOGICAL_ID.sub(r"<\1", text).replace("<AWS::Partition>", "aws")
        names = {stack.environment} if stack.environment else self._environments
        for name in sorted(names, key=len, reverse=True):
            text = re.sub(rf"(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", "<environment>", text)
            text = _capitalized(name).sub(r"\1<Environment>", text)
        if stack.account.isdigit():
            mine = "<tooling account>" if stack.account in self._tooling and not stack.stage else "<account>"
            text = text.replace(stack.account, mine)
        for account in filter(str.isdigit, self._accounts):
            text = text.replace(account, "<account of each environment>")
        return text.replace(stack.region, "<region>") if stack.region else text

    def role(self, path: str, stack: Stack) -> tuple[str, str]:
        """A policy's path as its role's neutral name, and the environment that the name was made for."""
        path = path.removesuffix("/Resource").removesuffix("/DefaultPolicy")
        if stack.stage:
            return path.removeprefix(stack.stage + "/"), stack.environment
        for name in sorted(self._environments, key=len, reverse=True):
            neutral = _capitalized(name).sub(r"\1<Environment>", path)
            if neutral != path:
                return neutral, name
        return path, ""


def _capitalized(name: str) -> re.Pattern[str]:
    """An environment's name within a construct's: `Dev` in `DevSmokeRole` or `PipelineDevSmoke`."""
    return re.compile(rf"(^|[/a-z<]){re.escape(name.capitalize())}(?=[A-Z]|/|$)")


def _output(match: re.Match[str]) -> str:
    output = json.loads(match.group(1))
    # The CDK names an output that another stack reads after what it exports, at length.
    name = re.sub(r"^(Exports|Publish)Output(FnGetAtt|Ref)", "", output.get("OutputName", ""))
    name = re.sub(r"[0-9A-F]{8}(?=Arn|$)|[0-9A-F]{8}$", "", name)
    name = re.sub(r"(?<=\w)Arn$", ".Arn", name)
    return f"<{output.get('StackName', '')}: {name}>"
