"""Runs one of the functions that prepare datasets, as Lambda does: in a process of its own, event by event.

Events come as JSON lines; each answer goes out with the seconds and the memory that it took. Their settings
are environment variables, as in Lambda.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from pathlib import Path
from types import SimpleNamespace

SOURCE = Path(__file__).resolve().parent.parent / "lambda_src"


def main() -> int:
    """Load the function that is named, and answer events until there are no more."""
    name = sys.argv[1]
    sys.path[:0] = [str(SOURCE / name), str(SOURCE)]
    answers, sys.stdout = sys.stdout, sys.stderr  # where the function's log goes
    handler = importlib.import_module("handler").handler
    context = SimpleNamespace(
        function_name=name,
        memory_limit_in_mb=0,
        invoked_function_arn=f"arn:{name}",
        aws_request_id="benchmark",
    )
    for line in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        answer = handler(json.loads(line), context)
        measured = {
            "answer": answer,
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,  # of all its threads
            "peak_mb": _peak_bytes() / 1e6,
        }
        print(json.dumps(measured), file=answers, flush=True)
    return 0


def _peak_bytes() -> int:
    """The most memory that this process has had; Linux counts kB here and macOS bytes."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


if __name__ == "__main__":
    sys.exit(main())
