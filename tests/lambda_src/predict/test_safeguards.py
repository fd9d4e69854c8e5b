"""What keeps a model in trouble from being overrun, and a caller from waiting in vain (R22)."""

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.stub import Stubber

from tests.lambda_src.predict.requests_and_answers import (
    DIGIT,
    announce_answer,
    announce_record,
    assert_problem,
    event,
)
from vision_runtime.breaker import CircuitBreaker
from vision_runtime.budget import BoundedClients, Budget
from vision_runtime.problem import Problem


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class TestCircuitBreaker:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def breaker(self, clock: Clock) -> CircuitBreaker:
        return CircuitBreaker(failures=3, open_seconds=10, clock=clock)

    def test_opens_after_failures_in_a_row(self, breaker: CircuitBreaker) -> None:
        for _ in range(2):
            breaker.failed()
        breaker.succeeded()
        for _ in range(2):
            breaker.failed()
        breaker.check()
        breaker.failed()
        with pytest.raises(Problem) as refused:
            breaker.check()
        assert (refused.value.status, refused.value.retry_after) == (503, 10)

    def test_tries_again_after_its_time_and_closes_on_success(
        self, breaker: CircuitBreaker, clock: Clock
    ) -> None:
        for _ in range(3):
            breaker.failed()
        clock.now += 9.5
        with pytest.raises(Problem) as refused:
            breaker.check()
        assert refused.value.retry_after == 1
        clock.now += 0.5
        assert breaker.state == "half-open"
        breaker.check()
        breaker.succeeded()
        assert breaker.state == "closed"

    def test_opens_anew_when_the_trial_fails(self, breaker: CircuitBreaker, clock: Clock) -> None:
        for _ in range(3):
            breaker.failed()
        clock.now += 10
        breaker.check()
        breaker.failed()
        assert breaker.state == "open"


class TestAdapterBehindItsBreaker:
    def test_endpoint_that_is_down_is_left_alone_after_three_requests(
        self, ask: Callable[..., Any], endpoint: Stubber
    ) -> None:
        for _ in range(3):
            endpoint.add_client_error("invoke_endpoint", "ServiceUnavailable")
            assert_problem(ask(event(DIGIT)), 503, "model-unavailable")
        # Nothing more is announced: asking the endpoint again would raise.
        answer = ask(event(DIGIT))
        assert_problem(answer, 503, "model-unavailable")
        assert 1 <= int(answer.headers["retry-after"]) <= 10

    def test_the_other_line_goes_on(
        self, ask: Callable[..., Any], endpoint: Stubber, lineage: Stubber
    ) -> None:
        for _ in range(3):
            endpoint.add_client_error("invoke_endpoint", "ServiceUnavailable")
            ask(event(DIGIT))
        announce_answer(endpoint, name="vision-dev-smoke")
        announce_record(lineage, line="smoke")
        assert ask(event(DIGIT, path="/v1/smoke/predictions")).status == 200

    def test_bad_images_and_answers_do_not_open_it(
        self, adapter: ModuleType, ask: Callable[..., Any], endpoint: Stubber
    ) -> None:
        for _ in range(5):
            ask(event(b"no image"))
            endpoint.add_client_error("invoke_endpoint", "ModelError", http_status_code=424)
            ask(event(DIGIT))
        assert adapter.breakers["vision-dev-champion"].state == "closed"


class TestTimeBudget:
    @pytest.fixture(autouse=True)
    def variables(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")

    def test_request_with_plenty_of_time_uses_the_usual_client(self, adapter: ModuleType) -> None:
        assert adapter.runtimes.within(Budget.of(_context(20_000))) is adapter.runtimes.usual

    @pytest.mark.parametrize(("left_ms", "wait"), [(12_000, 6), (6_000, 3), (3_600, 1)])
    def test_less_time_means_one_try_that_waits_no_longer(
        self, adapter: ModuleType, left_ms: int, wait: int
    ) -> None:
        client = adapter.runtimes.within(Budget.of(_context(left_ms)))
        settings = client.settings
        assert (settings.read_timeout, settings.retries["total_max_attempts"]) == (wait, 1)
        assert settings.connect_timeout + settings.read_timeout < left_ms / 1000
        assert adapter.runtimes.within(Budget.of(_context(left_ms))) is client

    def test_no_time_left_is_a_503_that_says_so(
        self, ask: Callable[..., Any], context: SimpleNamespace
    ) -> None:
        context.get_remaining_time_in_millis = lambda: 3_000
        answer = ask(event(DIGIT))
        assert answer.status == 503
        assert int(answer.headers["retry-after"]) > 0

    def test_hurried_client_that_times_out_counts_as_the_endpoints_failure(
        self,
        adapter: ModuleType,
        ask: Callable[..., Any],
        context: SimpleNamespace,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def too_late(**_: Any) -> None:
            raise ReadTimeoutError(endpoint_url="https://runtime.sagemaker")

        slow = SimpleNamespace(invoke_endpoint=too_late)
        clients = BoundedClients(lambda _: slow, adapter.CLIENT)
        monkeypatch.setattr(adapter, "runtimes", clients)
        context.get_remaining_time_in_millis = lambda: 8_000
        assert_problem(ask(event(DIGIT)), 503, "model-unavailable")
        assert adapter.breakers["vision-dev-champion"].state == "closed"


def _context(left_ms: int) -> SimpleNamespace:
    return SimpleNamespace(get_remaining_time_in_millis=lambda: left_ms)
