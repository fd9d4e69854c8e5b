"""The app as the benchmark of synthesis runs it: app.py with a clock, and a counter of calls into the CDK.

It appends one JSON line to the file that BENCH_REPORT names; BENCH_PACKS=no leaves the packs of cdk-nag out.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

_BEGAN = time.perf_counter()


class _Calls:
    """Round trips between Python and the CDK's own process."""

    made = 0


def _count_calls() -> None:
    from jsii._kernel.providers import process  # noqa: PLC0415  # its start is measured

    node = process._NodeProcess
    send: Any = node.send

    def counted(self: Any, *arguments: Any) -> Any:
        _Calls.made += 1
        return send(self, *arguments)

    node.send = counted  # type: ignore[method-assign]


def main() -> int:
    """Synthesize, and report the seconds and calls of each phase."""
    _count_calls()
    phases: dict[str, dict[str, float]] = {}
    before, calls = _BEGAN, 0

    def note(phase: str) -> None:
        nonlocal before, calls
        now = time.perf_counter()
        phases[phase] = {"seconds": now - before, "calls": _Calls.made - calls}
        before, calls = now, _Calls.made

    importlib.import_module("aws_cdk")
    note("kernel start, aws_cdk")
    import app  # noqa: PLC0415  # so is what it imports

    if os.environ.get("BENCH_PACKS") == "no":
        app.add_compliance_gate = lambda *_: None
    note("other imports")
    built = app.build_app()
    note("constructs")
    built.synth()
    note("synthesis")
    with Path(os.environ["BENCH_REPORT"]).open("a") as report:
        report.write(json.dumps(phases) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
