"""The month's bill: what it is made of, how it grows, and that every price has a date and a source."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from planning.capacity import plan
from planning.hosting import Hosting
from planning.ladder import rungs
from planning.monthly_cost import Bill, Surroundings, instance_hours, monthly
from planning.prices import API_REQUESTS, UnknownPrice, all_prices, hourly_usd, known_instances, request_usd
from planning.workload import Workload

USUAL = Workload()


def bill(workload: Workload = USUAL, around: Surroundings | None = None) -> Bill:
    return monthly(workload, plan(workload).provision, around)


def test_every_price_has_a_unit_a_date_and_a_source() -> None:
    found = all_prices()

    assert len(found) > 20
    for name, each in found.items():
        assert each.unit, name
        assert each.source.text.startswith("https://aws.amazon.com/"), name
        assert each.source.on >= date(2026, 1, 1), name
        assert all(price > 0 for _, price in each.tiers), name


def test_tiers_charge_each_part_its_own_price() -> None:
    assert API_REQUESTS.of(0) == 0
    assert API_REQUESTS.of(333) == pytest.approx(333 * 3.5)
    assert API_REQUESTS.of(1333) == pytest.approx(333 * 3.5 + 667 * 2.8 + 333 * 2.38)
    assert API_REQUESTS.of(30_000) == pytest.approx(333 * 3.5 + 667 * 2.8 + 19_000 * 2.38 + 10_000 * 1.51)


def test_the_usual_month_is_near_the_designs_estimate() -> None:
    """The design counts 410 dollars, without the web ACL and the private network."""
    assert bill(around=Surroundings(web_acl=False, vpc=False)).total == pytest.approx(410, rel=0.1)


def test_a_bill_says_what_each_part_was_counted_from() -> None:
    found = bill()

    assert found.total == pytest.approx(sum(each.usd for each in found.items))
    assert found.per_million == pytest.approx(found.total / 15)
    assert all(each.usd > 0 and each.counted for each in found.items)


def test_what_is_switched_off_costs_nothing() -> None:
    names = {each.component for each in bill(around=Surroundings(web_acl=False, vpc=False)).items}

    assert not names & {"web ACL", "private network"}
    assert "stream (Kinesis)" not in {each.component for each in bill(replace(USUAL, burst_share=0)).items}


HOSTED = [
    Hosting(),
    Hosting(mode="multi-model"),
    Hosting(mode="asynchronous"),
    Hosting(mode="asynchronous", scale_to_zero=True),
    Hosting(mode="serverless", memory_mb=2048),
    Hosting(mode="lambda", memory_mb=1769),
]


def hosting_usd(hosting: Hosting, images: int = USUAL.images_per_day) -> float:
    workload = replace(USUAL, images_per_day=images)
    found = monthly(workload, plan(workload, hosting=hosting).provision)
    (item,) = (each for each in found.items if each.component.startswith(("endpoint", "models")))
    return item.usd


def test_each_way_of_hosting_has_a_bill_of_its_own() -> None:
    instances, several, awake, resting, serverless, functions = map(hosting_usd, HOSTED)

    assert instances == several == pytest.approx(2 * 730 * hourly_usd("ml.c7i.large"))
    # The images' way through S3 comes to instances that never rest.
    assert awake == pytest.approx(instances + 15 * (2 * 5.0 + 3 * 0.4))
    assert functions < serverless < instances < awake
    assert resting < awake


@pytest.mark.parametrize("hosting", HOSTED[3:], ids=lambda each: each.mode)
def test_what_rests_costs_next_to_nothing_without_work(hosting: Hosting) -> None:
    assert hosting_usd(hosting, images=100) < hosting_usd(HOSTED[0], images=100) / 30


def test_a_million_images_get_cheaper_as_there_are_more() -> None:
    prices = [each.bill.per_million for each in rungs()]

    assert prices == sorted(prices, reverse=True)


@settings(max_examples=40, deadline=None)
@given(images=some.integers(1_000, 10**8), more=some.floats(1, 10))
def test_more_images_never_cost_less(images: int, more: float) -> None:
    workload = replace(USUAL, images_per_day=images)
    # One plan for both: another size of machine may come to a little less.
    provision = plan(replace(USUAL, images_per_day=int(images * more))).provision
    larger = replace(USUAL, images_per_day=int(images * more))

    assert monthly(larger, provision).total >= monthly(workload, provision).total


def test_a_fleet_that_follows_the_load_costs_less_than_one_that_stands_at_its_peak() -> None:
    workload = replace(USUAL, images_per_day=50_000_000)
    provision = plan(workload).provision

    assert provision.instances * 24 < instance_hours(workload, provision) < provision.most_instances * 24
    assert instance_hours(USUAL, plan(USUAL).provision) == 48


def test_machines_and_requests_of_a_smoke_test_have_a_price() -> None:
    assert all(0 < hourly_usd(each) < 50 for each in known_instances())
    assert request_usd() == pytest.approx(7.7e-6, rel=0.01)
    with pytest.raises(UnknownPrice):
        monthly(USUAL, replace(plan(USUAL).provision, instance_type="ml.c9z.large"))
