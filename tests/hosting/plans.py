"""The hosting plan of each mode, as tests need it without settings and stacks around it."""

from __future__ import annotations

from typing import Any

BUCKET = "lake-of-hosting"
ASYNCHRONOUS_FOLDER = f"s3://{BUCKET}/asynchronous"
TOPICS = {kind: f"arn:aws:sns:us-east-1:222222222222:inference-{kind}" for kind in ("Success", "Error")}
# Settings of each mode, as a team writes them.
SETTINGS: dict[str, dict[str, Any]] = {
    "real-time": {"instance_count": 2, "max_instance_count": 3, "target_latency_ms": 200},
    "serverless": {"mode": "serverless", "strategy": "all_at_once", "serverless_max_concurrency": 4},
    "multi-model": {"mode": "multi-model", "instance_count": 2, "strategy": "canary", "step_percent": 40},
    "lambda": {"mode": "lambda", "strategy": "canary", "step_percent": 40, "lambda_reserved_concurrency": 20},
    "asynchronous": {"mode": "asynchronous", "instance_count": 2, "max_instance_count": 3},
}


def of_mode(mode: str) -> dict[str, Any]:
    """The part of the hosting plan that the mode is about."""
    from vision_platform.promotion_plan import Asynchronous, ModelFunctions, MultiModel, Serverless

    if mode == "serverless":
        size = Serverless(memory_mb=2048, max_concurrency=4, provisioned_concurrency=None)
        return {"serverless": size, "most_instances": None}
    if mode == "asynchronous":
        queue = Asynchronous(
            folder=ASYNCHRONOUS_FOLDER,
            success_topic=TOPICS["Success"],
            error_topic=TOPICS["Error"],
            concurrency_per_instance=4,
            backlog_per_instance=5,
            to_zero=True,
        )
        return {"asynchronous": queue, "instances": 2, "most_instances": 3}
    if mode == "multi-model":
        many = MultiModel(folder=f"s3://{BUCKET}/models", fleet="fleet-0123abcd")
        return {"multi_model": many, "instances": 2, "most_instances": None}
    if mode == "lambda":
        return {"functions": ModelFunctions(folder=f"s3://{BUCKET}/models"), "most_instances": None}
    return {"instances": 2, "most_instances": 3, "latency_target_ms": 200}
