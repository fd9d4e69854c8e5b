"""`python -m benchmarks.preprocess`: what it takes to prepare a dataset, and how fast images are decoded.

The three functions that prepare datasets run as in Lambda, each in a process of its own, one batch after the
other; S3 and DynamoDB are the local twin's, in another process, and none of their time counts. Every image
must come out, or be reported as rejected. Then the image rules decode and resize the same files as plain
Pillow does. The machine should do nothing else.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.preprocess_decoding import Comparison, compare
from benchmarks.preprocess_images import CLASSES, FOLDER
from twin.client import Twin, TwinError, find_project

PORT = 4577
ACCOUNT = "dev"
DATASETS, ARTIFACTS, LINEAGE = "benchmark-datasets", "benchmark-artifacts", "benchmark-lineage"
SIDE = 224  # px; what most image models take
SHARD_IMAGES = 1000
MEMORY_MB = 1769  # of the function that prepares images: at this size Lambda gives one whole vCPU

# us-east-1, read in November 2026 at https://aws.amazon.com/lambda/pricing and https://aws.amazon.com/s3/pricing
PRICES_OF = "November 2026, us-east-1"
ARM64_USD_PER_GB_SECOND = 0.0000133334
GET_USD = 0.0004 / 1000


class BenchmarkFailed(Exception):
    """A part of the benchmark failed; the message says which and why."""


@dataclass
class Cost:
    """What one function took in all its invocations."""

    invocations: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    peak_mb: float = 0.0
    answers: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])


class Functions:
    """The functions against the running twin."""

    def __init__(self, twin: Twin, account: str) -> None:
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(twin.project),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{twin.need().port}",
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
            "NO_PROXY": "127.0.0.1",
            "POWERTOOLS_SERVICE_NAME": "benchmark",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(MEMORY_MB),
            "ARTIFACTS_BUCKET": ARTIFACTS,
            "LINEAGE_TABLE": LINEAGE,
            "SHARD_IMAGES": str(SHARD_IMAGES),
            "SHARDS_PER_BATCH": "1",
            "REDACTION": "none",
            "INTERMEDIATE_DAYS": "30",
            "MAX_REJECTED_SHARE": "0.05",
            "QUARANTINE_SAMPLES": "20",
            "MODEL_SPEC": json.dumps(
                {
                    "schema": "vision.model-spec/1",
                    "name": "benchmark",
                    "input": {"width": SIDE, "height": SIDE, "channels": 3},
                    "classes": CLASSES,
                }
            ),
        }

    def run(self, name: str, events: list[dict[str, Any]]) -> Cost:
        """The function `name` with these events, in one environment. Raises BenchmarkFailed."""
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.preprocess_function", name],
            input="\n".join(map(json.dumps, events)) + "\n",
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchmarkFailed(f"{name}: {done.stderr[-3000:]}")
        cost = Cost()
        for line in map(json.loads, done.stdout.splitlines()):
            cost.invocations += 1
            cost.cpu += line["cpu"]
            cost.wall += line["wall"]
            cost.peak_mb = max(cost.peak_mb, line["peak_mb"])
            cost.answers.append(line["answer"])
        return cost


def main(arguments: list[str] | None = None) -> int:
    """Print the tables; answers 0, or 1 when a target is missed, an image is lost, or a part failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.preprocess", description=__doc__)
    parser.add_argument("--images", type=int, default=20_000, help="of 1 MP, through the three functions")
    parser.add_argument("--broken", type=int, help="so many of them cut off (default: every 200th)")
    parser.add_argument("--repeats", type=int, default=15, help="of each way to decode; the fastest counts")
    parser.add_argument("--port", type=int, default=PORT, help="for the twin")
    chosen = parser.parse_args(arguments)
    broken = chosen.images // 200 if chosen.broken is None else chosen.broken
    console = Console(highlight=False)
    try:
        with _twin(chosen.port) as twin:
            whole = _prepare(twin, console, chosen.images, broken)
    except (BenchmarkFailed, TwinError) as fault:
        print(f"bench: {fault}", file=sys.stderr)
        return 1
    # Afterwards: a process begins with the peak of memory of the one that starts it.
    comparisons = compare(SIDE, chosen.repeats)
    console.print()
    console.print(_decoding_table(comparisons))
    met = [*(comparison.met for comparison in comparisons), whole]
    console.print("all targets are met" if all(met) else "a target is missed")
    return 0 if all(met) else 1


@contextmanager
def _twin(port: int) -> Generator[Twin]:
    """A twin of its own, empty at first and gone at the end."""
    project = find_project()
    twin = Twin(project, project / "build" / "bench-preprocess")
    twin.stop()
    twin.erase()
    twin.start(port)
    try:
        yield twin
    finally:
        twin.stop()
        twin.erase()


def _prepare(twin: Twin, console: Console, images: int, broken: int) -> bool:
    """Prepare a dataset, print what it took; answers whether all images came out or were rejected."""
    account = twin.account(ACCOUNT)
    s3, dynamodb = twin.client("s3", ACCOUNT), twin.client("dynamodb", ACCOUNT)
    for bucket in (DATASETS, ARTIFACTS):
        s3.create_bucket(Bucket=bucket)
    names = ("pk", "sk")
    dynamodb.create_table(
        TableName=LINEAGE,
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
        KeySchema=[
            {"AttributeName": name, "KeyType": kind}
            for name, kind in zip(names, ("HASH", "RANGE"), strict=True)
        ],
    )
    console.print(f"{images} images are made and uploaded ...")
    size = _upload(twin, account, images, broken)
    functions = Functions(twin, account)
    run = {
        "run_id": "benchmark",
        "line": "champion",
        "manifest_uri": f"s3://{DATASETS}/{FOLDER}manifest.json",
    }
    planned = functions.run("plan_dataset", [run])
    plan = planned.answers[0]
    batches = json.loads(s3.get_object(**{"Bucket": ARTIFACTS, "Key": plan["batches"]["key"]})["Body"].read())
    run["folder_uri"] = plan["folder_uri"]
    console.print(f"{len(batches)} batches are prepared ...")
    made = functions.run("preprocess", [{**run, **batch} for batch in batches])
    again = functions.run("preprocess", [{**run, **batch} for batch in batches])
    collected = functions.run("collect_dataset", [run])
    result = collected.answers[0]
    rows = {"plan_dataset": planned, "preprocess": made, "... repeated": again, "collect_dataset": collected}
    console.print(_functions_table(rows, images))
    _print_cost(console, made, images, size)
    packed = sum(_count_images(s3, result[uri]) for uri in ("train_uri", "holdout_uri"))
    rejected = result["counts"]["rejected"]
    whole = packed + rejected == images and rejected == broken
    repeated = sum(answer["made"] for answer in again.answers)
    console.print(
        f"{images} images in, {packed} in the shards and {rejected} rejected ({result['rejected']}, "
        f"{broken} were broken): {'none is lost' if whole else 'IMAGES ARE LOST'}; "
        f"the repetition made {repeated} shards"
    )
    return whole and repeated == 0


def _upload(twin: Twin, account: str, images: int, broken: int) -> float:
    """Make the dataset; answers the mean size of its files in kB."""
    command = [
        sys.executable, "-m", "benchmarks.preprocess_images", "--home", str(twin.home), "--account", account,
        "--bucket", DATASETS, "--images", str(images), "--broken", str(broken),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=twin.project, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkFailed(f"the images could not be made: {done.stderr[-3000:]}")
    return json.loads(done.stdout)["bytes"] / 1000


def _count_images(s3: Any, folder: str) -> int:
    """How many images lie in the shards of a split, by their members."""
    count = 0
    listed = s3.list_objects_v2(Bucket=ARTIFACTS, Prefix=folder.removeprefix(f"s3://{ARTIFACTS}/"))
    for shard in listed["Contents"]:
        content = s3.get_object(Bucket=ARTIFACTS, Key=shard["Key"])["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(content), mode="r|") as tar:
            count += sum(member.name.endswith(".png") for member in tar)
    return count


def _print_cost(console: Console, made: Cost, images: int, kilobytes: float) -> None:
    seconds = made.cpu / images
    compute = seconds * MEMORY_MB / 1024 * ARM64_USD_PER_GB_SECOND * 1e6
    requests = GET_USD * 1e6
    console.print(
        f"preprocess: {images / made.cpu:.0f} images/s per core, from 1 MP ({kilobytes:.0f} kB) to "
        f"{SIDE} x {SIDE} px; peak memory {made.peak_mb:.0f} MB"
    )
    console.print(
        f"a million images: {seconds * 1e6 / 3600:.2f} core hours; ${compute:.2f} on Lambda arm64 with "
        f"{MEMORY_MB} MB (one vCPU; ${ARM64_USD_PER_GB_SECOND} per GB-s) and ${requests:.2f} for reading "
        f"from S3 ({PRICES_OF}).\nComputed for a vCPU as fast as a core of this machine, with reading behind "
        "decoding"
    )


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, title=title, title_justify="left")
    for place, name in enumerate(columns):
        table.add_column(name, justify="right" if place else "left")
    return table


def _functions_table(rows: dict[str, Cost], images: int) -> Table:
    table = _table(f"Preparing {images} images", "", "invocations", "CPU s", "wall s", "peak MB")
    for name, cost in rows.items():
        table.add_row(
            name, str(cost.invocations), f"{cost.cpu:.1f}", f"{cost.wall:.1f}", f"{cost.peak_mb:.0f}"
        )
    return table


def _decoding_table(comparisons: list[Comparison]) -> Table:
    table = _table(
        f"Decoding and resizing to {SIDE} x {SIDE} px, ms of CPU an image",
        "", "kB", "image rules", "plain Pillow", "same filter", "times as fast", "target", "",
    )  # fmt: skip
    for found in comparisons:
        table.add_row(
            found.name,
            f"{found.kilobytes:.0f}",
            f"{found.ours:.1f}",
            f"{found.naive:.1f}",
            f"{found.naive_same_filter:.1f}",
            f"{found.ratio:.1f} ({found.naive_same_filter / found.ours:.1f})",
            f"{found.target:g}",
            "met" if found.met else "MISSED",
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
