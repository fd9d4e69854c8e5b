"""What one image costs the parts of the platform, and what AWS adds: measured, published or assumed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Literal

from planning.explained import Input, Source

MACHINE = "2 vCPUs (x86), Python 3.11"
HOW_TO_MEASURE = "python -m benchmarks.service_times"
_DAY = date(2026, 11, 30)


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure: `kind` says whether somebody measured it here, AWS publishes it, or it is assumed."""

    name: str
    value: float
    unit: str
    kind: Literal["measured", "published", "assumed"]
    where: str
    on: date = _DAY

    def as_input(self) -> Input:
        """The figure as an input of an explained number."""
        return Input(
            name=self.name,
            value=self.value,
            unit=self.unit,
            source=Source(text=self.where, on=self.on, kind=self.kind),
        )


def _here(what: str) -> str:
    return f"{what}; {HOW_TO_MEASURE}, {MACHINE}"


# ---- what our own code takes

IMAGE_CPU_MS = Figure(
    name="preparing an image",
    value=5,
    unit="ms of one vCPU",
    kind="measured",
    where=_here("a photo of 1.1 MP (240 KB) becomes 224 x 224 pixels"),
)
ADAPTER_CPU_MS = Figure(
    name="what is around it",
    value=4,
    unit="ms of one vCPU",
    kind="measured",
    where="make bench-load on 2 vCPUs: the adapter took 6.1 ms a request, the consumer 7.2 an image, 2.8 of "
    "them for preparing it for a small model",
)
START_CPU_MS = Figure(
    name="starting the adapter",
    value=120,
    unit="ms of one vCPU",
    kind="measured",
    where=_here("imports and clients"),
)
CONSUMER_START_CPU_MS = Figure(
    name="starting the consumer",
    value=270,
    unit="ms of one vCPU",
    kind="measured",
    where=_here("imports and clients"),
)
MODEL_START_CPU_MS = Figure(
    name="starting what serves a model without instances",
    value=780,
    unit="ms of one vCPU",
    kind="measured",
    where=_here("imports, then unpacking and loading a network of the shape of ResNet-18 (47 MB)"),
)
BASE_MB = Figure(
    name="a function at rest",
    value=58,
    unit="MB",
    kind="measured",
    where=_here("resident memory after the consumer's imports; the adapter's are 34"),
)
MB_PER_MEGAPIXEL = Figure(
    name="memory for each megapixel of an image",
    value=15.4,
    unit="MB",
    kind="measured",
    where=_here("peak resident memory above the function at rest, a WebP with alpha"),
)
LARGEST_MB = Figure(
    name="memory of an image at most",
    value=113,
    unit="MB",
    kind="measured",
    where=_here("a strip of 730 x 20,000 px with alpha; more the rules refuse by the file's header"),
)
CPU_MS_PER_MEGAPIXEL = Figure(
    name="preparing each megapixel of an image",
    value=31,
    unit="ms of one vCPU",
    kind="measured",
    where=_here("a photo in a PNG with alpha, of the usual kinds the slowest"),
)
SLOWEST_CPU_MS = Figure(
    name="preparing an image of a request at most",
    value=620,
    unit="ms of one vCPU",
    kind="measured",
    where=_here("a progressive JPEG of 37 MP in 32 scans; more the rules refuse"),
)
SLOWEST_UPLOAD_CPU_MS = Figure(
    name="preparing an uploaded image at most",
    value=1080,
    unit="ms of one vCPU",
    kind="measured",
    where=_here("the same of a photo, which has more bytes than a request may have"),
)
RESNET18_MS = Figure(
    name="model's work for an image",
    value=42,
    unit="ms of one vCPU",
    kind="measured",
    where="ResNet-18 in ONNX Runtime with one thread, on 2 cores; the design's figure",
    on=date(2026, 11, 15),
)

# ---- what AWS adds, and what the rules of images allow

SANDBOX_MS = Figure(
    name="AWS's part of a cold start",
    value=200,
    unit="ms",
    kind="assumed",
    where="a microVM and the package's download, before the function's own code runs",
)
MODEL_FETCH_MS = Figure(
    name="reading a model from S3",
    value=600,
    unit="ms",
    kind="assumed",
    where="47 MB at some 80 MB a second, which one connection of a function brings",
)
CONTAINER_MS = Figure(
    name="AWS's part of a cold start of a serverless endpoint",
    value=4000,
    unit="ms",
    kind="assumed",
    where="a container from its image and the model from S3: some seconds; the endpoint's metric "
    "ModelSetupTime tells",
)
GATEWAY_MS = Figure(
    name="API Gateway's overhead",
    value=8,
    unit="ms",
    kind="assumed",
    where="the difference of its metrics Latency and IntegrationLatency, typically",
)
INVOKE_MS = Figure(
    name="InvokeEndpoint's overhead",
    value=10,
    unit="ms",
    kind="assumed",
    where="SageMaker's metric OverheadLatency, typically",
)
WRITE_MS = Figure(
    name="a write to DynamoDB",
    value=8,
    unit="ms",
    kind="published",
    where="'single-digit millisecond', DynamoDB developer guide, Introduction",
)
S3_GET_MS = Figure(
    name="reading an image from S3",
    value=100,
    unit="ms",
    kind="published",
    where="'roughly 100-200 milliseconds', S3 user guide, Performance guidelines; its lower end",
)
POLL_MS = Figure(
    name="a poll of a shard",
    value=1000,
    unit="ms",
    kind="published",
    where="'polls each shard at a base rate of once per second', Lambda developer guide, Kinesis",
)
VCPU_MB = Figure(
    name="memory that comes with one vCPU",
    value=1769,
    unit="MB",
    kind="published",
    where="Lambda developer guide, Configure memory",
)
ALARM_SECONDS = Figure(
    name="until target tracking asks for more instances",
    value=180,
    unit="s",
    kind="published",
    where="three data points of one minute, Application Auto Scaling user guide, Target tracking",
)
START_SECONDS = Figure(
    name="until a new instance answers",
    value=240,
    unit="s",
    kind="assumed",
    where="machine, image and model of a SageMaker endpoint take some minutes",
)
DECODE_SECONDS = Figure(
    name="the rules' limit for preparing an image",
    value=5,
    unit="s",
    kind="published",
    where="ImageLimits.decode_seconds, lambda_src/vision_runtime/images/rules.py",
)
