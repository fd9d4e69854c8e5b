"""How an environment's models are hosted, as far as capacity and cost depend on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The limit of executions at once, in modes without instances, by the setting that says it.
LIMITS = {"serverless": "hosting.serverless_max_concurrency", "lambda": "hosting.lambda_reserved_concurrency"}


@dataclass(frozen=True, kw_only=True)
class Hosting:
    """The mode, the memory of one execution in modes without instances, and whether a fleet rests at zero."""

    mode: str = "real-time"
    memory_mb: int = 0
    scale_to_zero: bool = False

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Hosting:
        """From the settings of group `hosting`."""
        mode = str(settings["mode"])
        return cls(
            mode=mode,
            memory_mb=int(settings[f"{mode}_memory_mb"]) if mode in LIMITS else 0,
            scale_to_zero=mode == "asynchronous" and bool(settings["scale_to_zero"]),
        )

    @property
    def has_instances(self) -> bool:
        """Whether instances serve the models; executions that come and go do otherwise."""
        return self.mode not in LIMITS
