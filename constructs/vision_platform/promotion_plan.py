"""What promotion gives an endpoint: hosting mode, capacity, and how a new model takes over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

# What UpdateEndpoint takes for MaximumExecutionTimeoutInSeconds.
_SHORTEST_DEPLOYMENT, _LONGEST_DEPLOYMENT = 600, 28_800
# How long SageMaker may take to bring the old fleet back, beyond the limit of the deployment itself.
_ROLLBACK_SECONDS = 900
HostingMode = Literal["real-time", "serverless", "asynchronous", "multi-model", "lambda"]


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How a new model takes over: in which steps, watched for how long, and by which alarms."""

    strategy: Literal["canary", "linear", "all_at_once"]
    step_percent: int
    step_wait_seconds: int
    bake_seconds: int
    timeout_seconds: int
    alarms: Sequence[str]

    def __post_init__(self) -> None:
        """Raises ValueError when the steps and pauses do not fit into the time that they may take."""
        planned = self.planned_seconds
        if planned > self.limit_seconds:
            raise ValueError(
                f"hosting: the steps and pauses of strategy '{self.strategy}' take {planned} s, more than "
                f"deployment_timeout_minutes allows ({self.limit_seconds} s): raise it, or shorten "
                "step_wait_seconds or bake_seconds"
            )

    @property
    def planned_seconds(self) -> int:
        """How long pauses between steps and the last look take together."""
        steps = {"canary": 1, "linear": -(-100 // self.step_percent) - 1, "all_at_once": 0}
        return steps[self.strategy] * self.step_wait_seconds + self.bake_seconds

    @property
    def limit_seconds(self) -> int:
        """After how long SageMaker gives a deployment up and rolls it back."""
        return max(_SHORTEST_DEPLOYMENT, min(self.timeout_seconds, _LONGEST_DEPLOYMENT))

    @property
    def patience_seconds(self) -> int:
        """How long the workflow waits for an endpoint, so that SageMaker gives up first."""
        return self.limit_seconds + _ROLLBACK_SECONDS

    def guarded(self) -> dict[str, Any]:
        """UpdateEndpoint's DeploymentConfig: in steps, watched by the alarms."""
        if self.strategy == "all_at_once":
            routing: dict[str, Any] = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        else:
            size = {"canary": "CanarySize", "linear": "LinearStepSize"}[self.strategy]
            routing = {
                "Type": self.strategy.upper(),
                "WaitIntervalInSeconds": self.step_wait_seconds,
                size: {"Type": "CAPACITY_PERCENT", "Value": self.step_percent},
            }
        return {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": routing,
                "TerminationWaitInSeconds": self.bake_seconds,
                "MaximumExecutionTimeoutInSeconds": self.limit_seconds,
            },
            "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": name} for name in self.alarms]},
        }

    def at_once(self) -> dict[str, Any]:
        """DeploymentConfig without steps, pauses and alarms, for lines and ways back that nobody watches."""
        routing = {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
        return {
            "BlueGreenUpdatePolicy": {
                "TrafficRoutingConfiguration": routing,
                "TerminationWaitInSeconds": 0,
                "MaximumExecutionTimeoutInSeconds": self.limit_seconds,
            }
        }


@dataclass(frozen=True, kw_only=True)
class Serverless:
    """Size of a serverless endpoint: memory of each environment, and how many requests it answers at once.

    `provisioned_concurrency` environments are always warm; None: none are.
    """

    memory_mb: int
    max_concurrency: int
    provisioned_concurrency: int | None


@dataclass(frozen=True, kw_only=True)
class Asynchronous:
    """An endpoint with a queue: where its answers go, who hears of them, and what it scales by.

    `folder` (s3://..., without a slash at its end) holds a folder for each line. `backlog_per_instance`
    are the requests that may wait for one instance; with `to_zero` no instance stays while none waits.
    """

    folder: str
    success_topic: str
    error_topic: str
    concurrency_per_instance: int
    backlog_per_instance: int
    to_zero: bool


@dataclass(frozen=True, kw_only=True)
class MultiModel:
    """One fleet for all models of a line, which it loads from their folder as they are asked for.

    `folder` (s3://..., without a slash at its end) has a folder for each line. `fleet` names what the fleet
    is made of: while it stays the same, a promotion changes which model is asked, and no instance.
    """

    folder: str
    fleet: str


@dataclass(frozen=True, kw_only=True)
class ModelFunctions:
    """A function for each line, which loads models from their folder as they are asked for.

    `folder` (s3://..., without a slash at its end) has a folder for each line. A promotion changes which
    model is asked, and makes nothing.
    """

    folder: str


@dataclass(frozen=True, kw_only=True)
class HostingPlan:
    """Hardware and code of endpoints, how a new model takes over, and who they run as.

    `most_instances` is None where the endpoint does not scale; it does so by invocations, and by the model's
    latency too where `latency_target_ms` is given. `vpc_config` is SageMaker's VpcConfig.
    With `serverless` or `functions` there are no instances, and the instance fields say nothing.
    """

    image: str
    role: str
    key: str
    vpc_config: Mapping[str, Any] | None
    instance_type: str
    instances: int
    most_instances: int | None
    invocations_per_instance: int
    rollout: Rollout
    latency_target_ms: int | None = None
    serverless: Serverless | None = None
    asynchronous: Asynchronous | None = None
    multi_model: MultiModel | None = None
    functions: ModelFunctions | None = None

    @property
    def models_folder(self) -> str | None:
        """Where the models of all lines lie, if requests name theirs; else a deployment names it."""
        found = self.multi_model or self.functions
        return found.folder if found else None

    @property
    def kind(self) -> HostingMode:
        """The mode, as far as an endpoint cannot change it: one of many models is a real-time one."""
        return "serverless" if self.serverless else "asynchronous" if self.asynchronous else "real-time"

    @property
    def watched_by_sagemaker(self) -> bool:
        """Whether SageMaker watches deployments; else the workflow does, once the new model serves."""
        return self.serverless is None and self.functions is None

    @property
    def scales(self) -> bool:
        """Whether Application Auto Scaling looks after the champion's endpoint."""
        to_zero = self.asynchronous is not None and self.asynchronous.to_zero
        has_instances = self.serverless is None and self.functions is None
        return has_instances and (self.most_instances is not None or to_zero)
