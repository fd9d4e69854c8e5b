"""A request with an Idempotency-Key is answered once, whoever repeats it and whenever (R22)."""

import io
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from tests.lambda_src.predict.requests_and_answers import (
    DIGIT,
    announce_answer,
    assert_problem,
    event,
)


class KeysInMemory:
    """What Powertools asks of DynamoDB, with DynamoDB's conditional write; and the lineage's write."""

    def __init__(self) -> None:
        self.items: dict[str, dict[str, Any]] = {}
        self.recorded = 0
        self.away = False
        real = boto3.client("dynamodb", region_name="us-east-1")
        self.meta, self.exceptions = real.meta, real.exceptions

    def put_item(self, **asked: Any) -> None:
        if asked["TableName"] == "lineage":
            self.recorded += 1
            return
        self._check("PutItem")
        key = asked["Item"]["pk"]["S"]
        if key in self.items:
            answer = {
                "Error": {"Code": "ConditionalCheckFailedException", "Message": ""},
                "Item": self.items[key],
            }
            raise ClientError(answer, "PutItem")
        self.items[key] = asked["Item"]

    def update_item(self, **asked: Any) -> None:
        self._check("UpdateItem")
        item, values = self.items[asked["Key"]["pk"]["S"]], asked["ExpressionAttributeValues"]
        item["status"], item["data"] = values[":status"], values[":response_data"]

    def delete_item(self, **asked: Any) -> None:
        self.items.pop(asked["Key"]["pk"]["S"], None)

    def _check(self, operation: str) -> None:
        if self.away:
            raise ClientError({"Error": {"Code": "InternalServerError", "Message": ""}}, operation)


@pytest.fixture
def keys(adapter: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[KeysInMemory]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    memory = KeysInMemory()
    monkeypatch.setattr(adapter, "dynamodb", memory)
    adapter._once.clear()
    monkeypatch.syspath_prepend("lambda_src/predict")
    yield memory
    adapter._once.clear()


def keyed(key: str, body: bytes = DIGIT, caller: str = "AROA1:session-1", **more: Any) -> dict[str, Any]:
    asked = event(body, **more)
    asked["headers"]["Idempotency-Key"] = key
    asked["requestContext"]["identity"] = {"caller": caller}
    return asked


def test_same_request_gets_the_same_answer_and_is_asked_and_recorded_once(
    ask: Callable[..., Any], endpoint: Stubber, keys: KeysInMemory
) -> None:
    announce_answer(endpoint)
    first, second = ask(keyed("k-1")), ask(keyed("k-1"))
    assert first.body == second.body
    assert (first.headers.get("idempotent-replayed"), second.headers["idempotent-replayed"]) == (None, "true")
    assert keys.recorded == 1
    (item,) = keys.items.values()
    assert int(item["expires_at"]["N"]) > 0
    assert DIGIT not in str(item).encode()


def test_session_of_the_same_role_is_the_same_caller(
    ask: Callable[..., Any], endpoint: Stubber, keys: KeysInMemory
) -> None:
    announce_answer(endpoint)
    ask(keyed("k-1"))
    assert ask(keyed("k-1", caller="AROA1:session-2")).headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("other", [{"caller": "AROA2:session-1"}, {"path": "/v1/smoke/predictions"}])
def test_callers_and_operations_have_keys_of_their_own(
    ask: Callable[..., Any], endpoint: Stubber, keys: KeysInMemory, other: dict[str, str]
) -> None:
    announce_answer(endpoint)
    ask(keyed("k-1"))
    announce_answer(endpoint, name="vision-dev-smoke" if "path" in other else "vision-dev-champion")
    answer = ask(keyed("k-1", **other))
    assert (answer.status, "idempotent-replayed" in answer.headers) == (200, False)


def test_key_with_another_request_is_refused(
    ask: Callable[..., Any], endpoint: Stubber, keys: KeysInMemory
) -> None:
    announce_answer(endpoint)
    ask(keyed("k-1"))
    assert_problem(ask(keyed("k-1", DIGIT + b" ")), 422, "key-reused", "Idempotency-Key")


def test_request_that_is_still_being_answered_says_when_to_ask_again(
    ask: Callable[..., Any], endpoint: Stubber, keys: KeysInMemory
) -> None:
    announce_answer(endpoint)
    ask(keyed("k-1"))
    (item,) = keys.items.values()
    item["status"] = {"S": "INPROGRESS"}
    item["in_progress_expiration"] = {"N": str(2**45)}
    answer = ask(keyed("k-1"))
    assert_problem(answer, 409, "in-progress", "Idempotency-Key")
    assert int(answer.headers["retry-after"]) > 0


def test_what_failed_is_not_remembered(
    ask: Callable[..., Any], endpoint: Stubber, keys: KeysInMemory
) -> None:
    endpoint.add_client_error("invoke_endpoint", "ServiceUnavailable")
    assert_problem(ask(keyed("k-1")), 503, "model-unavailable")
    assert keys.items == {}
    announce_answer(endpoint)
    assert ask(keyed("k-1")).status == 200


def test_without_the_table_nobody_is_promised_anything(ask: Callable[..., Any], keys: KeysInMemory) -> None:
    keys.away = True
    answer = ask(keyed("k-1"))
    assert_problem(answer, 503, "keys-unavailable", "Idempotency-Key")
    assert int(answer.headers["retry-after"]) > 0


def test_answer_that_cannot_be_remembered_is_given_all_the_same(
    adapter: ModuleType, ask: Callable[..., Any], endpoint: Stubber, keys: KeysInMemory, log: io.StringIO
) -> None:
    announce_answer(endpoint)

    def fail(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "InternalServerError", "Message": ""}}, "UpdateItem")

    keys.update_item = fail
    assert ask(keyed("k-1")).status == 200


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 129, 'a"b'])
def test_what_is_no_key_is_refused(ask: Callable[..., Any], key: str) -> None:
    assert_problem(ask(keyed(key)), 400, "bad-key", "Idempotency-Key")
