"""Writes the summary that programs read: verdict, figures, and every check."""

from typing import Any

from smoke_tests.predictions import IMAGES_ASKED
from smoke_tests.result import Result


def summary(result: Result) -> dict[str, Any]:
    """The run as plain JSON values; what was not reached is null."""
    settings, seen = result.settings, result.evidence
    latency = seen.latency
    return {
        "environment": settings.environment,
        "passed": result.passed,
        "run_id": result.run_id,
        "account": settings.account,
        "region": settings.region,
        "commit": settings.commit or None,
        "pipeline_execution_id": settings.pipeline_execution_id or None,
        "started_at": result.started_at.isoformat(timespec="seconds"),
        "total_seconds": round(result.seconds, 1),
        "accuracy": seen.evaluation.accuracy if seen.evaluation else None,
        "images": {"asked": IMAGES_ASKED, "right": sum(prediction.right for prediction in seen.predictions)},
        "bad_inputs": {
            name: {"status": refusal.status, "refused": not refusal.faults}
            for name, refusal in seen.refusals.items()
        },
        "cost_usd": round(seen.cost.total, 6) if seen.cost else None,
        "trace_id": seen.trace.id if seen.trace else None,
        "seconds": {check.name: round(check.seconds, 2) for check in result.checks},
        "checks": [
            {
                "name": check.name,
                "title": check.title,
                "status": str(check.status),
                "seconds": round(check.seconds, 2),
                "detail": check.detail,
            }
            for check in result.checks
        ],
        "model_version": seen.outcome.model_package_arn if seen.outcome else None,
        "execution_arn": seen.execution.arn if seen.execution else None,
        "api_latency_ms": {
            "first": round(latency.first, 1) if latency else None,
            "p50": round(latency.p50, 1) if latency else None,
            "p95": round(latency.p95, 1) if latency else None,
        },
    }
