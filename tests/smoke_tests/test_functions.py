"""Models that functions serve: the line in the words of endpoints, and the function asked by itself."""

import base64
import io
import json
from typing import Any

import pytest

from smoke_tests import functions, traces
from smoke_tests.endpoints import require_serving, require_untouched
from smoke_tests.faults import CheckFailed

SMOKE = "vision-dev-smoke"
TARGET = {"deployment_id": "smoke-1", "share": 100, "model": "a/output/model.tar.gz", "package": "m/1"}


class Lambda:
    """A function that answers with what it was given."""

    def __init__(self, document: dict[str, Any], *, fails: bool = False) -> None:
        self.document, self.fails = document, fails
        self.asked: dict[str, Any] = {}

    def invoke(self, *, FunctionName: str, Payload: bytes) -> dict[str, Any]:
        self.asked = {"function": FunctionName, **json.loads(Payload)}
        failed = {"FunctionError": "Unhandled"} if self.fails else {}
        return {"Payload": io.BytesIO(json.dumps(self.document).encode()), **failed}


def test_line_whose_requests_all_turn_to_a_deployment_serves_it() -> None:
    require_serving(functions.state(TARGET, SMOKE), f"{SMOKE}-smoke-1")
    with pytest.raises(CheckFailed, match="serves configuration vision-dev-smoke-smoke-1"):
        require_serving(functions.state(TARGET, SMOKE), f"{SMOKE}-smoke-2")


def test_line_in_the_midst_of_a_canary_or_without_a_target_does_not() -> None:
    with pytest.raises(CheckFailed, match="is Updating"):
        require_serving(functions.state(TARGET | {"share": 40}, SMOKE), f"{SMOKE}-smoke-1")
    with pytest.raises(CheckFailed, match="there is no endpoint"):
        require_serving(functions.state({}, SMOKE), f"{SMOKE}-smoke-1")


def test_champion_whose_target_a_smoke_run_has_moved_was_touched() -> None:
    before = functions.state(TARGET | {"deployment_id": "run-a"}, "vision-dev-champion")
    after = functions.state(TARGET, "vision-dev-champion")
    with pytest.raises(CheckFailed, match="this smoke run moved the champion"):
        require_untouched(before, after, "smoke-1", lambda _: False)


def test_function_is_asked_for_the_lines_model() -> None:
    one = {"label": "a", "probabilities": {"a": 0.75, "b": 0.25}}
    api = Lambda({"predictions": [one], "model_version": "m/1"})

    found = functions.ask(api, "vision-dev-smoke-model", TARGET, b"pixels")

    assert (found.label, found.confidence, found.model_version) == ("a", 0.75, "m/1")
    assert (api.asked["function"], api.asked["model"]) == ("vision-dev-smoke-model", TARGET["model"])
    assert base64.b64decode(api.asked["images"]) == b"pixels"


@pytest.mark.parametrize("fails", [True, False])
def test_function_that_fails_or_refuses_is_told(fails: bool) -> None:
    api = Lambda({"errorMessage": "no model"} if fails else {"refused": "no model"}, fails=fails)
    with pytest.raises(CheckFailed, match=r"vision-dev-smoke-model answers .*no model"):
        functions.ask(api, "vision-dev-smoke-model", TARGET, b"pixels")


def test_trace_is_looked_for_by_who_serves() -> None:
    assert traces.of_function("f").service == "Lambda"
    assert traces.of_endpoint("e").shown == "endpoint_name"
