"""Names of what a model line owns, promised to callers and policies: they stand here once."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack
from constructs import Construct

CHAMPION = "champion"
SMOKE = "smoke"
# What the names of the functions that serve models end in.
FUNCTION = "model"


@dataclass(frozen=True, kw_only=True)
class ModelLines:
    """The champion and smoke lines of one environment. `prefix` is `<platform>-<environment>`."""

    prefix: str

    @property
    def names(self) -> tuple[str, str]:
        """The lines: the one that callers use, and the one that smoke tests use."""
        return (CHAMPION, SMOKE)

    def endpoint(self, line: str) -> str:
        """The name of the line's endpoint, and of its model package group."""
        return f"{self.prefix}-{line}"

    def function(self, line: str) -> str:
        """The name of the function that serves the line's models, in the hosting mode that has one."""
        return f"{self.endpoint(line)}-{FUNCTION}"

    def function_arn(self, scope: Construct, line: str) -> str:
        """The ARN of that function in the scope's account."""
        return Stack.of(scope).format_arn(
            service="lambda",
            resource="function",
            resource_name=self.function(line),
            arn_format=ArnFormat.COLON_RESOURCE_NAME,
        )

    def of_runs(self, scope: Construct, name: str) -> str:
        """The pattern of ARNs of what runs make under `name`: a line's endpoint, or the prefix for all lines.

        One pattern for all kinds: SageMaker's actions each work on one kind of resource, named in the action.
        """
        return self.arn(scope, "*", f"{name}*")

    def arn(self, scope: Construct, kind: str, name: str) -> str:
        """The ARN of a SageMaker resource (`kind` as in ARNs, such as `endpoint`) in the scope's account."""
        return Stack.of(scope).format_arn(service="sagemaker", resource=kind, resource_name=name)
