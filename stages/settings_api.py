"""Settings of the API: limits, who may call it and how, and the functions behind it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.settings_fields import Group

Origin = Annotated[str, Field(pattern=r"^https?://[A-Za-z0-9.-]+(:\d{1,5})?$")]


class UsagePlanSettings(Group):
    """What the holder of one API key may ask: requests per second, and requests per day, week or month."""

    rate_per_second: Annotated[float, Field(gt=0, le=10_000)] = 10
    burst: Annotated[int, Field(ge=1, le=5_000)] = 20
    quota: Annotated[int, Field(ge=1)] = 500_000
    quota_period: Literal["DAY", "WEEK", "MONTH"] = "DAY"


class ApiSettings(Group):
    """The prediction API: throttling (requests per second), callers, and the adapter function's limits.

    What is not set follows from `workload`; the defaults here are what the usual workload comes to.
    """

    rate_per_second: Annotated[float, Field(gt=0, le=10000)] = 75
    # No more than the function takes at once: beyond that, callers would be refused later and less clearly.
    burst: Annotated[int, Field(ge=1, le=5000)] = 50
    memory_mb: Annotated[int, Field(ge=256, le=10240)] = 448
    # API Gateway gives an integration 29 seconds; the function must give up earlier to answer for itself.
    timeout_seconds: Annotated[int, Field(ge=3, le=28)] = 20
    # Kept for the function, and its limit; 0 reserves nothing, for accounts whose quota is still small.
    reserved_concurrency: Annotated[int, Field(ge=0)] = 50
    # One address may send so many requests in five minutes before the web ACL blocks it.
    requests_per_address: Annotated[int, Field(ge=10, le=2_000_000_000)] = 20_000
    # Callers sign requests as an IAM role, or show an API key; smoke tests sign in any case.
    auth: Literal["iam", "key"] = "iam"
    usage_plan: UsagePlanSettings = UsagePlanSettings()
    # Pages of these origins (https://app.example.com) may call from a browser; none by default.
    allowed_origins: Annotated[tuple[Origin, ...], Field(max_length=10)] = ()
    # For so long the same Idempotency-Key brings the same answer.
    idempotency_hours: Annotated[int, Field(ge=1, le=168)] = 24

    @model_validator(mode="after")
    def _plan_within_api(self) -> ApiSettings:
        if self.auth == "key" and self.usage_plan.rate_per_second > self.rate_per_second:
            raise ValueError(
                f"usage_plan.rate_per_second: {self.usage_plan.rate_per_second:g} is more than the whole API "
                f"takes (rate_per_second is {self.rate_per_second:g}); lower the first or raise the second"
            )
        return self
