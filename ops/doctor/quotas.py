"""Whether each account may have at once what the settings need: instances, function concurrency, builds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError

from ops.access import Access
from ops.deployment import Deployment, Environment, Place
from ops.doctor.findings import Finding, fault, not_checked, unanswered, well
from planning import quotas

# A champion's run and a smoke test's may meet.
_RUNS_AT_ONCE = 2

Needs = dict[str, int]


def instance_needs(environment: Environment) -> Needs:
    """SageMaker instances that one environment may have running, by the name of their quota."""
    training, hosting = environment.settings["training"], environment.settings["hosting"]
    needs: Counter[str] = Counter()
    needs[f"{training['instance_type']} for training job usage"] += _RUNS_AT_ONCE
    needs[f"{training['evaluation_instance_type']} for processing job usage"] += _RUNS_AT_ONCE
    if hosting.get("mode") not in ("serverless", "lambda"):
        needs[f"{hosting['instance_type']} for endpoint usage"] += quotas.endpoint_instances(
            hosting["instance_count"], hosting["max_instance_count"]
        )
    return dict(needs)


def concurrency_need(environment: Environment) -> int:
    """Lambda executions at once: what the API and the models reserve, and what must stay free."""
    models = environment.settings["hosting"].get("lambda_reserved_concurrency") or 0
    return models + quotas.concurrency(
        environment.settings["api"].get("reserved_concurrency"),
        others=environment.settings["quality"]["label_concurrency"],
    )


def build_needs(deployment: Deployment) -> Needs:
    """Builds that the pipeline runs at once, by the name of their quota."""
    side_by_side = max(len(environment.regions) for environment in deployment.environments)
    return {
        "Concurrently running builds for ARM/Small environment": max(2, side_by_side),
        "Concurrently running builds for ARM/Medium environment": 1,
        # The serving image is built for x86, which processing jobs run on.
        "Concurrently running builds for Linux/Small environment": 1,
    }


def check(deployment: Deployment, place: Place, access: Access) -> Iterator[Finding]:
    """Findings of one account and region, for everything that is there. Raises NoAccess."""
    here = [
        environment
        for environment in deployment.environments
        if environment.account == place.account and place.region in environment.regions
    ]
    if here:
        needs: Counter[str] = Counter()
        for environment in here:
            needs.update(instance_needs(environment))
        yield from _compare("quota-sagemaker", "sagemaker", needs, place, access)
        yield from _concurrency(sum(map(concurrency_need, here)), place, access)
    if place == deployment.tooling:
        yield from _compare("quota-codebuild", "codebuild", build_needs(deployment), place, access)


def _compare(
    name: str, service: str, needs: Mapping[str, int], place: Place, access: Access
) -> Iterator[Finding]:
    try:
        have = _quotas(access.client(place, "service-quotas"), service, set(needs))
    except ClientError as error:
        yield unanswered(name, place, "service-quotas", error)
        return
    for quota, needed in sorted(needs.items()):
        found = have.get(quota)
        if found is None:
            yield not_checked(name, place, f"{service} has no quota {quota!r} here: is the type offered?")
        elif found["Value"] < needed:
            yield fault(
                name,
                place,
                f"{quota}: {found['Value']:g}, and the settings need {needed}",
                " ".join(
                    [
                        "aws service-quotas request-service-quota-increase",
                        f"--service-code {service} --quota-code {found['QuotaCode']}",
                        f"--desired-value {needed} --region {place.region}",
                        *access.arguments(place.account),
                    ]
                ),
            )
        else:
            yield well(name, place, f"{quota}: {found['Value']:g}, needed {needed}")


def _quotas(api: Any, service: str, wanted: set[str]) -> dict[str, Any]:
    """The wanted quotas by name. SageMaker has thousands: reading ends with the last one that is wanted."""
    found: dict[str, Any] = {}
    for page in api.get_paginator("list_service_quotas").paginate(ServiceCode=service):
        found.update({each["QuotaName"]: each for each in page["Quotas"] if each["QuotaName"] in wanted})
        if len(found) == len(wanted):
            break
    return found


def _concurrency(needed: int, place: Place, access: Access) -> Iterator[Finding]:
    name = "quota-lambda-concurrency"
    try:
        limit = access.client(place, "lambda").get_account_settings()["AccountLimit"]
    except ClientError as error:
        yield unanswered(name, place, "lambda", error)
        return
    have = limit["ConcurrentExecutions"]
    if have >= needed:
        yield well(name, place, f"concurrent executions: {have}, needed {needed}")
        return
    cure = (
        "aws service-quotas request-service-quota-increase --service-code lambda "
        f"--quota-code {quotas.LAMBDA_CONCURRENCY.code} "
        f"--desired-value {max(needed, 1000)} --region {place.region}"
    )
    what = f"functions may run {have} times at once, and the settings need {needed}"
    yield fault(name, place, what, " ".join([cure, *access.arguments(place.account)]))
