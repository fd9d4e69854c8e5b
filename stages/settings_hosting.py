"""Settings of how models are served: the hosting mode, its capacity, and how a new model takes over."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.settings_fields import Group, InstanceType

# Settings that cost money or capacity in one mode, and would be lost in another without a word.
_OF_ONE_MODE = {
    "serverless": "serverless_provisioned_concurrency",
    "lambda": "lambda_reserved_concurrency",
}


class HostingSettings(Group):
    """How models are served: mode, hardware, scaling, and how a new model takes over."""

    mode: Literal["real-time", "serverless", "asynchronous", "multi-model", "lambda"] = "real-time"
    instance_type: InstanceType = "ml.c7i.large"
    instance_count: Annotated[int, Field(ge=1, le=100)] = 2
    # More than `instance_count`: the endpoint scales between the two by invocations per instance and minute.
    max_instance_count: Annotated[int, Field(ge=1, le=500)] | None = None
    target_invocations_per_instance: Annotated[int, Field(ge=1)] = 600
    # The endpoint scales by the model's mean latency (ms) too; a model that is slower at rest gains nothing.
    target_latency_ms: Annotated[int, Field(ge=1, le=60_000)] | None = None
    # Mode serverless: memory of one environment, which sets its share of CPUs; how many answer at once; how
    # many of them are kept warm, and paid for, all the time.
    serverless_memory_mb: Literal[1024, 2048, 3072, 4096, 5120, 6144] = 2048
    serverless_max_concurrency: Annotated[int, Field(ge=1, le=200)] = 18
    serverless_provisioned_concurrency: Annotated[int, Field(ge=1, le=200)] | None = None
    # Mode asynchronous: whether no instance stays while nothing waits; requests that may wait for one
    # instance, and that one instance has at a time.
    scale_to_zero: bool = True
    target_backlog_per_instance: Annotated[int, Field(ge=1)] = 5
    concurrent_requests_per_instance: Annotated[int, Field(ge=1, le=1000)] = 4
    # Mode lambda: the function's memory, a vCPU for every 1769 MB; executions that are kept for it, which it
    # does not exceed (none: it has what the account has left).
    lambda_memory_mb: Annotated[int, Field(ge=512, le=10_240)] = 1769
    lambda_reserved_concurrency: Annotated[int, Field(ge=1, le=10_000)] | None = None
    strategy: Literal["canary", "linear", "all_at_once"] = "canary"
    # Share of the instances that get the new model first (canary), or with each step (linear); where requests
    # name their model, share of these.
    step_percent: Annotated[int, Field(ge=1, le=50)] = 50
    # Between steps, and after the last one before the old instances go; alarms watch all the while.
    step_wait_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    bake_seconds: Annotated[int, Field(ge=0, le=3600)] = 300
    deployment_timeout_minutes: Annotated[int, Field(ge=5, le=120)] = 60

    @property
    def on_functions(self) -> bool:
        """Whether models are served by Lambda functions, and by no endpoint."""
        return self.mode == "lambda"

    @model_validator(mode="after")
    def _can_do_what_it_says(self) -> HostingSettings:
        for owner, setting in _OF_ONE_MODE.items():
            if setting in self.model_fields_set and self.mode != owner:
                raise ValueError(
                    f"{setting} is of mode '{owner}', and mode is '{self.mode}': take it out, or change the "
                    "mode"
                )
        if self.mode == "serverless":
            self._check_serverless()
        elif self.on_functions:
            self._check_without_instances("lambda_reserved_concurrency")
        else:
            self._check_instances()
        return self

    def _check_instances(self) -> None:
        if self.max_instance_count is not None and self.max_instance_count < self.instance_count:
            raise ValueError(
                f"max_instance_count ({self.max_instance_count}) is less than "
                f"instance_count ({self.instance_count})"
            )
        if self.strategy != "all_at_once" and self.instance_count < 2:
            raise ValueError(f"strategy '{self.strategy}' needs an instance_count of at least 2")
        if self.mode == "asynchronous" and self.target_latency_ms is not None:
            raise ValueError(
                "target_latency_ms has no meaning with mode 'asynchronous', which scales by what waits "
                "(target_backlog_per_instance): take it out"
            )
        if self.target_latency_ms is not None and self.max_instance_count is None:
            raise ValueError(
                f"target_latency_ms ({self.target_latency_ms}) needs max_instance_count: without it the "
                "endpoint does not scale"
            )

    def _check_without_instances(self, limit: str) -> None:
        for name in ("max_instance_count", "target_latency_ms"):
            if getattr(self, name) is not None:
                raise ValueError(
                    f"{name} has no meaning with mode '{self.mode}', which scales by itself up to "
                    f"{limit}: take it out"
                )

    def _check_serverless(self) -> None:
        if self.strategy != "all_at_once":
            raise ValueError(
                f"strategy '{self.strategy}' needs deployment guardrails, which SageMaker has for instances "
                "only: give 'all_at_once' with mode 'serverless'; the promotion workflow watches the alarms "
                "for bake_seconds, and takes the model back when one rings"
            )
        self._check_without_instances("serverless_max_concurrency")
        warm, most = self.serverless_provisioned_concurrency, self.serverless_max_concurrency
        if warm is not None and warm > most:
            raise ValueError(
                f"serverless_provisioned_concurrency ({warm}) is more than "
                f"serverless_max_concurrency ({most})"
            )
