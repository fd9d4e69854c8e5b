"""`python -m benchmarks.service_times`: what one image costs our own code, for planning/measured.py.

Measured in processes of their own, one after the other, on one core: the adapter's start and memory at rest,
the CPU time of preparing a photo, and the memory that the largest image of the rules takes.
"""
# Each part imports only what it measures, in a process of its own.
# ruff: noqa: PLC0415

from __future__ import annotations

import json
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIDE = 224  # what common models take
ROUNDS = 40
# 1.1 MP at a quality of 75 takes the 300 KB that the default workload counts with.
PHOTO = (1216, 912)
LARGEST_MEGAPIXELS = 50
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


def start() -> dict[str, float]:
    """CPU time of the adapter's imports and clients, and the memory that they leave taken."""
    began = time.process_time()
    import boto3
    from aws_lambda_powertools import Logger, Metrics

    from vision_runtime import images, lineage, problem, tracing

    for service in ("sagemaker-runtime", "dynamodb"):
        boto3.client(service, region_name="us-east-1")
    del Logger, Metrics, images, lineage, problem, tracing
    return {"start_cpu_ms": (time.process_time() - began) * 1000, "base_mb": _resident()}


def photo() -> dict[str, float]:
    """CPU time from a photo's bytes to the model's input."""
    from benchmarks.preprocess_images import photo as make
    from vision_runtime.images import to_model_input
    from vision_runtime.spec import InputSpec

    spec = InputSpec(width=SIDE, height=SIDE, channels=3)
    data = make(*PHOTO, seed=7)
    spent = list[float]()
    for _ in range(ROUNDS):
        began = time.process_time()
        to_model_input(data, spec)
        spent.append((time.process_time() - began) * 1000)
    return {"photo_kb": len(data) / 1024, "image_cpu_ms": statistics.median(spent)}


def largest_png() -> dict[str, float]:
    """CPU time for each megapixel of the slowest kind: a PNG with alpha, decoded whole."""
    return {"cpu_ms_per_megapixel": _largest()[0] / LARGEST_MEGAPIXELS}


def largest_webp() -> dict[str, float]:
    """Memory for each megapixel of the kind that takes most: a WebP."""
    return {"mb_per_megapixel": _largest()[1] / LARGEST_MEGAPIXELS}


def _largest() -> tuple[float, float]:
    """Milliseconds of CPU time, and MB above what was taken before."""
    from vision_runtime.images import to_model_input
    from vision_runtime.spec import InputSpec

    data = Path(sys.argv[2]).read_bytes()
    before = _resident()
    began = time.process_time()
    to_model_input(data, InputSpec(width=SIDE, height=SIDE, channels=3))
    return (time.process_time() - began) * 1000, _resident() - before


def _resident() -> float:
    """The most memory that was resident so far, in MB. (`ru_maxrss` would begin with the parent's.)"""
    found = _PEAK.search(Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError("this system does not tell how much memory a process has had")
    return int(found.group(1)) / 1024


PARTS: dict[str, Callable[[], dict[str, float]]] = {
    "start": start,
    "photo": photo,
    "png": largest_png,
    "webp": largest_webp,
}


def main() -> int:
    """Run every part in a process of its own and print what they found."""
    if len(sys.argv) > 1:
        print(json.dumps(PARTS[sys.argv[1]]()))
        return 0
    from PIL import Image

    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    picture = Image.new("RGBA", (LARGEST_MEGAPIXELS * 125, 8000), (20, 90, 160, 200))
    path = [str(ROOT), str(ROOT / "lambda_src")]
    for name in PARTS:
        big = folder / f"largest.{name}"
        if name in ("png", "webp"):
            picture.save(big)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.service_times", name, str(big)],
            cwd=ROOT,
            env={"PYTHONPATH": ":".join(path), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
        )
        for key, value in json.loads(done.stdout).items():
            print(f"{key:22} {value:8.1f}")
        big.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
