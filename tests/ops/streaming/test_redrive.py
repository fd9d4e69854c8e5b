"""`ops redrive` puts back exactly what was given up, once; what has expired is told and kept (R23)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.ops.conftest import person
from tests.ops.streaming.conftest import BurstWorld
from tests.twin.conftest import DEV, ROOT
from vision_runtime.claim_check import ClaimCheck

pytestmark = pytest.mark.twin
POLICY = json.loads((ROOT / "docs" / "operator-policy.json").read_text())


@pytest.fixture(autouse=True)
def empty_queue(path: BurstWorld) -> None:
    path.empty()


def just_before(place: str) -> str:
    """The sequence number of a record that is no longer there, as if it had expired."""
    return str(int(place) - 1).zfill(len(place))


def redriven(command: Callable[..., Any], code: int = 0) -> dict[str, Any]:
    done = command("redrive", "--json")
    assert done.exit_code == code, (done.stdout, done.stderr)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_records_without_a_result_are_put_back_and_those_between_are_not(
    path: BurstWorld, command: Callable[..., Any]
) -> None:
    made = path.put(6)
    before, after = made[0], made[-1]
    for each in made[2:4]:  # of another lane of the shard: answered long ago
        path.note(each["id"], "DONE" if each is made[2] else "REJECTED")
    path.note(made[1]["id"], "QUEUED")
    path.give_up(made[1]["at"], made[4]["at"], 2)
    told = redriven(command)
    assert told["put_back"] == [made[1]["id"], made[4]["id"]]
    assert (told["answered"], told["missing"], told["lost"]) == (2, 0, [])
    assert path.ids()[-2:] == told["put_back"]
    assert path.waiting() == 0
    assert path.ids().count(before["id"]) == path.ids().count(after["id"]) == 1


def test_record_in_the_ranges_of_two_messages_is_put_back_once(
    path: BurstWorld, command: Callable[..., Any]
) -> None:
    made = path.put(6)
    path.give_up(made[0]["at"], made[4]["at"], 3)
    path.give_up(made[1]["at"], made[5]["at"], 3)
    assert sorted(redriven(command)["put_back"]) == sorted(each["id"] for each in made)


def test_second_time_there_is_nothing_to_do(path: BurstWorld, command: Callable[..., Any]) -> None:
    made = path.put(3)
    path.give_up(made[0]["at"], made[2]["at"], 3)
    assert len(redriven(command)["put_back"]) == 3
    count = len(path.ids())
    assert redriven(command) == {
        "messages": 0,
        "put_back": [],
        "answered": 0,
        "missing": 0,
        "lost": [],
        "not_understood": [],
    }
    assert len(path.ids()) == count


def test_same_failure_told_twice_puts_answered_records_back_no_more(
    path: BurstWorld, command: Callable[..., Any]
) -> None:
    made = path.put(2)
    path.give_up(made[0]["at"], made[1]["at"], 2)
    redriven(command)
    for each in made:
        path.note(each["id"], "DONE")
    path.give_up(made[0]["at"], made[1]["at"], 2)
    told = redriven(command)
    assert (told["put_back"], told["answered"]) == ([], 2)


def test_many_messages_are_all_dealt_with(path: BurstWorld, command: Callable[..., Any]) -> None:
    made = path.put(25)
    for each in made:
        path.give_up(each["at"], each["at"], 1)
    told = redriven(command)
    assert sorted(told["put_back"]) == sorted(each["id"] for each in made)
    assert path.waiting() == 0


def test_expired_records_are_told_with_the_ids_that_wait_and_their_message_is_kept(
    path: BurstWorld, command: Callable[..., Any]
) -> None:
    (left,) = path.put(1)
    path.note("p-" + "e" * 32, "QUEUED")
    path.give_up(just_before(left["at"]), left["at"], 3)
    told = redriven(command, code=1)
    assert told["put_back"] == [left["id"]]
    assert told["missing"] == 2
    assert "p-" + "e" * 32 in told["lost"]
    assert path.waiting() == 1


def test_shard_that_is_no_more_loses_nothing_in_silence(
    path: BurstWorld, command: Callable[..., Any]
) -> None:
    path.give_up("1", "2", 2, shard="shardId-000000000099")
    told = redriven(command, code=1)
    assert told["missing"] == 2
    assert path.waiting() == 1


def test_upload_whose_event_was_not_delivered_comes_into_the_stream_once(
    path: BurstWorld, command: Callable[..., Any]
) -> None:
    id = path.fail_to_deliver()
    path.fail_to_deliver(id)  # EventBridge delivers at least once, failures too
    assert redriven(command)["put_back"] == [id]
    check = ClaimCheck.from_json(path.records()[-1], "uploads")
    assert (check.id, check.key, check.line, check.bytes) == (id, f"uploads/{id}", "champion", 1234)
    assert check.submitted_at == "2026-11-30T07:00:00.000000Z"
    assert path.waiting() == 0


def test_upload_that_was_answered_meanwhile_is_not_put_back(
    path: BurstWorld, command: Callable[..., Any]
) -> None:
    path.note(path.fail_to_deliver(), "DONE")
    told = redriven(command)
    assert (told["put_back"], told["answered"]) == ([], 1)
    assert path.waiting() == 0


def test_message_about_something_else_is_kept_and_told(path: BurstWorld, command: Callable[..., Any]) -> None:
    path.sqs.send_message(QueueUrl=path.queue, MessageBody="an invocation that failed")
    told = redriven(command, code=1)
    assert told["not_understood"] == ["an invocation that failed"]
    assert path.waiting() == 1
    assert "an invocation that failed" in command("redrive").stdout


def test_stream_that_refuses_for_good_leaves_the_message(
    path: BurstWorld, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ops.streaming import redrive

    def refuses(self: Any, shard: str, records: list[Any]) -> None:
        raise redrive.OperatorFault("the stream refuses 1 records")

    (made,) = path.put(1)
    path.give_up(made["at"], made["at"], 1)
    with monkeypatch.context() as patch:
        patch.setattr(redrive.BurstPath, "put", refuses)
        assert command("redrive").exit_code == 1
    assert path.waiting() == 1


def test_the_operators_policy_is_enough(
    path: BurstWorld, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = path.put(2)
    path.note("p-" + "f" * 32, "QUEUED")
    path.give_up(made[0]["at"], made[1]["at"], 2)
    path.give_up(just_before(made[0]["at"]), made[0]["at"], 99)
    key = person(path.twin, DEV, POLICY)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    assert made[1]["id"] in redriven(command, code=1)["put_back"]
