"""An image is handed in, queued once and asked for until it is done (R23, R35)."""

import base64
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lambda_src import odd_images as odd
from tests.lambda_src.burst_world import BUCKET, DIGIT, refused
from tests.lambda_src.predict.requests_and_answers import as_json, event
from vision_runtime.claim_check import ClaimCheck
from vision_runtime.problem import Problem
from vision_runtime.results import Result, Status


def with_key(key: str, body: bytes = DIGIT) -> dict[str, Any]:
    made = event(body)
    made["headers"]["Idempotency-Key"] = key
    return made


def finished(id: str, status: Status = Status.DONE, line: str = "champion", **more: Any) -> Result:
    times = "2026-11-30T07:00:00.000000Z"
    return Result(id, status, line, times, 7, times, **more)


def test_submitted_image_is_stored_noted_and_queued(path: SimpleNamespace) -> None:
    answer = path.submit(event(DIGIT))
    id = answer.body["id"]
    assert (answer.status, answer.body["status"]) == (202, "QUEUED")
    assert answer.headers["Location"] == f"/v1/predictions/{id}"
    assert path.s3.objects == {(BUCKET, f"submitted/{id}"): DIGIT}
    (record,) = path.stream.records
    assert (record["id"], record["partition_key"], record["line"]) == (id, id, "champion")
    assert record["bytes"] == len(DIGIT)
    found = path.find(id)
    assert (found.status, found.body["status"], found.headers["Retry-After"]) == (200, "QUEUED", "1")


def test_what_is_put_into_the_stream_is_what_the_consumer_reads(path: SimpleNamespace) -> None:
    path.submit(as_json(image=base64.b64encode(DIGIT).decode()), "smoke")
    fields = {k: v for k, v in path.stream.records[0].items() if k not in ("stream", "partition_key")}
    check = ClaimCheck(**fields)
    assert ClaimCheck.from_json(check.to_json(), BUCKET) == check
    assert check.key == f"smoke/{check.id}"


def test_finished_prediction_is_told_with_its_answer(path: SimpleNamespace) -> None:
    id = path.submit(event(DIGIT)).body["id"]
    answer = {
        "label": "7",
        "probabilities": {"7": 0.9, "1": 0.1},
        "model_version": "m",
        "run": "",
        "dataset": "",
    }
    path.table.finish(finished(id, answer=answer))
    found = path.find(id).body
    assert (found["status"], found["label"], found["probabilities"]["7"]) == ("DONE", "7", 0.9)


def test_rejected_prediction_is_told_with_its_problem(path: SimpleNamespace) -> None:
    id = path.submit(event(DIGIT)).body["id"]
    problem = {
        "kind": "image-corrupt",
        "title": "The image is not accepted",
        "status": 400,
        "detail": "broken",
    }
    path.table.finish(finished(id, Status.REJECTED, problem=problem))
    found = path.find(id).body
    assert found["status"] == "REJECTED"
    assert found["problem"]["type"] == "urn:vision:problem:image-corrupt"
    assert found["problem"]["request_id"] == id


@pytest.mark.parametrize(
    ("body", "kind"), [(b"%PDF", "image-unsupported-format"), (DIGIT[:20], "image-truncated")]
)
def test_image_that_cannot_be_one_is_refused_at_once(path: SimpleNamespace, body: bytes, kind: str) -> None:
    with pytest.raises(Problem) as found:
        path.submit(event(body))
    assert found.value.status < 500
    assert found.value.field == "body"
    assert not path.s3.objects
    assert not path.stream.records


def test_same_key_and_image_is_one_prediction_and_is_queued_again_while_it_waits(
    path: SimpleNamespace,
) -> None:
    first, second = (path.submit(with_key("k-1")).body["id"] for _ in range(2))
    assert first == second
    assert len(path.stream.records) == 2, "the first request may have ended before it had queued"
    path.table.finish(finished(first, answer={"label": "7"}))
    assert path.submit(with_key("k-1")).body == {"request_id": "request-1", "id": first, "status": "DONE"}
    assert len(path.stream.records) == 2


def test_same_key_with_another_image_or_caller_is_another_prediction(path: SimpleNamespace) -> None:
    other = with_key("k-1")
    other["requestContext"]["identity"] = {"userArn": "arn:aws:sts::1:assumed-role/other/x"}
    another = with_key("k-1", odd.saved(odd.gradient(9, 9, "L"), "PNG"))
    requests = (with_key("k-1"), other, another, with_key("k-2"))
    assert len({path.submit(each).body["id"] for each in requests}) == 4


def test_full_stream_is_a_503_and_leaves_nothing_that_waits(path: SimpleNamespace) -> None:
    path.stream.full = True
    with pytest.raises(Problem) as found:
        path.submit(event(DIGIT))
    assert (found.value.status, found.value.retry_after) == (503, 2)
    assert not path.tables.items


def test_table_that_is_throttled_is_a_503(path: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    def throttled(**_: Any) -> ClientError:
        raise refused("ProvisionedThroughputExceededException", "GetItem")

    id = path.submit(event(DIGIT)).body["id"]
    monkeypatch.setattr(path.tables, "get_item", throttled)
    with pytest.raises(Problem) as found:
        path.find(id)
    assert found.value.status == 503


@pytest.mark.parametrize("id", [None, "", "../x", "p-" + "0" * 80])
def test_id_that_is_none_is_a_400(path: SimpleNamespace, id: str | None) -> None:
    with pytest.raises(Problem) as found:
        path.find(id)
    assert (found.value.status, found.value.field) == (400, "id")


def test_prediction_of_another_line_or_of_nobody_is_a_404(path: SimpleNamespace) -> None:
    id = path.submit(event(DIGIT), "smoke").body["id"]
    for asked in (id, "p-" + "0" * 32):
        with pytest.raises(Problem) as found:
            path.find(asked)
        assert found.value.status == 404
    assert path.find(id, "smoke").body["status"] == "QUEUED"
