"""What the runtime knows of one function version: read once from the emulator's record, then passed on."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# Lambda sets these itself; a function's own setting of them is ignored.
RESERVED_VARIABLES = frozenset(
    {
        "_HANDLER",
        "_X_AMZN_TRACE_ID",
        "AWS_ACCESS_KEY",
        "AWS_ACCESS_KEY_ID",
        "AWS_DEFAULT_REGION",
        "AWS_EXECUTION_ENV",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
        "AWS_LAMBDA_FUNCTION_NAME",
        "AWS_LAMBDA_FUNCTION_VERSION",
        "AWS_LAMBDA_INITIALIZATION_TYPE",
        "AWS_LAMBDA_LOG_GROUP_NAME",
        "AWS_LAMBDA_LOG_STREAM_NAME",
        "AWS_LAMBDA_RUNTIME_API",
        "AWS_REGION",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "LAMBDA_RUNTIME_DIR",
        "LAMBDA_TASK_ROOT",
    }
)


@dataclass(frozen=True)
class Function:
    """One version of a function, with all that an execution environment is made of."""

    account: str
    region: str
    name: str
    version: str
    role_arn: str
    runtime: str
    handler: str
    timeout_seconds: int
    memory_mb: int
    environment: Mapping[str, str]
    code: bytes = field(repr=False)
    code_digest: str
    layers: tuple[str, ...]
    log_group: str
    log_format: str
    log_level: str | None
    traced: bool

    @property
    def python_version(self) -> str:
        """The runtime's version of Python, such as ``3.13``."""
        return self.runtime.removeprefix("python")

    @property
    def identity(self) -> str:
        """Name the version among all accounts and regions."""
        return f"{self.account}:{self.region}:{self.name}:{self.version}"

    @cached_property
    def fingerprint(self) -> str:
        """Change whenever an execution environment made for this version no longer fits it."""
        parts = [self.role_arn, self.runtime, self.handler, self.timeout_seconds, self.memory_mb]
        parts += [dict(self.environment), self.code_digest, self.layers, self.log_group, self.log_format]
        return hashlib.sha256(json.dumps([*parts, self.log_level, self.traced]).encode()).hexdigest()


def from_record(record: Mapping[str, Any], config: Mapping[str, Any]) -> Function:
    """Read a function from the emulator's record of a version and its configuration."""
    parts = config["FunctionArn"].split(":")
    code = record.get("code_zip") or b""
    logging = config.get("LoggingConfig") or {}
    log_format = logging.get("LogFormat") or "Text"
    variables = (config.get("Environment") or {}).get("Variables") or {}
    return Function(
        account=parts[4],
        region=parts[3],
        name=config["FunctionName"],
        version=config.get("Version", "$LATEST"),
        role_arn=config["Role"],
        runtime=config.get("Runtime") or "",
        handler=config.get("Handler") or "",
        timeout_seconds=int(config.get("Timeout") or 3),
        memory_mb=int(config.get("MemorySize") or 128),
        environment={k: str(v) for k, v in variables.items() if k not in RESERVED_VARIABLES},
        code=code,
        code_digest=config.get("CodeSha256") or hashlib.sha256(code).hexdigest(),
        layers=tuple(
            layer if isinstance(layer, str) else layer.get("Arn", "") for layer in config.get("Layers") or ()
        ),
        log_group=logging.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}",
        log_format=log_format,
        log_level=logging.get("ApplicationLogLevel") or ("INFO" if log_format == "JSON" else None),
        traced=(config.get("TracingConfig") or {}).get("Mode") == "Active",
    )
