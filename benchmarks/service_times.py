"""`python -m benchmarks.service_times`: what one image costs our own code, for planning/measured.py.

Measured in processes of their own, one after the other, on one core: the adapter's start and memory at rest,
the CPU time of preparing a photo, and what the images take that the rules just let in.
"""
# Each part imports only what it measures, in a process of its own.
# ruff: noqa: PLC0415

from __future__ import annotations

import importlib
import io
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SIDE = 224  # what common models take
ROUNDS, MODEL_ROUNDS = 40, 10
# Where ONNX Runtime is; the same Python.
MODEL_ENVIRONMENT = ROOT / "build/envs/model"
# 1.1 MP at a quality of 75 takes the 300 KB that the default workload counts with.
PHOTO = (1216, 912)
# As large as the rules let a picture of each kind be (docs/image-rules.md).
PNG_WITH_ALPHA, STRIP_WITH_ALPHA = (3800, 3800), (730, 20_000)
WEBP_WITH_ALPHA, PROGRESSIVE_JPEG, SCANS = (2400, 2400), (6100, 6100), 32
UPLOAD_MB = 20  # streaming.max_image_mb, unless set otherwise
_START_OF_SCAN = 0xDA
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)


def start() -> dict[str, float]:
    """CPU time of loading the adapter, its clients included, and the memory that is taken then."""
    return _loaded()


def start_of_consumer() -> dict[str, float]:
    """The same of the function that works the stream off."""
    return {f"consumer_{name}": value for name, value in _loaded().items()}


def start_of_model() -> dict[str, float]:
    """CPU time until the function that serves models has loaded one of usual size, and of one image then."""
    began = time.process_time()
    serving = importlib.import_module("handler")
    archive = Path(sys.argv[2])
    serving.models._fetch = lambda _name, target: shutil.copyfile(archive, target)
    predictor = serving.models.get("resnet18")
    started = time.process_time()
    images = predictor.images(bytes(predictor.spec.image_bytes))
    for _ in range(MODEL_ROUNDS):
        predictor.probabilities(images)
    return {
        "model_start_cpu_ms": (started - began) * 1000,
        "model_ms": (time.process_time() - started) * 1000 / MODEL_ROUNDS,
    }


def _loaded() -> dict[str, float]:
    began = time.process_time()
    importlib.import_module("handler")
    return {"start_cpu_ms": (time.process_time() - began) * 1000, "base_mb": _resident()}


def photo() -> dict[str, float]:
    """CPU time from a photo's bytes to the model's input."""
    from vision_runtime.images import to_model_input
    from vision_runtime.spec import InputSpec

    spec = InputSpec(width=SIDE, height=SIDE, channels=3)
    data = Path(sys.argv[2]).read_bytes()
    spent = list[float]()
    for _ in range(ROUNDS):
        began = time.process_time()
        to_model_input(data, spec)
        spent.append((time.process_time() - began) * 1000)
    return {"photo_kb": len(data) / 1024, "image_cpu_ms": statistics.median(spent)}


def decoded_whole() -> dict[str, float]:
    """CPU time for each megapixel of a photo in a PNG with alpha, of all usual kinds the slowest."""
    return {"cpu_ms_per_megapixel": _prepared()[0] / _megapixels(PNG_WITH_ALPHA)}


def slowest() -> dict[str, float]:
    """CPU time of what takes longest of all that a request may hold: a JPEG in many scans."""
    return {"slowest_cpu_ms": _prepared()[0]}


def slowest_upload() -> dict[str, float]:
    """The same of an upload, which may have more bytes."""
    return {"slowest_upload_cpu_ms": _prepared()[0]}


def memory() -> dict[str, float]:
    """Memory for each megapixel of the kind that takes most of it: a WebP with alpha."""
    return {"mb_per_megapixel": _prepared()[1] / _megapixels(WEBP_WITH_ALPHA)}


def largest() -> dict[str, float]:
    """Memory of what takes most of all that the rules let in: a strip that no averaging makes small."""
    return {"largest_mb": _prepared()[1]}


def _prepared() -> tuple[float, float]:
    """Milliseconds of CPU time, and MB above what was taken before."""
    from vision_runtime.images import to_model_input
    from vision_runtime.images.rules import MEBIBYTE, ImageLimits
    from vision_runtime.spec import InputSpec

    data = Path(sys.argv[2]).read_bytes()
    limits = ImageLimits(max_bytes=UPLOAD_MB * MEBIBYTE)
    before = _resident()
    began = time.process_time()
    to_model_input(data, InputSpec(width=SIDE, height=SIDE, channels=3), limits)
    return (time.process_time() - began) * 1000, _resident() - before


def _megapixels(sides: tuple[int, int]) -> float:
    return sides[0] * sides[1] / 1e6


def _resident() -> float:
    """The most memory that was resident so far, in MB. (`ru_maxrss` would begin with the parent's.)"""
    found = _PEAK.search(Path("/proc/self/status").read_text())
    if found is None:
        raise RuntimeError("this system does not tell how much memory a process has had")
    return int(found.group(1)) / 1024


PARTS: dict[str, Callable[[], dict[str, float]]] = {
    "start": start,
    "start_of_consumer": start_of_consumer,
    "start_of_model": start_of_model,
    "photo": photo,
    "decoded_whole": decoded_whole,
    "slowest": slowest,
    "slowest_upload": slowest_upload,
    "memory": memory,
    "largest": largest,
}


# Which function a part loads, where it is not the adapter.
FUNCTIONS = {"start_of_consumer": "consume", "start_of_model": "serve_model"}


def _archive(folder: Path) -> Path:
    """A model's archive of usual size."""
    python = MODEL_ENVIRONMENT / "bin/python"
    subprocess.run([python, ROOT / "benchmarks/resnet18.py", folder], check=True)
    return folder / "model.tar.gz"


def _picture(part: str) -> bytes:
    """The file that a part prepares."""
    from PIL import Image

    from benchmarks.preprocess_images import photo as make
    from tests.lambda_src import odd_images

    usual = make(*PHOTO, seed=7)
    seen = Image.open(io.BytesIO(usual))
    if part == "decoded_whole":
        return odd_images.saved(seen.resize(PNG_WITH_ALPHA).convert("RGBA"), "PNG")
    if part == "memory":
        return odd_images.saved(seen.resize(WEBP_WITH_ALPHA).convert("RGBA"), "WEBP")
    if part == "largest":
        return odd_images.saved(seen.resize(STRIP_WITH_ALPHA).convert("RGBA"), "PNG")
    if part.startswith("slowest"):
        # A request has no room for a photo of that size in so many scans.
        shown = seen.resize(PROGRESSIVE_JPEG)
        plain = Image.new("RGB", PROGRESSIVE_JPEG, (90, 120, 30))
        chosen = shown if part == "slowest_upload" else plain
        *rest, end = odd_images.jpeg_segments(odd_images.saved(chosen, "JPEG", progressive=True))
        scans = [each for each in rest if each[0] == _START_OF_SCAN]
        return odd_images.joined([*rest, *[scans[-1]] * (SCANS - len(scans)), end])
    return usual


def main() -> int:
    """Run every part in a process of its own and print what they found."""
    if len(sys.argv) > 1:
        print(json.dumps(PARTS[sys.argv[1]]()))
        return 0
    from benchmarks import adapter

    with tempfile.TemporaryDirectory() as folder:
        for name in PARTS:
            given = Path(folder) / name
            if name == "start_of_model":
                given = _archive(Path(folder))
            else:
                given.write_bytes(_picture(name))
            environment = adapter.environment(FUNCTIONS.get(name, "predict"))
            environment["PYTHONPATH"] += f":{ROOT}"
            if name == "start_of_model":
                packages = next(MODEL_ENVIRONMENT.glob("lib/python3*/site-packages"))
                environment["PYTHONPATH"] += f":{ROOT / 'model'}:{packages}"
                environment["MODELS_FOLDER"] = "s3://benchmark/models"
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.service_times", name, str(given)],
                cwd=ROOT,
                env=environment,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            )
            for key, value in json.loads(done.stdout).items():
                print(f"{key:22} {value:8.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
