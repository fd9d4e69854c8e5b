"""The adapter's cold start and package: `python -m benchmarks.adapter` loads it anew and packs it.

Loading is measured as Lambda does it: in a new process, from the import of the handler's module to its
end, with AWS's SDK installed. CPU time is what counts on a machine that others use too. What it is compared
with, in the same run and in processes of its own: AWS's SDK making the two clients that a prediction needs,
and nothing else. A machine in a slow moment shows it by what the SDK takes; the goal is in ms all the same.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
TRIES = 15
LOADING_MS = 150
PACKAGE_MB = 30
HANDLER = "import handler"
# What Lambda's runtime brings, as botocore sets it up by default.
SDK = """
import botocore.session
session = botocore.session.Session()
for service in ("sagemaker-runtime", "dynamodb"):
    session.create_client(service)
"""
PROBE = """
import json, sys, time
def clock(): return time.perf_counter(), time.process_time()
start = clock()
{code}
wall, cpu = (after - before for before, after in zip(start, clock()))
print(json.dumps({{"wall": wall, "cpu": cpu, "numpy": "numpy" in sys.modules}}))
"""


def main() -> int:
    """Prints all; answers 1 when the adapter starts too slowly, loads numpy, or is too large."""
    # In turn, so that a busy moment of the machine meets both.
    pairs = [(_load(HANDLER), _load(SDK)) for _ in range(TRIES)]
    whole, sdk = (_median_ms(tries) for tries in zip(*pairs, strict=True))
    share = statistics.median(own["cpu"] / other["cpu"] for own, other in pairs)
    numpy = pairs[0][0]["numpy"]
    size = package_bytes() / 1e6
    table = Table(box=None, title=f"The adapter's start, median of {TRIES} processes", title_justify="left")
    for name in ("", "wall ms", "CPU ms"):
        table.add_column(name, justify="left" if not name else "right")
    for name, (wall, cpu) in (
        (f"the adapter (limit {LOADING_MS} ms of CPU)", whole),
        ("AWS's SDK making two clients", sdk),
    ):
        table.add_row(name, f"{wall:.0f}", f"{cpu:.0f}")
    console = Console(highlight=False)
    console.print(table)
    console.print(f"CPU, the first by the second, median of pairs: {share:.2f}")
    console.print(f"package: {size:.1f} MB unpacked (limit {PACKAGE_MB}); numpy is loaded: {numpy}")
    return int(whole[1] > LOADING_MS or size > PACKAGE_MB or bool(numpy))


def package_bytes() -> int:
    """The size of the adapter's package, unpacked, as it is uploaded to Lambda."""
    sys.path.insert(0, str(ROOT / "constructs"))
    from vision_platform.packaging import FunctionBundling  # noqa: PLC0415 - only here, from its source root

    with tempfile.TemporaryDirectory() as folder:
        FunctionBundling(ROOT / "lambda_src", "predict").fill(Path(folder))
        return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


def environment(function: str = "predict") -> dict[str, str]:
    """What a process needs that is to load the function's handler, as Lambda would set it up."""
    source = ROOT / "lambda_src"
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{source / function}:{source}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "benchmark",
        "AWS_SECRET_ACCESS_KEY": "benchmark",
        "POWERTOOLS_SERVICE_NAME": "predict",
        "POWERTOOLS_METRICS_NAMESPACE": "Vision",
        "CHAMPION_ENDPOINT": "champion",
        "SMOKE_ENDPOINT": "smoke",
        "LINEAGE_TABLE": "lineage",
        "IDEMPOTENCY_TABLE": "keys",
        "UPLOADS_BUCKET": "uploads",
        "RESULTS_TABLE": "results",
        "DELIVERY_STREAM": "results",
        "MODEL_SPEC": (ROOT / "model" / "spec.json").read_text(),
    }


def _load(code: str) -> dict[str, float]:
    """What one process measured of `code`: wall and CPU seconds, and whether numpy was loaded."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(code=code)],
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _median_ms(tries: Sequence[dict[str, float]]) -> tuple[float, float]:
    wall, cpu = (statistics.median(each[name] for each in tries) * 1000 for name in ("wall", "cpu"))
    return wall, cpu


if __name__ == "__main__":
    sys.exit(main())
