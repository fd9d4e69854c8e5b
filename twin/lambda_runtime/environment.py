"""The environment variables of a function's process: what Lambda offers, the function's own, and no more."""

from pathlib import Path

from twin import config, glue
from twin.lambda_runtime.function import Function

LAMBDA_PRINCIPAL = "lambda.amazonaws.com"


def process_environment(
    function: Function, task_root: Path, temporary: Path, log_stream: str, trace_daemon: str
) -> dict[str, str]:
    """Return the variables for one execution environment; raises `glue.TrustError` for an unusable role.

    `temporary` stands for the environment's own ``/tmp``; `trace_daemon` is the address of its X-Ray daemon.
    Lambda's own variables win over the function's; nothing of the twin's own environment passes through.
    """
    with glue.scope(function.account, function.region):
        credentials = glue.service_session(function.role_arn, LAMBDA_PRINCIPAL, function.name)
    offered = {
        "LANG": "en_US.UTF-8",
        "TZ": ":UTC",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "TMPDIR": str(temporary),
        "AWS_ENDPOINT_URL": config.current().endpoint,
        # The endpoint is an address, in front of which a host name cannot be put.
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
    }
    own = {
        "_HANDLER": function.handler,
        "AWS_DEFAULT_REGION": function.region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{function.runtime}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_FUNCTION_NAME": function.name,
        "AWS_LAMBDA_FUNCTION_VERSION": function.version,
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_FORMAT": function.log_format,
        "AWS_LAMBDA_LOG_GROUP_NAME": function.log_group,
        "AWS_LAMBDA_LOG_STREAM_NAME": log_stream,
        "AWS_REGION": function.region,
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        "AWS_XRAY_DAEMON_ADDRESS": trace_daemon,
        "LAMBDA_TASK_ROOT": str(task_root),
        **credentials,
    }
    if function.log_level:
        own["AWS_LAMBDA_LOG_LEVEL"] = function.log_level
    return {**offered, **function.environment, **own}
