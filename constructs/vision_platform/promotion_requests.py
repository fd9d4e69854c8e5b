"""What promotion asks of SageMaker and of Application Auto Scaling, in JSONata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from vision_platform.instances import volume_key
from vision_platform.model_lines import CHAMPION

VARIANT = "primary"
SCALABLE = {
    "ServiceNamespace": "sagemaker",
    "ResourceId": "{% 'endpoint/' & $endpoint & '/variant/" + VARIANT + "' %}",
    "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
}
# What UpdateEndpoint takes for MaximumExecutionTimeoutInSeconds.
_SHORTEST_DEPLOYMENT, _LONGEST_DEPLOYMENT = 600, 28_800
# How long SageMaker may take to bring the old fleet back, beyond the limit of the deployment itself.
_ROLLBACK_SECONDS = 900
# Instances that come are at once of use; instances that go might be missed soon.
_SCALE_OUT_COOLDOWN_SECONDS, _SCALE_IN_COOLDOWN_SECONDS = 60, 300


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
class HostingPlan:
    """Hardware and code of endpoints, how a new model takes over, and who they run as.

    `most_instances` is None where the endpoint does not scale; `vpc_config` is SageMaker's VpcConfig.
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


def model(plan: HostingPlan) -> dict[str, Any]:
    """CreateModel: the container knows package, run and dataset, so that each answer can name them."""
    return {
        "ModelName": "{% $name %}",
        "ExecutionRoleArn": plan.role,
        "PrimaryContainer": {
            "Image": plan.image,
            "ModelDataUrl": "{% $model_uri %}",
            "Environment": {
                "MODEL_VERSION": "{% $package %}",
                "MODEL_RUN": "{% $run_id %}",
                "MODEL_DATASET": "{% $dataset %}",
            },
        },
        "EnableNetworkIsolation": True,
        **({"VpcConfig": plan.vpc_config} if plan.vpc_config else {}),
    }


def endpoint_config(plan: HostingPlan) -> dict[str, Any]:
    """CreateEndpointConfig. The variant's name never changes: deployment guardrails compare it."""
    return {
        "EndpointConfigName": "{% $name %}",
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "ModelName": "{% $name %}",
                "InstanceType": plan.instance_type,
                "InitialInstanceCount": f"{{% {_instances(plan)} %}}",
                "InitialVariantWeight": 1,
            }
        ],
        **volume_key(plan.instance_type, plan.key, "KmsKeyId"),
    }


def create_endpoint() -> dict[str, Any]:
    """CreateEndpoint: the line's first model."""
    return {"EndpointName": "{% $endpoint %}", "EndpointConfigName": "{% $name %}"}


def update_endpoint(plan: HostingPlan) -> dict[str, Any]:
    """UpdateEndpoint. On the way back to an older model the alarms may ring about the one that leaves."""
    guarded, at_once = json.dumps(plan.rollout.guarded()), json.dumps(plan.rollout.at_once())
    return {
        **create_endpoint(),
        "DeploymentConfig": f"{{% $line = '{CHAMPION}' and $reason != 'rollback' ? {guarded} : {at_once} %}}",
    }


def scalable_target(plan: HostingPlan) -> dict[str, Any]:
    """RegisterScalableTarget: between which counts the endpoint scales."""
    return {**SCALABLE, "MinCapacity": plan.instances, "MaxCapacity": plan.most_instances}


def scaling_policy(plan: HostingPlan) -> dict[str, Any]:
    """PutScalingPolicy: hold invocations per instance and minute at the target."""
    return {
        **SCALABLE,
        "PolicyName": "{% $endpoint & '-invocations' %}",
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": plan.invocations_per_instance,
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"
            },
            "ScaleOutCooldown": _SCALE_OUT_COOLDOWN_SECONDS,
            "ScaleInCooldown": _SCALE_IN_COOLDOWN_SECONDS,
        },
    }


def _instances(plan: HostingPlan) -> str:
    """How many instances the new fleet begins with; smoke tests need one."""
    if plan.most_instances is None:
        return f"$line = '{CHAMPION}' ? {plan.instances} : 1"
    # A fleet that has scaled out is replaced by one of its size, not of the size of a quiet hour.
    return f"$line = '{CHAMPION}' ? $min([$max([{plan.instances}, $found.count]), {plan.most_instances}]) : 1"
