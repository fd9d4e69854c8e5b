"""An endpoint that is absent, busy or broken gives an answer that says whether to try again (R22)."""

import io
import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ConnectTimeoutError
from botocore.stub import Stubber

from tests.lambda_src.predict.requests_and_answers import (
    DIGIT,
    MODEL,
    PROBABILITIES,
    announce_answer,
    assert_problem,
    event,
)


class TestEndpointTrouble:
    def test_no_model_yet(self, ask: Callable[..., Any], endpoint: Stubber) -> None:
        message = "Endpoint vision-dev-champion of account 222222222222 not found."
        endpoint.add_client_error("invoke_endpoint", "ValidationError", message, http_status_code=400)
        answer = ask(event(DIGIT))
        assert_problem(answer, 503, "no-model")
        assert int(answer.headers["retry-after"]) > 0

    @pytest.mark.parametrize(
        "code",
        [
            "ThrottlingException",
            "ServiceUnavailable",
            "ModelNotReadyException",
            "InternalDependencyException",
        ],
    )
    def test_busy_endpoint(self, ask: Callable[..., Any], endpoint: Stubber, code: str) -> None:
        endpoint.add_client_error("invoke_endpoint", code)
        answer = ask(event(DIGIT))
        assert_problem(answer, 503, "model-unavailable")
        assert int(answer.headers["retry-after"]) > 0

    @pytest.mark.parametrize(("original", "status"), [(400, 502), (500, 502), (503, 503)])
    def test_error_of_the_model(
        self, ask: Callable[..., Any], endpoint: Stubber, original: int, status: int
    ) -> None:
        more = {"OriginalStatusCode": original}
        endpoint.add_client_error("invoke_endpoint", "ModelError", http_status_code=424, modeled_fields=more)
        assert ask(event(DIGIT)).status == status

    def test_permission_that_is_missing(self, ask: Callable[..., Any], endpoint: Stubber) -> None:
        endpoint.add_client_error("invoke_endpoint", "AccessDeniedException")
        answer = ask(event(DIGIT))
        assert_problem(answer, 502, "model-failed")
        assert "AccessDenied" in answer.body["detail"]

    def test_endpoint_that_does_not_answer(
        self, adapter: ModuleType, ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def too_late(**_: Any) -> None:
            raise ConnectTimeoutError(endpoint_url="https://runtime.sagemaker")

        monkeypatch.setattr(adapter.runtimes, "usual", SimpleNamespace(invoke_endpoint=too_late))
        assert_problem(ask(event(DIGIT)), 503, "model-unavailable")

    @pytest.mark.parametrize(
        "document",
        [
            b"<html>",
            [],
            {"predictions": []},
            {"predictions": [{"label": "7"}], "model_version": MODEL},
            {"predictions": [{"label": "seven", "probabilities": PROBABILITIES}], "model_version": MODEL},
        ],
    )
    def test_answer_of_another_model(self, ask: Callable[..., Any], endpoint: Stubber, document: Any) -> None:
        announce_answer(endpoint, document)
        assert_problem(ask(event(DIGIT)), 502, "model-failed")

    def test_unexpected_failure_is_an_answer_without_its_insides(
        self,
        adapter: ModuleType,
        ask: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        log: io.StringIO,
    ) -> None:
        def broken(*_: Any) -> None:
            raise KeyError("secret inside")

        monkeypatch.setattr(adapter, "ask", broken)
        answer = ask(event(DIGIT))
        assert_problem(answer, 500, "internal")
        assert "secret" not in json.dumps(answer.body)
        assert "secret inside" in log.getvalue()

    def test_one_retry_at_most_within_the_functions_timeout(self, adapter: ModuleType) -> None:
        config = adapter.runtimes.usual.settings
        assert config.retries["total_max_attempts"] == 2
        assert 2 * (config.connect_timeout + config.read_timeout) + 1 < 20
