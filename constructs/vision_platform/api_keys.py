"""Callers that show an API key: the usage plan that bounds each key, and a first key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from aws_cdk import CfnOutput
from aws_cdk import aws_apigateway as apigateway
from constructs import Construct


@dataclass(frozen=True, kw_only=True)
class UsageLimits:
    """What the holder of one key may ask: requests per second, and a quota per DAY, WEEK or MONTH."""

    rate_per_second: float
    burst: int
    quota: int
    period: str


class ApiKeys(Construct):
    """A usage plan on the API's stage, with one key. API Gateway makes the key's value: it is in no template.

    Further keys are made by whoever hands them out (`aws apigateway create-api-key`,
    `create-usage-plan-key`): a deployment leaves them alone.
    """

    def __init__(
        self, scope: Construct, id: str, *, name: str, api: apigateway.SpecRestApi, limits: UsageLimits
    ) -> None:
        super().__init__(scope, id)
        plan = apigateway.UsagePlan(
            self,
            "Plan",
            name=name,
            description="What the holder of one key may ask of the prediction API",
            api_stages=[
                apigateway.UsagePlanPerApiStage(
                    api=cast("apigateway.IRestApi", api), stage=api.deployment_stage
                )
            ],
            throttle=apigateway.ThrottleSettings(rate_limit=limits.rate_per_second, burst_limit=limits.burst),
            quota=apigateway.QuotaSettings(limit=limits.quota, period=apigateway.Period[limits.period]),
        )
        key = apigateway.ApiKey(self, "Key", description=f"The first key of {name}")
        plan.add_api_key(cast("apigateway.IApiKey", key))
        # Its value is read by `aws apigateway get-api-key --include-value`.
        self.first_key_id = CfnOutput(self, "FirstKeyId", value=key.key_id)
