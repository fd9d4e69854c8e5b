"""Faults under load on the burst path: whatever fails, each image has one result in the end (R23, R35).

In an environment of its own, and by a run of pytest of its own: here the endpoint is killed, which the other
faults' callers must not see.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from ops.models import outcome, start
from ops.streaming.redrive import redrive
from tests.faults import platform as platforms
from tests.faults.burst import Burst, Tally
from tests.faults.world import sample_data, wait_for
from tests.twin.conftest import DEV, SERVER_PYTHON

# Two shards with two lanes each; pauses that a test can wait for.
STREAMING = {
    "shards": 2,
    "batch_size": 25,
    "micro_batch": 8,
    "longest_pause_seconds": 1,
    "reserved_concurrency": 0,
    "buffer_seconds": 60,
}


@pytest.fixture(scope="module")
def burst(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Burst]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    folder = tmp_path_factory.mktemp("burst")
    with platforms.deployed(folder, streaming=STREAMING) as platform, pytest.MonkeyPatch.context() as patch:
        for name, value in platform.caller().items():
            if name.startswith(("AWS_", "HTTPS_", "NO_PROXY", "REQUESTS_")):
                patch.setenv(name, value)
        dataset = sample_data(folder / "dataset")
        run = start.with_folder(platform.home, dataset, start.Wish())
        told = outcome.watch(platform.home, run)
        assert told["status"] == "SUCCEEDED", told
        yield Burst(platform, sorted(dataset.rglob("*.png"))[:40])


def tell(fault: str, tally: Tally) -> None:
    print(f"{fault}: {tally}")


def whole(tally: Tally) -> None:
    """Nothing may be lost, and nobody may see two answers."""
    assert (tally.lost, tally.copies) == (0, 0), str(tally)


def test_nothing_fails(burst: Burst) -> None:
    tally = burst.tally(burst.put(burst.some(400)))
    tell("none", tally)
    whole(tally)
    assert tally.answered == 400


def test_duplicates_in_another_order_have_one_result(burst: Burst) -> None:
    tally = burst.tally(burst.put(burst.some(150), each=4))
    tell("duplicates, reordered", tally)
    whole(tally)
    assert (tally.records, tally.answered) == (600, 150)


def test_poison_is_rejected_and_holds_nobody_up(burst: Burst) -> None:
    good = burst.some(150)
    bad = [
        burst.store(content)
        for content in (b"", b"%PDF-1.7", b"\x89PNG\r\n\x1a\nxx", None)
        for _ in range(10)
    ]
    foreign = [{**burst.store(b"x"), "bucket": "another"} for _ in range(5)]
    sent = burst.put([*good, *bad, *foreign])
    stream = burst.home.output("StreamName")
    for data in (b"", b"not json", b"[1, 2]"):
        burst.client("kinesis").put_record(StreamName=stream, PartitionKey="poison", Data=data or b" ")
    tally = burst.tally(sent)
    tell("poison images and records", tally)
    whole(tally)
    assert (tally.answered, tally.rejected) == (150, 45)
    assert burst.given_up() == 0


def test_consumer_crashes_in_the_middle_of_batches(burst: Burst) -> None:
    fault = {"service": "lambda", "operation": "Invoke", "error": "crash", "times": 6, "account": DEV}
    with burst.injected(**fault, match=burst.function) as struck:
        tally = burst.tally(burst.put(burst.some(300)))
    tell(f"consumer killed {struck['times']} times", tally)
    whole(tally)
    assert struck["times"] == 6


def test_endpoint_is_killed(burst: Burst) -> None:
    sent = burst.put(burst.some(300))
    killed = burst.kill_model_servers()
    assert killed, "there was no process to kill"
    tally = burst.tally(sent)
    tell(f"endpoint killed ({killed} processes)", tally)
    whole(tally)
    assert tally.answered == 300


def test_endpoint_is_slow_and_drops_connections(burst: Burst) -> None:
    fault = {"service": "sagemaker", "operation": "InvokeEndpoint", "times": 8, "account": DEV}
    with burst.injected(**fault, error="timeout", seconds=2.0) as struck:
        tally = burst.tally(burst.put(burst.some(200)))
    tell(f"endpoint silent for 2 s {struck['times']} times", tally)
    whole(tally)


def test_table_is_throttled(burst: Burst) -> None:
    fault = {"service": "dynamodb", "operation": "PutItem", "error": "throttle", "times": 120, "account": DEV}
    with burst.injected(**fault, match=burst.home.output("ResultsTableName")) as struck:
        tally = burst.tally(burst.put(burst.some(200)))
    tell(f"table throttled {struck['times']} times", tally)
    whole(tally)
    assert struck["times"] >= 60


def test_stream_is_split_and_merged_under_load(burst: Burst) -> None:
    api, stream = burst.client("kinesis"), burst.home.output("StreamName")
    checks = burst.some(300)
    sent = burst.put(checks[:100])

    def open_shards() -> list[str]:
        shards = api.list_shards(StreamName=stream)["Shards"]
        return [
            each["ShardId"] for each in shards if "EndingSequenceNumber" not in each["SequenceNumberRange"]
        ]

    first, second = open_shards()[:2]
    api.split_shard(StreamName=stream, ShardToSplit=first, NewStartingHashKey=str(2**126))
    more = burst.put(checks[100:200])
    left, right = [each for each in open_shards() if each != second][:2]
    api.merge_shards(StreamName=stream, ShardToMerge=left, AdjacentShardToMerge=right)
    last = burst.put(checks[200:])
    for part in (more, last):
        sent.ids += part.ids
        sent.records += part.records
    tally = burst.tally(sent)
    tell("stream split and merged", tally)
    whole(tally)


def test_what_was_given_up_is_redriven_and_answered(burst: Burst) -> None:
    fault = {"service": "sagemaker", "operation": "InvokeEndpoint", "error": "unavailable", "account": DEV}
    checks = burst.some(200)

    with burst.reading(MaximumRetryAttempts=0):
        with burst.injected(**fault, times=1_000_000):
            sent = burst.put(checks)
            wait_for(lambda: burst.given_up() >= 4, "batches to be given up")
            time.sleep(5)
        lost = burst.tally(sent, seconds=3)

    waiting = burst.given_up()
    done = redrive(burst.home)
    tally = burst.tally(sent)
    tell(f"endpoint down for good, {waiting} batches given up, {len(done.put_back)} records redriven", tally)
    whole(tally)
    assert lost.lost > 0, "nothing had been given up"
    assert done.clean
    assert len(done.put_back) == len(set(done.put_back)) == lost.lost
    assert burst.given_up() == 0
    assert redrive(burst.home).messages == 0


def test_results_lie_in_the_lake_as_parquet(burst: Burst) -> None:
    bucket = burst.home.artifacts
    found = wait_for(
        lambda: burst.client("s3").list_objects_v2(Bucket=bucket, Prefix="predictions/day=").get("Contents"),
        "Parquet files of results",
        seconds=90,
    )
    assert all(each["Key"].endswith(".parquet") for each in found)
    failed = burst.client("s3").list_objects_v2(Bucket=bucket, Prefix="predictions-failed/").get("Contents")
    assert failed is None, json.dumps(failed, default=str)


def test_upload_is_predicted_by_itself(burst: Burst) -> None:
    check = burst.some(1)[0]
    id = "p-" + "a" * 32
    content = burst.client("s3").get_object(Bucket=check["bucket"], Key=check["key"])["Body"].read()
    burst.client("s3").put_object(Bucket=check["bucket"], Key=f"uploads/{id}", Body=content)
    result = wait_for(lambda: burst.results().get(id), "the upload's result")
    assert result["status"]["S"] == "DONE"
