"""An API that lets callers in by key, and browsers of one origin: who gets in, how often, who may read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.api.caller import Caller
from tests.api.conftest import reached
from tests.faults import platform as platforms
from tests.twin.conftest import SERVER_PYTHON

ORIGIN = "https://app.example.com"
BURST, QUOTA = 3, 8


class Keyed:
    """The deployed API, and its first key."""

    def __init__(self, platform: platforms.Platform) -> None:
        self.gateway = platform.client("apigateway")
        outputs = platforms.outputs(platform, "inference")
        self.url = outputs["ApiUrl"].rstrip("/")
        (key_id,) = [value for name, value in outputs.items() if "FirstKeyId" in name]
        self.key = self.gateway.get_api_key(apiKey=key_id, includeValue=True)["value"]

    def call(self, method: str, path: str, key: str | None = None, **headers: str) -> requests.Response:
        sent = {**headers, **({"x-api-key": key} if key else {})}
        return Caller(self.url, None).call(method, path, headers=sent)

    def unlimited(self) -> None:
        """Lift the throttle, so that the quota is what counts."""
        (plan,) = self.gateway.get_usage_plans()["items"]
        patches = [
            {"op": "replace", "path": f"/throttle/{name}", "value": "10000"}
            for name in ("rateLimit", "burstLimit")
        ]
        self.gateway.update_usage_plan(usagePlanId=plan["id"], patchOperations=patches)


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    if not SERVER_PYTHON.exists():
        pytest.skip("build/envs/twin is missing: run make setup")
    folder: Path = tmp_path_factory.mktemp("keyed")
    plan = {"rate_per_second": 0.01, "burst": BURST, "quota": QUOTA, "quota_period": "DAY"}
    settings: dict[str, Any] = {"auth": "key", "usage_plan": plan, "allowed_origins": [ORIGIN]}
    with platforms.deployed(folder, api=settings) as platform, reached(platform):
        yield Keyed(platform)


def test_nobody_gets_in_without_a_key_of_the_plan(keyed: Keyed) -> None:
    for key in (None, "x" * 40):
        answer = keyed.call("GET", "/openapi.json", key)
        assert (answer.status_code, answer.json()["title"]) == (403, "INVALID_API_KEY")
        assert answer.headers["Content-Type"] == "application/problem+json"
        # The one origin may read what the gateway itself refuses.
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN


def test_smoke_paths_take_no_key_for_a_signature(keyed: Keyed) -> None:
    answer = keyed.call("GET", "/v1/smoke/predictions/p-0123456789", keyed.key)
    assert (answer.status_code, answer.json()["title"]) == (403, "MISSING_AUTHENTICATION_TOKEN")


def test_browsers_of_the_origin_may_ask_first_without_a_key(keyed: Keyed) -> None:
    asked = keyed.call("OPTIONS", "/v1/predictions", Origin=ORIGIN)
    assert (asked.status_code, asked.headers["Access-Control-Allow-Origin"]) == (204, ORIGIN)
    assert "X-Api-Key" in asked.headers["Access-Control-Allow-Headers"]
    other = keyed.call("OPTIONS", "/v1/predictions", Origin="https://evil.example")
    assert "Access-Control-Allow-Origin" not in other.headers


def test_key_is_let_in_throttled_and_ends_with_its_quota(keyed: Keyed) -> None:
    first = keyed.call("GET", "/openapi.json", keyed.key, Origin=ORIGIN)
    assert (first.status_code, first.json()["security"]) == (200, [{"key": []}])
    assert first.headers["Access-Control-Allow-Origin"] == ORIGIN
    statuses = [keyed.call("GET", "/openapi.json", keyed.key).status_code for _ in range(BURST)]
    assert statuses == [200] * (BURST - 1) + [429]
    keyed.unlimited()
    titles = [keyed.call("GET", "/openapi.json", keyed.key).json().get("title") for _ in range(QUOTA)]
    assert titles[-1] == "QUOTA_EXCEEDED"
    assert titles.count("QUOTA_EXCEEDED") == BURST
