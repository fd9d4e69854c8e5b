"""What promotion asks of SageMaker, in JSONata."""

from __future__ import annotations

import json
from typing import Any

from vision_platform.instances import volume_key
from vision_platform.model_lines import CHAMPION
from vision_platform.promotion_plan import HostingPlan

VARIANT = "primary"


def model(plan: HostingPlan) -> dict[str, Any]:
    """CreateModel: what the container serves, with which rights."""
    return {
        "ModelName": "{% $name %}",
        "ExecutionRoleArn": plan.role,
        "PrimaryContainer": {"Image": plan.image, **_served(plan)},
        **_network(plan),
    }


def _served(plan: HostingPlan) -> dict[str, Any]:
    if plan.multi_model is not None:
        # Each request names its model, and the package that it comes from.
        return {"Mode": "MultiModel", "ModelDataUrl": f"{{% '{plan.multi_model.folder}/' & $line & '/' %}}"}
    return {
        "ModelDataUrl": "{% $model_uri %}",
        # The container knows package, run and dataset, so that each answer can name them.
        "Environment": {
            "MODEL_VERSION": "{% $package %}",
            "MODEL_RUN": "{% $run_id %}",
            "MODEL_DATASET": "{% $dataset %}",
        },
    }


def endpoint_config(plan: HostingPlan) -> dict[str, Any]:
    """CreateEndpointConfig. The variant's name never changes: deployment guardrails compare it."""
    return {
        "EndpointConfigName": "{% $name %}",
        "ProductionVariants": [
            {
                "VariantName": VARIANT,
                "ModelName": "{% $name %}",
                "InitialVariantWeight": 1,
                **_capacity(plan),
            }
        ],
        # A serverless endpoint has no instances, and so no volumes.
        **({} if plan.serverless else volume_key(plan.instance_type, plan.key, "KmsKeyId")),
        **_asynchronous(plan),
    }


def create_endpoint() -> dict[str, Any]:
    """CreateEndpoint: the line's first model."""
    return {"EndpointName": "{% $endpoint %}", "EndpointConfigName": "{% $name %}"}


def update_endpoint(plan: HostingPlan) -> dict[str, Any]:
    """UpdateEndpoint. On the way back to an older model the alarms may ring about the one that leaves."""
    if not plan.watched_by_sagemaker:
        # Deployment guardrails are for endpoints with instances; others change all at once.
        return create_endpoint()
    guarded, at_once = json.dumps(plan.rollout.guarded()), json.dumps(plan.rollout.at_once())
    return {
        **create_endpoint(),
        "DeploymentConfig": f"{{% $line = '{CHAMPION}' and $reason != 'rollback' ? {guarded} : {at_once} %}}",
    }


def previous_endpoint() -> dict[str, Any]:
    """UpdateEndpoint back to the configuration that served before."""
    return {"EndpointName": "{% $endpoint %}", "EndpointConfigName": "{% $previous.config %}"}


def _network(plan: HostingPlan) -> dict[str, Any]:
    if plan.serverless:
        # SageMaker refuses both: serverless endpoints run in its own network.
        return {}
    return {
        "EnableNetworkIsolation": True,
        **({"VpcConfig": plan.vpc_config} if plan.vpc_config else {}),
    }


def _asynchronous(plan: HostingPlan) -> dict[str, Any]:
    settings = plan.asynchronous
    if settings is None:
        return {}
    folder = f"'{settings.folder}/' & $line & "
    output = {
        "S3OutputPath": f"{{% {folder}'/output' %}}",
        "S3FailurePath": f"{{% {folder}'/failed' %}}",
        "KmsKeyId": plan.key,
        "NotificationConfig": {
            "SuccessTopic": settings.success_topic,
            "ErrorTopic": settings.error_topic,
        },
    }
    client = {"MaxConcurrentInvocationsPerInstance": settings.concurrency_per_instance}
    return {"AsyncInferenceConfig": {"OutputConfig": output, "ClientConfig": client}}


def _capacity(plan: HostingPlan) -> dict[str, Any]:
    if plan.serverless is None:
        return {
            "InstanceType": plan.instance_type,
            "InitialInstanceCount": f"{{% {_instances(plan)} %}}",
        }
    size = plan.serverless
    # Smoke tests need few answers at once, and nothing kept warm; the account shares one limit among all.
    concurrency = f"$line = '{CHAMPION}' ? {size.max_concurrency} : {min(size.max_concurrency, 5)}"
    common = f"'MemorySizeInMB': {size.memory_mb}, 'MaxConcurrency': {concurrency}"
    if size.provisioned_concurrency is None:
        return {"ServerlessConfig": f"{{% {{{common}}} %}}"}
    warm = f"{common}, 'ProvisionedConcurrency': {size.provisioned_concurrency}"
    return {"ServerlessConfig": f"{{% $line = '{CHAMPION}' ? {{{warm}}} : {{{common}}} %}}"}


def _instances(plan: HostingPlan) -> str:
    """How many instances the new fleet begins with; smoke tests need one."""
    if plan.most_instances is None:
        return f"$line = '{CHAMPION}' ? {plan.instances} : 1"
    # A fleet that has scaled out is replaced by one of its size, not of the size of a quiet hour.
    return f"$line = '{CHAMPION}' ? $min([$max([{plan.instances}, $found.count]), {plan.most_instances}]) : 1"
