"""What submit and results share: the clients, the settings, and the results table of the burst path."""

from __future__ import annotations

import os
from typing import Any

import boto3
from botocore.config import Config as ClientConfig

from vision_runtime import environment
from vision_runtime.results import ResultsTable
from vision_runtime.tracing import trace_calls

# The function answers within API Gateway's 29 s: two tries of each of three calls fit.
_CLIENT = ClientConfig(
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 2, "mode": "standard"},
    tcp_keepalive=True,
)
SMOKE_RETENTION_DAYS = 1  # what a smoke test leaves behind is worthless the next day

stream = environment.text(os.environ, "STREAM_NAME")
uploads_bucket = environment.text(os.environ, "UPLOADS_BUCKET")
_champion_days = environment.positive(os.environ, "RESULT_RETENTION_DAYS", 7)
s3: Any = boto3.client("s3", config=_CLIENT)
kinesis: Any = boto3.client("kinesis", config=_CLIENT)
dynamodb: Any = boto3.client("dynamodb", config=_CLIENT)
trace_calls(kinesis, shown={"StreamName": "stream_name"})
table = ResultsTable(dynamodb, environment.text(os.environ, "RESULTS_TABLE"))


def kept_days(line: str) -> int:
    """For how many days a result of a line is kept."""
    return SMOKE_RETENTION_DAYS if line == "smoke" else _champion_days


def path_of(line: str, id: str) -> str:
    """Where a prediction is asked for."""
    return f"/v1/smoke/predictions/{id}" if line == "smoke" else f"/v1/predictions/{id}"
