"""Streams are read as Lambda reads them: batches, lanes, retries, destinations, resharding (R39)."""

import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.twin.event_sources.conftest import Source
from tests.twin.lambda_runtime.conftest import Lambdas

Make = Callable[..., Source]


def test_records_come_once_in_their_order_and_in_batches(source: Make) -> None:
    made = source(BatchSize=10)
    made.put(35, key=lambda _: "one")
    made.wait_for(34)
    time.sleep(0.3)
    assert [n for batch in made.numbers() for n in batch] == list(range(35))
    assert all(len(batch) <= 10 for batch in made.numbers())


def test_batching_window_gathers_records_that_come_one_by_one(source: Make) -> None:
    made = source(BatchSize=100, MaximumBatchingWindowInSeconds=300)
    for n in range(5):
        made.put(1, first=n)
    assert made.numbers() == []
    # Only now: five puts may take longer than a window that a test can wait for.
    made.lambda_.update_event_source_mapping(UUID=made.mapping, MaximumBatchingWindowInSeconds=2)
    made.wait_for(4)
    assert len(made.numbers()) == 1


def test_lanes_work_at_once_and_keep_the_order_of_each_key(source: Make) -> None:
    seconds = 0.5
    made = source(BatchSize=5, ParallelizationFactor=4, slow=str(seconds))
    made.put(40, key=lambda n: f"key-{n % 8}")
    made.wait_for(*range(40))
    times = sorted(batch["at"] for batch in made.batches())
    assert any(later - earlier < seconds for earlier, later in pairwise(times)), "none overlapped another"
    seen: dict[str, list[int]] = {}
    for batch in made.batches():
        for _, key, data in batch["records"]:
            seen.setdefault(key, []).append(data["n"])
    assert all(numbers == sorted(numbers) and len(numbers) == 5 for numbers in seen.values())


def test_reported_failure_brings_the_records_from_there_on_again(source: Make) -> None:
    made = source(MaximumRetryAttempts=2, DestinationConfig={"OnFailure": {"Destination": ""}})
    made.put(6, key=lambda _: "one", _3="fail")
    made.wait_for(5)  # what comes while a batch is tried again does not join it
    made.put(1, key=lambda _: "one", first=6)
    made.wait_for(6)
    assert made.numbers() == [[0, 1, 2, 3, 4, 5], [3, 4, 5], [3, 4, 5], [6]]


def test_crash_is_halved_down_to_the_record_at_fault_which_alone_is_given_up(source: Make) -> None:
    made = source(BisectBatchOnFunctionError=True, MaximumRetryAttempts=1)
    made.lambda_.update_event_source_mapping(
        UUID=made.mapping, DestinationConfig={"OnFailure": {"Destination": made.queue_arn}}
    )
    made.put(8, key=lambda _: "one", _5="crash")
    message = made.given_up()
    info = message["KinesisBatchInfo"]
    bad = next(n for b in made.batches() for n, _, data in b["records"] if data["n"] == 5)
    assert (info["startSequenceNumber"], info["endSequenceNumber"], info["batchSize"]) == (bad, bad, 1)
    assert info["streamArn"] == made.arn
    assert info["shardId"] == "shardId-000000000000"
    assert message["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert message["requestContext"]["approximateInvokeCount"] == 2
    assert message["responseContext"]["functionError"] == "Unhandled"

    def passed(source: Source) -> list[int]:
        return [n for batch in source.numbers() if 5 not in batch for n in batch]

    made.wait(lambda source: 7 in passed(source))
    assert passed(made) == [0, 1, 2, 3, 4, 6, 7]


def test_bucket_as_destination_gets_the_records_too(source: Make, lambdas: Lambdas) -> None:
    made = source(MaximumRetryAttempts=0)
    made.lambda_.update_event_source_mapping(
        UUID=made.mapping, DestinationConfig={"OnFailure": {"Destination": f"arn:aws:s3:::{made.name}"}}
    )
    made.put(2, key=lambda _: "one", _0="fail")

    def kept() -> list[Any]:
        found = made.s3.list_objects_v2(Bucket=made.name, Prefix=f"aws/lambda/{made.mapping}/")
        return found.get("Contents", [])

    deadline = time.monotonic() + 15
    while not kept() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert '"payload"' in made.s3.get_object(Bucket=made.name, Key=kept()[0]["Key"])["Body"].read().decode()


def test_latest_leaves_out_what_was_there_and_horizon_does_not(source: Make) -> None:
    made = source(Enabled=False)
    made.put(3)
    other = made.map(StartingPosition="LATEST", FunctionName=made.function)
    made.put(2, first=3)
    made.wait_for(3, 4)
    assert {n for batch in made.numbers() for n in batch} == {3, 4}
    made.lambda_.delete_event_source_mapping(UUID=other)
    made.lambda_.update_event_source_mapping(UUID=made.mapping, Enabled=True)
    made.wait_for(0, 1, 2)


def test_filters_leave_records_out_before_the_function(source: Make) -> None:
    made = source(FilterCriteria={"Filters": [{"Pattern": '{"data": {"n": [{"numeric": [">=", 3]}]}}'}]})
    made.put(5)
    made.wait_for(4)
    assert {n for batch in made.numbers() for n in batch} == {3, 4}


def test_split_and_merge_lose_nothing_and_children_wait_for_their_parents(source: Make) -> None:
    made = source(BatchSize=10, slow="0.1")
    made.put(40, key=lambda n: f"k{n % 4}")
    middle = str(2**127)
    made.kinesis.split_shard(
        StreamName=made.name, ShardToSplit="shardId-000000000000", NewStartingHashKey=middle
    )
    made.put(40, key=lambda n: f"k{n % 4}", first=40)
    made.kinesis.merge_shards(
        StreamName=made.name,
        ShardToMerge="shardId-000000000001",
        AdjacentShardToMerge="shardId-000000000002",
    )
    made.put(40, key=lambda n: f"k{n % 4}", first=80)
    made.kinesis.update_shard_count(StreamName=made.name, TargetShardCount=3, ScalingType="UNIFORM_SCALING")
    made.put(40, key=lambda n: f"k{n % 4}", first=120)
    made.wait_for(*range(160))
    seen: dict[str, list[int]] = {}
    for batch in made.batches():
        for _, key, data in batch["records"]:
            seen.setdefault(key, []).append(data["n"])
    assert {key: len(numbers) for key, numbers in seen.items()} == {f"k{n}": 40 for n in range(4)}
    assert all(numbers == sorted(numbers) for numbers in seen.values()), "order of a key across shards"
    summary = made.kinesis.describe_stream_summary(StreamName=made.name)["StreamDescriptionSummary"]
    assert summary["OpenShardCount"] == 3
    shards = {each["ShardId"]: each for each in made.kinesis.list_shards(StreamName=made.name)["Shards"]}
    assert "EndingSequenceNumber" in shards["shardId-000000000000"]["SequenceNumberRange"]
    assert shards["shardId-000000000003"]["AdjacentParentShardId"] == "shardId-000000000002"


def test_closed_shard_is_read_to_its_end_and_then_has_no_iterator(source: Make) -> None:
    made = source(Enabled=False)
    made.put(3)
    shard = "shardId-000000000000"
    made.kinesis.split_shard(StreamName=made.name, ShardToSplit=shard, NewStartingHashKey=str(2**127))
    iterator = made.kinesis.get_shard_iterator(
        StreamName=made.name, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    answer = made.kinesis.get_records(ShardIterator=iterator)
    assert len(answer["Records"]) == 3
    assert answer.get("NextShardIterator") is None
    assert [each["ShardId"] for each in answer["ChildShards"]] == [
        "shardId-000000000001",
        "shardId-000000000002",
    ]


def test_age_of_the_records_is_measured(source: Make) -> None:
    made = source()
    made.put(1)
    made.wait_for(0)
    assert 0 <= made.metric("IteratorAge", "Maximum")[0] < 20_000


def test_throttled_function_gets_its_records_when_it_may_run(source: Make) -> None:
    made = source(Enabled=False)
    made.lambda_.put_function_concurrency(FunctionName=made.function, ReservedConcurrentExecutions=0)
    made.lambda_.update_event_source_mapping(UUID=made.mapping, Enabled=True, MaximumRetryAttempts=0)
    made.put(2)
    time.sleep(1)
    assert made.numbers() == []
    made.lambda_.put_function_concurrency(FunctionName=made.function, ReservedConcurrentExecutions=2)
    made.wait_for(0, 1)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"TumblingWindowInSeconds": 30}, "tumbling"),
        ({"ParallelizationFactor": 11}, "ParallelizationFactor"),
        ({"MaximumRecordAgeInSeconds": 5}, "MaximumRecordAgeInSeconds"),
        (
            {"DestinationConfig": {"OnSuccess": {"Destination": "arn:aws:sqs:us-east-1:222222222222:x"}}},
            "OnSuccess",
        ),
        (
            {"DestinationConfig": {"OnFailure": {"Destination": "arn:aws:sqs:us-east-1:222222222222:other"}}},
            "sqs:SendMessage",
        ),
        ({"EventSourceArn": "arn:aws:kinesis:us-east-1:222222222222:stream/none"}, "not found"),
    ],
)
def test_what_lambda_or_the_twin_does_not_take_is_refused_by_name(
    source: Make, settings: dict[str, Any], says: str
) -> None:
    made = source(Enabled=False)
    with pytest.raises(ClientError, match=says):
        made.map(**settings)


def test_role_that_may_not_read_makes_no_mapping(source: Make, lambdas: Lambdas) -> None:
    made = source(Enabled=False)
    other = lambdas.make("def handler(event, context): pass")
    with pytest.raises(ClientError, match="ListShards"):
        made.map(FunctionName=other)


def test_reading_goes_on_where_it_was_after_a_restart(new_twin: Callable[..., Any]) -> None:
    twin = new_twin()
    made = Source(Lambdas(twin), BatchSize=5)
    made.put(10, key=lambda _: "one")
    made.wait_for(9)
    # The function has it before it answers, and a stop before its answer would bring it again.
    made.wait(lambda source: sum(source.metric("Invocations", "Sum")) == len(source.batches()))
    made.lambda_.update_event_source_mapping(UUID=made.mapping, Enabled=False)
    made.put(5, key=lambda _: "one", first=10)
    assert twin.stop() == 0
    new_twin(home=twin.home, port=twin.port)
    made.lambda_.update_event_source_mapping(UUID=made.mapping, Enabled=True)
    made.wait_for(14)
    time.sleep(0.3)
    assert [n for batch in made.numbers() for n in batch] == list(range(15))
