"""Up to sixteen images in one request: each gets its own answer, in their order (R22, R35)."""

import base64
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.stub import Stubber

from tests.lambda_src import odd_images as odd
from tests.lambda_src.predict.requests_and_answers import (
    DIGIT,
    REQUEST_ID,
    announce_answer,
    announce_record,
    as_json,
    assert_problem,
)

GOOD = base64.b64encode(DIGIT).decode()


def test_images_are_asked_about_in_one_request_and_recorded_each(
    ask: Callable[..., Any], endpoint: Stubber, lineage: Stubber
) -> None:
    announce_answer(endpoint, images=3)
    for place in range(3):
        announce_record(lineage, id=f"{REQUEST_ID}-{place}")
    answer = ask(as_json(images=[GOOD] * 3))
    assert answer.status == 200
    assert [each["id"] for each in answer.body["predictions"]] == [f"{REQUEST_ID}-{n}" for n in range(3)]
    assert {each["label"] for each in answer.body["predictions"]} == {"7"}


def test_bad_images_get_their_own_problem_and_the_others_are_answered(
    ask: Callable[..., Any], endpoint: Stubber, lineage: Stubber
) -> None:
    announce_answer(endpoint, images=2)
    announce_record(lineage, id=f"{REQUEST_ID}-0")
    announce_record(lineage, id=f"{REQUEST_ID}-4")
    animated = base64.b64encode(odd.animated("PNG")).decode()
    answer = ask(as_json(images=[GOOD, "***", animated, 7, GOOD]))
    assert answer.status == 200
    entries = answer.body["predictions"]
    kinds = [each["problem"]["type"].rpartition(":")[2] if "problem" in each else "" for each in entries]
    assert kinds == ["", "bad-json", "image-animated", "bad-json", ""]
    assert [each["problem"]["field"] for each in entries if "problem" in each] == [
        "images[1]",
        "images[2]",
        "images[3]",
    ]


def test_nothing_usable_is_still_an_answer_and_asks_nobody(ask: Callable[..., Any]) -> None:
    answer = ask(as_json(images=["***", "aGk="]))
    assert answer.status == 200
    assert all("problem" in each for each in answer.body["predictions"])


@pytest.mark.parametrize("images", [[], [GOOD] * 17, "abc", None, {"0": GOOD}])
def test_other_numbers_of_images_are_refused(ask: Callable[..., Any], images: Any) -> None:
    assert_problem(ask(as_json(images=images)), 400, "bad-json", "images")


def test_one_or_several_but_not_both(ask: Callable[..., Any]) -> None:
    assert_problem(ask(as_json(image=GOOD, images=[GOOD])), 400, "bad-json", "image")


def test_model_that_is_down_fails_the_whole_request(ask: Callable[..., Any], endpoint: Stubber) -> None:
    endpoint.add_client_error("invoke_endpoint", "ServiceUnavailable")
    assert_problem(ask(as_json(images=[GOOD, GOOD])), 503, "model-unavailable")


def test_more_than_one_request_takes_go_in_several(
    adapter: ModuleType,
    ask: Callable[..., Any],
    endpoint: Stubber,
    lineage: Stubber,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapter, "MOST_BYTES", 2 * adapter.config.spec.input.byte_count)
    announce_answer(endpoint, images=2)
    announce_answer(endpoint, images=1)
    for place in range(3):
        announce_record(lineage, id=f"{REQUEST_ID}-{place}")
    assert len(ask(as_json(images=[GOOD] * 3)).body["predictions"]) == 3


def test_images_that_the_time_does_not_suffice_for_say_so(
    adapter: ModuleType, ask: Callable[..., Any], context: SimpleNamespace
) -> None:
    context.get_remaining_time_in_millis = lambda: 2_000
    answer = ask(as_json(images=[GOOD, GOOD]))
    assert answer.status == 200
    assert {each["problem"]["type"] for each in answer.body["predictions"]} == {
        "urn:vision:problem:out-of-time"
    }
