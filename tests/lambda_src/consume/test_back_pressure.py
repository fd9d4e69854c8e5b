"""A service in trouble holds the stream back: nothing is lost, nobody is asked over and over (R23, R35)."""

import pytest
from botocore.exceptions import ConnectTimeoutError

from tests.lambda_src.burst_world import Consumer, refused
from tests.lambda_src.consume.test_results import ids


def test_endpoint_that_is_down_is_asked_once_and_the_batch_comes_again_from_its_start(
    consumer: Consumer,
) -> None:
    records = [consumer.stream.image(name) for name in ids(10)]
    consumer.endpoint.down = True
    assert consumer.work(*records) == records[0]["kinesis"]["sequenceNumber"]
    assert consumer.endpoint.sizes == [4]
    assert not consumer.tables.items
    consumer.endpoint.down = False
    assert consumer.work(*records) is None
    assert [consumer.tables.status(name) for name in ids(10)] == ["DONE"] * 10


def test_what_was_answered_before_the_trouble_is_kept(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, names = consumer.endpoint.invoke_endpoint, ids(10)

    def second_fails(**request: object) -> object:
        if len(consumer.endpoint.sizes) == 1:
            consumer.endpoint.sizes.append(0)
            raise ConnectTimeoutError(endpoint_url="https://runtime.sagemaker")
        return answer(**request)  # pyright: ignore

    monkeypatch.setattr(consumer.endpoint, "invoke_endpoint", second_fails)
    records = [consumer.stream.image(name) for name in names]
    assert consumer.work(*records) == records[4]["kinesis"]["sequenceNumber"]
    assert [consumer.tables.status(name) for name in names] == ["DONE"] * 4 + [None] * 6
    assert [line["id"] for line in sorted(consumer.firehose.lines, key=lambda line: line["id"])] == names[:4]


def test_pauses_grow_with_the_age_of_the_first_record_up_to_the_limit(consumer: Consumer) -> None:
    consumer.endpoint.down = True
    for age in (0.0, 10.0, 3600.0):
        consumer.work(consumer.stream.image(ids(1)[0], age=age))
    assert [round(pause) for pause in consumer.pauses] == [1, 5, 20]


def test_pause_never_outlasts_the_function(consumer: Consumer) -> None:
    consumer.endpoint.down = True
    consumer.seconds = 21
    consumer.work(consumer.stream.image(ids(1)[0], age=3600))
    assert consumer.pauses == [pytest.approx(18)]


def test_batch_that_runs_out_of_time_goes_on_later_without_a_pause(consumer: Consumer) -> None:
    record = consumer.stream.image(ids(1)[0])
    consumer.seconds = 5
    assert consumer.work(record) == record["kinesis"]["sequenceNumber"]
    assert consumer.pauses == [0.0]


def test_throttled_table_holds_the_micro_batch_back_and_a_replay_completes_it(consumer: Consumer) -> None:
    records = [consumer.stream.image(name) for name in ids(6)]
    consumer.tables.throttled = 2
    assert consumer.work(*records) == records[0]["kinesis"]["sequenceNumber"]
    assert consumer.work(*records) is None
    assert [consumer.tables.status(name) for name in ids(6)] == ["DONE"] * 6
    assert all(consumer.tables.lineage(name) for name in ids(6))


def test_storage_that_fails_is_no_reason_to_reject(
    consumer: Consumer, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, names = consumer.s3.get_object, ids(3)

    def slow_down(*, Bucket: str, Key: str) -> object:
        if Key.endswith(names[1]):
            raise refused("SlowDown", "GetObject")
        return read(Bucket=Bucket, Key=Key)

    records = [consumer.stream.image(name) for name in names]
    monkeypatch.setattr(consumer.s3, "get_object", slow_down)
    assert consumer.work(*records) == records[0]["kinesis"]["sequenceNumber"]
    assert consumer.tables.status(names[1]) is None


def test_lake_that_takes_a_part_gets_the_rest_and_one_that_takes_nothing_holds_the_batch(
    consumer: Consumer,
) -> None:
    records = [consumer.stream.image(name) for name in ids(5)]
    consumer.firehose.refuses = 3
    assert consumer.work(*records) is None
    assert {line["id"] for line in consumer.firehose.lines} == set(ids(5))
    consumer.firehose.refuses = 100
    assert consumer.work(*records) == records[0]["kinesis"]["sequenceNumber"]
