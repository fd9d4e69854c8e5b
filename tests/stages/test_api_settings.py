"""Who may call the API is a matter of settings: by signature, by key with a plan, from which pages (R22)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from stages.settings_api import ApiSettings


def test_requests_are_signed_and_browsers_kept_out_by_default() -> None:
    settings = ApiSettings()
    assert (settings.auth, settings.allowed_origins) == ("iam", ())


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"auth": "none"}, "auth"),
        ({"allowed_origins": ["*"]}, "allowed_origins"),
        ({"allowed_origins": ["https://a.example/path"]}, "allowed_origins"),
        ({"allowed_origins": ["https://a.example'"]}, "allowed_origins"),
        ({"idempotency_hours": 0}, "idempotency_hours"),
        ({"usage_plan": {"quota": 0}}, "quota"),
        ({"usage_plan": {"quota_period": "YEAR"}}, "quota_period"),
        (
            {"auth": "key", "rate_per_second": 5, "usage_plan": {"rate_per_second": 6}},
            "usage_plan.rate_per_second",
        ),
    ],
)
def test_wrong_values_are_named(values: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError) as fault:
        ApiSettings.model_validate(values)
    assert named in str(fault.value)


def test_plan_is_looked_at_only_where_there_are_keys() -> None:
    ApiSettings.model_validate({"rate_per_second": 5, "usage_plan": {"rate_per_second": 6}})
