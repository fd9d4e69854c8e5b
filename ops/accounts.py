"""Reads what is deployed in one account: its stack outputs, through whatever makes clients for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

ClientFactory = Callable[[str], Any]


class OutputMissing(LookupError):
    """No stack of the account has this output: the environment is not deployed (yet)."""


@dataclass(frozen=True)
class Account:
    """One AWS account in one region; `client` makes a boto3 client of a service, in AWS or in the twin."""

    name: str
    client: ClientFactory

    @cached_property
    def outputs(self) -> dict[str, str]:
        """Every stack output of the account, by output key. Later stacks win where keys collide."""
        pages = self.client("cloudformation").get_paginator("describe_stacks").paginate()
        return {
            output["OutputKey"]: output["OutputValue"]
            for page in pages
            for stack in page["Stacks"]
            for output in stack.get("Outputs", [])
        }

    def output(self, key: str) -> str:
        """One stack output.

        Raises:
            OutputMissing: no stack has it.
        """
        if key not in self.outputs:
            raise OutputMissing(f"{self.name}: no stack has the output {key}; is the environment deployed?")
        return self.outputs[key]
