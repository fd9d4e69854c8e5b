"""Quotas: what a plan needs of each, which are exceeded, and how one gets more."""

from __future__ import annotations

import pytest

from planning.capacity import plan
from planning.ladder import RUNGS, breaking, rungs
from planning.quotas import (
    ALL,
    API_BURST,
    LAMBDA_CONCURRENCY,
    Need,
    by_key,
    concurrency,
    endpoint_instances,
    exceeded,
    how_to_ask,
    needs,
)
from planning.workload import Workload


def needed(images: int) -> tuple[Need, ...]:
    workload = Workload(images_per_day=images)
    return needs(workload, plan(workload).provision)


def test_every_quota_has_a_source_of_a_date_and_a_way_on() -> None:
    for each in ALL:
        assert each.source.text.startswith("https://docs.aws.amazon.com/"), each.key
        assert each.source.on.year >= 2026
        assert len(each.beyond) > 10
        assert by_key(each.key) is each
    assert len({each.key for each in ALL}) == len(ALL)


def test_half_a_million_fits_into_a_new_account() -> None:
    assert exceeded(needed(500_000)) == ()


def test_a_billion_exceeds_many_and_the_worst_comes_first() -> None:
    found = exceeded(needed(10**9))

    assert len(found) >= 6
    assert [each.share for each in found] == sorted((each.share for each in found), reverse=True)


def test_what_the_account_has_been_given_counts() -> None:
    found = needed(50_000_000)

    def beyond(have: dict[str, float]) -> set[str]:
        return {each.quota.key for each in exceeded(found, have)}

    assert "lambda-concurrency" in beyond({})
    assert "lambda-concurrency" in beyond({"lambda-concurrency": 2000})
    assert "lambda-concurrency" not in beyond({"lambda-concurrency": 5000})


def test_an_exceeded_quota_says_need_default_and_how_to_ask() -> None:
    worst = next(each for each in exceeded(needed(50_000_000)) if each.quota is LAMBDA_CONCURRENCY)

    said = worst.in_words()
    assert f"{worst.value:,.0f} executions are needed" in said
    assert "AWS's default is 1,000" in said
    assert "request-service-quota-increase --service-code lambda --quota-code L-B99A9384" in said
    assert "the account has 2,000" in worst.in_words(2000)


def test_what_cannot_be_raised_says_what_to_do_instead() -> None:
    assert how_to_ask(API_BURST, 9000).startswith("It cannot be raised:")
    assert "service-quotas" not in how_to_ask(API_BURST, 9000)


def test_growth_breaks_quotas_in_an_order_that_the_ladder_confirms() -> None:
    order = breaking()

    assert [each.images_per_day for each in order] == sorted(each.images_per_day for each in order)
    for each in rungs():
        beyond = {need.quota.key for need in each.exceeded}
        images = each.workload.images_per_day
        assert beyond == {one.quota.key for one in order if one.images_per_day <= images}


def test_the_ladder_has_the_rungs_that_were_asked_for() -> None:
    assert [each.workload.images_per_day for each in rungs()] == list(RUNGS)
    assert RUNGS == (500_000, 5_000_000, 50_000_000, 500_000_000, 1_000_000_000)


def test_deployments_double_the_largest_fleet() -> None:
    assert endpoint_instances(2) == endpoint_instances(2, None) == 5
    assert endpoint_instances(2, 10) == 21


@pytest.mark.parametrize(("reserved", "least"), [(None, 50), (0, 50), (50, 150)])
def test_concurrency_leaves_what_aws_keeps_free(reserved: int | None, least: int) -> None:
    assert concurrency(reserved) == least
