"""The API's adapter: an image becomes a well-formed answer and a record, with metrics and logs (R22)."""

import base64
import io
import json
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from botocore.stub import Stubber

from tests.lambda_src.predict.requests_and_answers import (
    DIGIT,
    MODEL,
    PROBABILITIES,
    REQUEST_ID,
    announce_answer,
    announce_record,
    as_json,
    event,
)


@pytest.mark.parametrize(
    "missing", ["CHAMPION_ENDPOINT", "SMOKE_ENDPOINT", "LINEAGE_TABLE", "IDEMPOTENCY_TABLE", "MODEL_SPEC"]
)
def test_missing_configuration_names_its_variable(
    load_function: Callable[..., ModuleType], missing: str
) -> None:
    names = ["CHAMPION_ENDPOINT", "SMOKE_ENDPOINT", "LINEAGE_TABLE", "IDEMPOTENCY_TABLE"]
    variables = dict.fromkeys(names, "x") | {missing: ""}
    with pytest.raises(
        (RuntimeError, ValueError), match="MODEL_SPEC|model spec" if missing == "MODEL_SPEC" else missing
    ):
        load_function("predict", **variables)


class TestPrediction:
    def test_image_bytes_are_answered_and_recorded(
        self, ask: Callable[..., Any], endpoint: Stubber, lineage: Stubber
    ) -> None:
        announce_answer(endpoint)
        announce_record(lineage)
        answer = ask(event(DIGIT))
        assert answer.status == 200
        assert answer.body == {
            "request_id": REQUEST_ID,
            "label": "7",
            "probabilities": PROBABILITIES,
            "model_version": MODEL,
        }

    def test_base64_json_asks_the_same(
        self, ask: Callable[..., Any], endpoint: Stubber, lineage: Stubber
    ) -> None:
        announce_answer(endpoint)
        announce_record(lineage)
        assert ask(as_json(image=base64.b64encode(DIGIT).decode())).status == 200

    def test_json_that_api_gateway_passed_as_base64(
        self, ask: Callable[..., Any], endpoint: Stubber, lineage: Stubber
    ) -> None:
        announce_answer(endpoint)
        announce_record(lineage)
        document = json.dumps({"image": base64.b64encode(DIGIT).decode()}).encode()
        assert ask(event(document, "application/json; charset=utf-8")).status == 200

    def test_record_is_found_by_dataset_and_run_in_the_order_of_answers(
        self, adapter: ModuleType, ask: Callable[..., Any], endpoint: Stubber, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        written: list[dict[str, Any]] = []
        monkeypatch.setattr(
            adapter, "dynamodb", SimpleNamespace(put_item=lambda **item: written.append(item))
        )
        announce_answer(endpoint)
        ask(event(DIGIT))
        (item,) = [each["Item"] for each in written]
        assert item["gsi1pk"]["S"] == "DATASET#digits#v1"
        time = item["answered_at"]["S"]
        assert item["gsi1sk"]["S"] == f"RUN#run-a#PREDICTION#{time}#{REQUEST_ID}"

    def test_model_deployed_without_its_origin_still_answers(
        self, ask: Callable[..., Any], endpoint: Stubber, lineage: Stubber
    ) -> None:
        answer = {"predictions": [{"label": "7", "probabilities": PROBABILITIES}], "model_version": MODEL}
        announce_answer(endpoint, answer)
        announce_record(lineage, run="", dataset="")
        assert ask(event(DIGIT)).status == 200

    def test_uncertain_answer_is_counted_as_such(
        self,
        adapter: ModuleType,
        ask: Callable[..., Any],
        endpoint: Stubber,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(adapter, "dynamodb", SimpleNamespace(put_item=lambda **_: None))
        for confidence, counted in ((0.49, 1.0), (0.5, 0.0)):
            probabilities = dict.fromkeys(PROBABILITIES, 0.05) | {"7": confidence}
            prediction = {"label": "7", "probabilities": probabilities}
            announce_answer(endpoint, {"predictions": [prediction], "model_version": MODEL})
            ask(event(DIGIT))
            metric = json.loads(capsys.readouterr().out)
            assert (metric["LowConfidence"], metric["Predictions"]) == ([counted], [1.0])

    def test_alarm_that_looks_often_gets_metrics_by_the_second(
        self, load_function: Callable[..., ModuleType]
    ) -> None:
        names = {
            "CHAMPION_ENDPOINT": "c",
            "SMOKE_ENDPOINT": "s",
            "LINEAGE_TABLE": "t",
            "IDEMPOTENCY_TABLE": "k",
        }
        often = load_function("predict", **names, METRICS_PERIOD_SECONDS="10")
        seldom = load_function("predict", **names, METRICS_PERIOD_SECONDS="60")
        assert (often.resolution.value, seldom.resolution.value) == (1, 60)

    def test_smoke_path_asks_the_smoke_endpoint(
        self, ask: Callable[..., Any], endpoint: Stubber, lineage: Stubber
    ) -> None:
        announce_answer(endpoint, name="vision-dev-smoke")
        announce_record(lineage, line="smoke")
        assert ask(event(DIGIT, path="/v1/smoke/predictions")).status == 200

    def test_content_decides_when_the_declared_type_is_another_images(
        self, ask: Callable[..., Any], endpoint: Stubber, lineage: Stubber
    ) -> None:
        announce_answer(endpoint)
        announce_record(lineage)
        assert ask(event(DIGIT, "image/jpeg")).status == 200

    def test_lost_record_is_counted_and_logged_but_the_answer_stands(
        self,
        ask: Callable[..., Any],
        endpoint: Stubber,
        lineage: Stubber,
        log: io.StringIO,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        announce_answer(endpoint)
        lineage.add_client_error("put_item", "AccessDeniedException", "not allowed")
        assert ask(event(DIGIT)).status == 200
        assert '"LineageWriteFailures":[1.0]' in capsys.readouterr().out
        assert "could not be written" in log.getvalue()

    def test_replayed_request_changes_nothing(
        self,
        ask: Callable[..., Any],
        endpoint: Stubber,
        lineage: Stubber,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        announce_answer(endpoint)
        lineage.add_client_error("put_item", "ConditionalCheckFailedException")
        assert ask(event(DIGIT)).status == 200
        assert "LineageWriteFailures" not in capsys.readouterr().out

    def test_metrics_have_few_dimensions_and_logs_the_requests_id(
        self,
        ask: Callable[..., Any],
        endpoint: Stubber,
        lineage: Stubber,
        log: io.StringIO,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        announce_answer(endpoint)
        announce_record(lineage)
        ask(event(DIGIT))
        metric = json.loads(capsys.readouterr().out)
        (directive,) = metric["_aws"]["CloudWatchMetrics"]
        assert directive["Namespace"] == "Vision"
        assert sorted(directive["Dimensions"][0]) == ["line", "service"]
        assert {entry["Name"] for entry in directive["Metrics"]} == {
            "Predictions",
            "LowConfidence",
            "Confidence",
            "EndpointLatency",
        }
        logs = [json.loads(line) for line in log.getvalue().splitlines()]
        assert logs
        assert all(line["request_id"] == REQUEST_ID for line in logs)
