"""Models on Lambda: a function for each line, with ONNX Runtime and the model's own serving code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aws_cdk import aws_s3 as s3
from constructs import Construct

from vision_platform import data_lake
from vision_platform.encryption import PlatformKey
from vision_platform.functions import FunctionProps, PlatformFunction
from vision_platform.model_lines import ModelLines
from vision_platform.network import Placement
from vision_platform.permissions import PlatformRole

# What the function's package takes from the model's code: what reads a model, checks it and answers.
SERVING_CODE = ("predictor.py", "spec.py")
# Lambda gives one vCPU for so much memory; an environment answers one request at a time, with all it has.
_MEGABYTES_PER_VCPU = 1769
# A first request loads a model; whoever asked has given up by then, but the model is there for the next.
_TIMEOUT_SECONDS = 30
_BY_RUN = "Models are keyed by run, which nobody knows at deployment; the prefix says which kind"


@dataclass(frozen=True, kw_only=True)
class FunctionSize:
    """How much each function may use; `reserved_concurrency` is the champion's, None: what is left."""

    memory_mb: int
    reserved_concurrency: int | None

    @property
    def threads(self) -> int:
        """Threads for one inference: as many as the memory brings vCPUs."""
        return max(1, round(self.memory_mb / _MEGABYTES_PER_VCPU))


class ServedModels(Construct):
    """The lines' functions, by name, so that callers and policies can name them before and after they exist.

    One for each line: a smoke test then neither takes the champion's executions nor moves its metrics.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        project_root: Path,
        lines: ModelLines,
        folder: str,
        role: PlatformRole,
        artifacts: s3.IBucket,
        size: FunctionSize,
        key: PlatformKey,
        placement: Placement | None,
        log_retention_days: int,
    ) -> None:
        super().__init__(scope, id)
        model = project_root / "model"
        self.functions: dict[str, PlatformFunction] = {
            line: PlatformFunction(
                self,
                line.capitalize(),
                props=FunctionProps(
                    source=project_root / "lambda_src",
                    folder="serve_model",
                    also=[model / name for name in SERVING_CODE],
                    name=lines.function(line),
                    description=f"Serves the models of the line {line}",
                    environment={
                        "MODELS_FOLDER": f"{folder}/{line}",
                        "ORT_INTRA_OP_THREADS": str(size.threads),
                        "POWERTOOLS_SERVICE_NAME": f"model-{line}",
                    },
                    memory_mb=size.memory_mb,
                    timeout_seconds=_TIMEOUT_SECONDS,
                    log_retention_days=log_retention_days,
                    reserved_concurrency=size.reserved_concurrency if line == lines.names[0] else None,
                ),
                key=key,
                placement=placement,
                role=role,
            )
            for line in lines.names
        }
        data_lake.allow_reading(role, artifacts, ["models/"], because=_BY_RUN)
