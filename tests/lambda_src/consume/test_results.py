"""What comes in comes out, once: answered or rejected with a reason, under duplicates and replays (R23)."""

import json
from collections.abc import Callable
from types import ModuleType

import pytest

from tests.lambda_src import odd_images as odd
from tests.lambda_src.burst_world import BUCKET, MODEL, Consumer


def ids(count: int) -> list[str]:
    return [f"p-{number:032x}" for number in range(count)]


def test_every_image_of_a_batch_gets_its_result_lineage_and_line_in_the_lake(consumer: Consumer) -> None:
    names = ids(10)
    assert consumer.work(*[consumer.stream.image(name) for name in names]) is None
    assert [consumer.tables.status(name) for name in names] == ["DONE"] * 10
    assert all(consumer.tables.lineage(name)["model_version"]["S"] == MODEL for name in names)
    assert sorted(line["id"] for line in consumer.firehose.lines) == names
    assert consumer.endpoint.sizes == [4, 4, 2], "images go to the endpoint in micro-batches"
    line = consumer.firehose.lines[0]
    assert (line["status"], line["label"], line["confidence"]) == ("DONE", "7", 0.91)
    assert line["submitted_at"] == "2026-11-30 07:00:00.000"


@pytest.mark.parametrize(("confidence", "uncertain"), [(0.49, 3.0), (0.5, 0.0)])
def test_answers_are_counted_as_the_api_counts_them(
    consumer: Consumer, capsys: pytest.CaptureFixture[str], confidence: float, uncertain: float
) -> None:
    consumer.endpoint.confidence = confidence
    consumer.work(*[consumer.stream.image(name) for name in ids(3)])
    lines = [line for line in capsys.readouterr().out.splitlines() if '"LowConfidence"' in line]
    (counted,) = map(json.loads, lines)
    assert counted["line"] == "champion"
    assert (sum(counted["Predictions"]), sum(counted["LowConfidence"])) == (3.0, uncertain)
    (directive,) = counted["_aws"]["CloudWatchMetrics"]
    assert directive["Namespace"] == "Vision"
    assert set(directive["Dimensions"][0]) == {"service", "line"}


def test_alarm_that_looks_often_gets_answers_by_the_second(load_function: Callable[..., ModuleType]) -> None:
    names = {
        "CHAMPION_ENDPOINT": "c",
        "SMOKE_ENDPOINT": "s",
        "UPLOADS_BUCKET": "b",
        "RESULTS_TABLE": "r",
        "LINEAGE_TABLE": "t",
        "DELIVERY_STREAM": "d",
    }
    often = load_function("consume", **names, METRICS_PERIOD_SECONDS="10")
    seldom = load_function("consume", **names, METRICS_PERIOD_SECONDS="60")
    assert (often.resolution.value, seldom.resolution.value) == (1, 60)


def test_each_line_is_answered_by_its_own_endpoint(consumer: Consumer) -> None:
    first, second = ids(2)
    consumer.work(consumer.stream.image(first), consumer.stream.image(second, line="smoke"))
    assert consumer.endpoint.sizes == [1, 1]
    assert consumer.tables.lineage(second)["line"]["S"] == "smoke"


def test_record_of_an_upload_has_its_id_in_the_key(consumer: Consumer) -> None:
    (name,) = ids(1)
    record = {"bucket": BUCKET, "key": f"uploads/{name}", "line": "champion", "bytes": 70}
    consumer.s3.objects[BUCKET, f"uploads/{name}"] = odd.saved(odd.gradient(8, 8, "L"), "PNG")
    consumer.work(
        consumer.stream.record(json.dumps({**record, "submitted_at": "2026-11-30T07:00:00Z"}).encode())
    )
    assert consumer.tables.status(name) == "DONE"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (None, "image-missing"),
        (b"", "image-empty"),
        (b"%PDF-1.7 not an image at all", "image-unsupported-format"),
        (odd.saved(odd.gradient(64, 64, "RGB"), "JPEG")[:-40], "image-truncated"),
        (b"\xff" * (21 << 20), "image-too-many-bytes"),
    ],
)
def test_bad_image_is_rejected_with_its_reason_and_holds_nobody_up(
    consumer: Consumer, content: bytes | None, kind: str
) -> None:
    good, bad, last = ids(3)
    records = [consumer.stream.image(good), consumer.stream.image(bad, content), consumer.stream.image(last)]
    assert consumer.work(*records) is None
    assert [consumer.tables.status(name) for name in (good, bad, last)] == ["DONE", "REJECTED", "DONE"]
    problem = json.loads(consumer.tables.items["results", f"PREDICTION#{bad}", ""]["problem"]["S"])
    assert problem["kind"] == kind
    assert problem["detail"]
    assert consumer.tables.lineage(bad) is None


def test_absent_object_is_rejected_also_where_s3_only_says_denied(consumer: Consumer) -> None:
    consumer.s3.denies_the_missing = True
    (name,) = ids(1)
    assert consumer.work(consumer.stream.image(name, None)) is None
    assert consumer.tables.status(name) == "REJECTED"


@pytest.mark.parametrize(
    "data", [b"", b"\xff\x00", b"[]", b"{}", b'{"id": "../../etc", "key": "x"}', b"9" * 5000]
)
def test_record_that_is_no_claim_check_is_rejected_and_told(consumer: Consumer, data: bytes) -> None:
    (name,) = ids(1)
    assert consumer.work(consumer.stream.record(data), consumer.stream.image(name)) is None
    assert consumer.tables.status(name) == "DONE"
    (told,) = [line for line in consumer.firehose.lines if line["status"] == "REJECTED"]
    assert told["problem"] == "bad-claim-check"


def test_claim_check_for_another_bucket_is_rejected_under_its_id(consumer: Consumer) -> None:
    (name,) = ids(1)
    fields = {"id": name, "bucket": "other", "key": f"submitted/{name}", "line": "champion"}
    consumer.work(
        consumer.stream.record(json.dumps({**fields, "submitted_at": "2026-11-30T07:00:00Z"}).encode())
    )
    assert consumer.tables.status(name) == "REJECTED"


def test_replayed_record_writes_one_result(consumer: Consumer) -> None:
    (name,) = ids(1)
    record = consumer.stream.image(name)
    consumer.work(record, record)
    consumer.endpoint.label = "3"  # another model answers meanwhile
    consumer.work(record)
    item = consumer.tables.items["results", f"PREDICTION#{name}", ""]
    assert json.loads(item["answer"]["S"])["label"] == "7"
    assert consumer.tables.lineage(name)["label"]["S"] == "7"
    assert consumer.endpoint.sizes == [1], "a replay asks nobody again"
    assert {line["id"] for line in consumer.firehose.lines} == {name}


def test_crash_between_result_and_lineage_is_mended_by_the_replay(consumer: Consumer) -> None:
    (name,) = ids(1)
    record = consumer.stream.image(name)
    consumer.work(record)
    del consumer.tables.items["lineage", f"PREDICTION#{name}", "PREDICTION"]
    consumer.firehose.lines.clear()
    consumer.work(record)
    assert consumer.tables.lineage(name)["label"]["S"] == "7"
    assert [line["id"] for line in consumer.firehose.lines] == [name]
