"""Fuzzes the image rules: `python -m tests.fuzz.images --inputs 200000`, or `make fuzz`.

The whole corpus first, then mutations of it that Hypothesis draws, in processes of some thousands: what
brings a process down is found again in the file that it had last. Exit code 1 when anything crashed, took
more than a second of CPU time, or more than 128 MB; the files that did are left beside the report.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INPUTS_OF_A_PROCESS = 10_000
# Large blocks come from the kernel and go back to it at once: nothing that one file took is left to others.
ALLOCATION = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}
# Far beyond what an input may take: for a decoder that never comes back.
HANG_SECONDS = 1_800


def main() -> int:
    """Runs it all and prints the summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same inputs")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "fuzz")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    parts = [_process(given.out, "corpus", given.seed, 0)]
    done, number = 0, given.seed * 1_000_000
    while done < given.inputs:
        wanted = min(INPUTS_OF_A_PROCESS, given.inputs - done)
        parts.append(_process(given.out, f"mutations-{number}", number, wanted))
        done += parts[-1]["inputs"] or wanted
        number += 1
        print(f"  {done} of {given.inputs} mutations, {time.monotonic() - started:.0f} s", flush=True)
    told = _summary(parts) | {"wall_seconds": round(time.monotonic() - started)}
    (given.out / "report.json").write_text(json.dumps(told, indent=1) + "\n")
    print(json.dumps(told, indent=1))
    return 1 if told["crashes"] or told["over_time"] or told["over_memory"] else 0


def _process(out: Path, name: str, seed: int, inputs: int) -> dict[str, Any]:
    """One process's report. Where it died, the input that it had is kept and counts as a crash."""
    report, last = out / f"{name}.json", out / f"{name}.last"
    report.unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.fuzz.worker", str(report), str(seed), str(inputs)]
    path = os.pathsep.join([str(ROOT), str(ROOT / "lambda_src")])
    environment = {**os.environ, **ALLOCATION, "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, timeout=HANG_SECONDS, check=False)
        died = f"exit code {done.returncode}" if done.returncode or not report.exists() else ""
    except subprocess.TimeoutExpired:
        died = f"did not end within {HANG_SECONDS} s"
    found: dict[str, Any] = json.loads(report.read_text()) if report.exists() else {"inputs": 0}
    if died:
        found["crashes"] = [*found.get("crashes", []), f"{name}: {died}; its last input: {last}"]
    else:
        last.unlink(missing_ok=True)
        report.unlink()
    return found


def _summary(parts: list[dict[str, Any]]) -> dict[str, Any]:
    outcomes: Counter[str] = Counter()
    for part in parts:
        outcomes.update(part.get("outcomes", {}))
    corpus, mutations = parts[0], parts[1:]
    return {
        "corpus_inputs": corpus["inputs"],
        "mutations": sum(part["inputs"] for part in mutations),
        "came_to_a_decoder": sum(part.get("decoded", 0) for part in parts),
        "crashes": [each for part in parts for each in part.get("crashes", [])],
        "wrong_outcomes": corpus.get("wrong", []),
        "over_time": [each for part in parts for each in part.get("over_time", [])],
        "over_memory": [each for part in parts for each in part.get("over_memory", [])],
        "memory_was_watched": all(part.get("memory_watched") for part in parts),
        "slowest": max((part.get("slowest", [0, ""]) for part in parts), key=lambda each: each[0]),
        "slowest_mutation": max(
            (part.get("slowest", [0, ""]) for part in mutations), key=lambda each: each[0]
        ),
        "largest": max((part.get("largest", [0, ""]) for part in parts), key=lambda each: each[0]),
        "cpu_seconds": round(sum(part.get("cpu_seconds", 0.0) for part in parts), 1),
        "outcomes": dict(outcomes.most_common()),
    }


if __name__ == "__main__":
    sys.exit(main())
