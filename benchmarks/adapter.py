"""The adapter's cold start and package: `python -m benchmarks.adapter` loads it anew and packs it.

Loading is measured as Lambda does it: in a new process, from the import of the handler's module to its
end, with AWS's SDK installed. CPU time is what counts on a machine that others use too.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
TRIES = 15
LOADING_MS = 150  # of the adapter's own; the SDK's part is shown beside it
PACKAGE_MB = 30
# What is loaded before the clock of the adapter's own part starts: AWS's SDK, which Lambda's runtime brings.
SDK = """
import botocore.session
from botocore.config import Config
session = botocore.session.Session()
for service in ("sagemaker-runtime", "dynamodb"):
    session.create_client(service)
"""
PROBE = """
import json, sys, time
def clock(): return time.perf_counter(), time.process_time()
start = clock()
{before}
middle = clock()
import handler
end = clock()
loaded = set(sys.modules)
parts = [[b - a for a, b in zip(*pair)] for pair in ((start, middle), (middle, end))]
print(json.dumps({{"before": parts[0], "handler": parts[1], "numpy": "numpy" in loaded}}))
"""


def main() -> int:
    """Prints both; answers 1 when the adapter starts too slowly, loads numpy, or is too large."""
    whole = [_load("") for _ in range(TRIES)]
    apart = [_load(SDK) for _ in range(TRIES)]
    own = _median_ms(apart, "handler")
    size = package_bytes() / 1e6
    table = Table(box=None, title=f"The adapter's start, median of {TRIES} processes", title_justify="left")
    for name in ("", "wall ms", "CPU ms"):
        table.add_column(name, justify="left" if not name else "right")
    for name, tries, part in (
        ("the whole, SDK included", whole, "handler"),
        ("AWS's SDK and its two clients", apart, "before"),
        ("the adapter's own part, after those", apart, "handler"),
    ):
        wall, cpu = _median_ms(tries, part)
        table.add_row(name, f"{wall:.0f}", f"{cpu:.0f}")
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"package: {size:.1f} MB unpacked (limit {PACKAGE_MB}); numpy is loaded: {whole[0]['numpy']}"
    )
    return int(own[1] > LOADING_MS or size > PACKAGE_MB or bool(whole[0]["numpy"]))


def package_bytes() -> int:
    """The size of the adapter's package, unpacked, as it is uploaded to Lambda."""
    sys.path.insert(0, str(ROOT / "constructs"))
    from vision_platform.packaging import FunctionBundling  # noqa: PLC0415 - only here, from its source root

    with tempfile.TemporaryDirectory() as folder:
        FunctionBundling(ROOT / "lambda_src", "predict").try_bundle(folder)
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def _load(before: str) -> dict[str, list[float]]:
    """What one process measured: wall and CPU seconds of what comes `before`, and of the handler's module."""
    source = ROOT / "lambda_src"
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{source / 'predict'}:{source}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "POWERTOOLS_SERVICE_NAME": "predict",
        "POWERTOOLS_METRICS_NAMESPACE": "Vision",
        "CHAMPION_ENDPOINT": "champion",
        "SMOKE_ENDPOINT": "smoke",
        "LINEAGE_TABLE": "lineage",
        "IDEMPOTENCY_TABLE": "keys",
        "MODEL_SPEC": (ROOT / "model" / "spec.json").read_text(),
    }
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(before=before)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _median_ms(tries: list[dict[str, list[float]]], part: str) -> tuple[float, float]:
    walls, cpus = zip(*(each[part] for each in tries), strict=True)
    return statistics.median(walls) * 1000, statistics.median(cpus) * 1000


if __name__ == "__main__":
    sys.exit(main())
