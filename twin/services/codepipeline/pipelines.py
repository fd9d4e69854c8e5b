"""The pipelines that exist, each with its definition and version."""

import time
from typing import Any

from twin import glue
from twin.json_service import ServiceError
from twin.services.codepipeline.definition import check


class Pipelines:
    """Definitions by name, per account and region."""

    def __init__(self) -> None:
        """Start with none."""
        self.store = glue.ScopedStore()

    def find(self, name: str) -> dict[str, Any] | None:
        """Return a pipeline's record, or None."""
        return self.store.get(name)

    def get(self, name: str) -> dict[str, Any]:
        """Return a pipeline's record; raises `ServiceError` when there is none."""
        if name not in self.store:
            here = glue.current_scope()
            raise ServiceError(
                "PipelineNotFoundException",
                f"Account '{here.account}' does not have a pipeline with name '{name}'",
            )
        return self.store[name]

    def put(self, declaration: dict[str, Any], *, restart: bool, tags: list[Any]) -> bool:
        """Store a definition as the next version; returns whether it differs from the last.

        Raises `ServiceError` when it is wrong.
        """
        old = self.find(declaration["name"])
        now = time.time()
        wanted = check({k: v for k, v in declaration.items() if k != "version"})
        if old is not None:
            before = {k: v for k, v in old["declaration"].items() if k != "version"}
            if before == wanted:
                old |= {"restart": restart, "tags": tags}
                return False
        version = old["declaration"]["version"] + 1 if old else 1
        self.store[declaration["name"]] = {
            "declaration": {**wanted, "version": version},
            "restart": restart,
            "tags": tags,
            "created": old["created"] if old else now,
            "updated": now,
        }
        return True

    def arn(self, name: str) -> str:
        """Return a pipeline's ARN."""
        here = glue.current_scope()
        return f"arn:aws:codepipeline:{here.region}:{here.account}:{name}"
