"""The workload decides what nobody set, what is given wins, and quotas that are exceeded stop synthesis."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from planning.capacity import provision
from planning.hosting import LIMITS
from planning.monthly_cost import INTERFACES
from planning.prices import hourly_usd, request_usd
from stages.capacity_checks import applied, capacity, check_capacity
from stages.settings import ApiSettings, EnvironmentSettings, MonitoringSettings, SettingsError
from stages.settings_hosting import HostingSettings
from stages.settings_reader import parse_settings
from stages.sizing import SIZED
from stages.smoke_prices import smoke_prices

if TYPE_CHECKING:
    from tests.assembly import Assembly

ROOT = Path(__file__).resolve().parents[2]
LARGE = {"images_per_day": 5_000_000}
HUGE = {"images_per_day": 50_000_000}


def environment(**groups: Any) -> EnvironmentSettings:
    return EnvironmentSettings.model_validate(
        {"name": "dev", "account": "222222222222", "region": "us-east-1", **groups}
    )


def platform(**changes: Any) -> dict[str, Any]:
    return json.loads((ROOT / "tests" / "platform.json").read_text()) | changes


def test_without_any_setting_the_groups_have_their_defaults() -> None:
    """The defaults in the code and in the docs are what the usual workload comes to."""
    found = environment()

    assert (found.api, found.hosting, found.monitoring) == (
        ApiSettings(),
        HostingSettings(),
        MonitoringSettings(),
    )
    sized = {f"{group}.{name}" for group, names in SIZED.items() for name in names}
    assert set(found.derived) == sized - set(LIMITS.values())


def test_more_work_gets_more_of_everything() -> None:
    usual, large = environment(), environment(workload=LARGE)

    assert large.api.rate_per_second > usual.api.rate_per_second
    assert large.api.burst > usual.api.burst
    assert large.api.reserved_concurrency > usual.api.reserved_concurrency
    assert large.hosting.instance_count > usual.hosting.instance_count
    assert (large.hosting.max_instance_count or 0) > large.hosting.instance_count


def test_what_is_given_wins_and_is_not_called_derived() -> None:
    found = environment(workload=LARGE, api={"burst": 77}, hosting={"instance_type": "ml.m5.xlarge"})

    assert found.api.burst == 77
    assert found.hosting.instance_type == "ml.m5.xlarge"
    assert {"api.burst", "hosting.instance_type"}.isdisjoint(found.derived)
    assert "api.rate_per_second" in found.derived
    # What follows from it is sized for it: half as many machines of twice the size.
    assert found.hosting.instance_count == -(-environment(workload=LARGE).hosting.instance_count // 2)


def test_a_given_number_that_is_the_default_stays_as_it_is() -> None:
    found = environment(workload=LARGE, api={"rate_per_second": 75, "reserved_concurrency": 0})

    assert (found.api.rate_per_second, found.api.reserved_concurrency) == (75, 0)


def test_a_fleet_that_is_set_by_hand_scales_only_if_its_maximum_is_set() -> None:
    assert environment(workload=LARGE, hosting={"instance_count": 3}).hosting.max_instance_count is None
    assert environment(workload=LARGE, hosting={"max_instance_count": 4}).hosting.instance_count == 4
    both = environment(workload=LARGE, hosting={"instance_count": 3, "max_instance_count": 5}).hosting
    assert (both.instance_count, both.max_instance_count) == (3, 5)


def test_an_environment_may_have_less_work_than_the_platform() -> None:
    place = {"account": "222222222222", "region": "us-east-1"}
    quiet = {"name": "dev", "workload": {"images_per_day": 1000}, **place}
    settings = parse_settings(platform(workload=LARGE, environments=[quiet, {"name": "prod", **place}]))
    dev, prod = settings.environments

    assert (dev.workload.images_per_day, prod.workload.images_per_day) == (1000, 5_000_000)
    assert dev.api.rate_per_second < prod.api.rate_per_second


def test_a_stream_is_on_demand_until_its_consumers_need_more_shards() -> None:
    usual, huge = environment(), environment(workload=HUGE)

    assert usual.streaming.shards is None
    assert (huge.streaming.shards or 0) > 4
    assert huge.streaming.reserved_concurrency > usual.streaming.reserved_concurrency


SERVERLESS = {"mode": "serverless", "strategy": "all_at_once"}


@pytest.mark.parametrize("hosting", [SERVERLESS, {"mode": "lambda"}], ids=["serverless", "lambda"])
def test_what_has_no_instances_gets_no_numbers_of_them(hosting: dict[str, Any]) -> None:
    found = environment(workload=LARGE, hosting=hosting)

    assert found.hosting.max_instance_count is None
    assert {each for each in found.derived if each.startswith("hosting.")} <= {LIMITS["serverless"]}


def test_a_serverless_endpoint_lets_in_what_its_workload_needs_at_once() -> None:
    usual, large = environment(hosting=SERVERLESS), environment(workload=LARGE, hosting=SERVERLESS)

    assert usual.hosting.serverless_max_concurrency == HostingSettings().serverless_max_concurrency
    assert large.hosting.serverless_max_concurrency > usual.hosting.serverless_max_concurrency
    by_hand = environment(workload=LARGE, hosting={**SERVERLESS, "serverless_max_concurrency": 7})
    assert by_hand.hosting.serverless_max_concurrency == 7


def test_a_serverless_endpoint_lets_in_at_least_what_is_kept_warm() -> None:
    little = {"images_per_day": 1000, "simultaneous": 1}
    cold = environment(workload=little, hosting=SERVERLESS).hosting.serverless_max_concurrency
    warm = {**SERVERLESS, "serverless_provisioned_concurrency": cold + 3}

    assert environment(workload=little, hosting=warm).hosting.serverless_max_concurrency == cold + 3


def test_functions_that_serve_models_reserve_nothing_unless_asked() -> None:
    assert environment(workload=LARGE, hosting={"mode": "lambda"}).hosting.lambda_reserved_concurrency is None


def test_a_region_of_an_environment_keeps_what_was_derived() -> None:
    found = environment(workload=LARGE)

    assert found.in_region("us-east-1").api == found.api
    assert found.in_region("us-east-1").derived == found.derived


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ({"images_per_day": 0}, "workload.images_per_day"),
        ({"latency_p99_ms": 10}, "less than the model alone takes"),
        ({"daily_shape": "night"}, "workload.daily_shape"),
        ({"quotas": {"lambda-speed": 9}}, "there are api-burst, api-rate"),
        ({"colour": "red"}, "there is no such setting"),
    ],
)
def test_a_wrong_workload_is_told_where_and_why(group: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(platform(workload=group))
    assert words in str(caught.value)


def test_an_instance_type_of_unknown_size_is_named() -> None:
    with pytest.raises(SettingsError, match=r"hosting\.instance_type: how many vCPUs ml\.c7i\.metal"):
        parse_settings(platform(hosting={"instance_type": "ml.c7i.metal"}))


# ---- quotas at synthesis


def test_the_usual_workload_exceeds_no_quota() -> None:
    check_capacity(environment())


def test_a_quota_that_is_exceeded_is_named_with_need_default_and_cure() -> None:
    with pytest.raises(SettingsError) as caught:
        check_capacity(environment(workload=HUGE))

    said = str(caught.value)
    assert "environments.dev.workload: Lambda, executions at once: " in said
    assert "AWS's default is 1,000" in said
    assert "--quota-code L-B99A9384" in said
    assert 'workload.quotas: say here what the account has been given, such as {"lambda-concurrency":' in said
    assert "python -m ops capacity" in said


def test_a_quota_that_has_been_raised_is_no_obstacle_and_one_raised_too_little_is() -> None:
    given = {"lambda-concurrency": 4000, "lambda-scaling": 4000}
    check_capacity(environment(workload={**HUGE, "quotas": given}))

    with pytest.raises(SettingsError, match="the account has 2,000"):
        check_capacity(environment(workload={**HUGE, "quotas": {**given, "lambda-concurrency": 2000}}))


def test_settings_by_hand_count_against_quotas_too() -> None:
    with pytest.raises(SettingsError, match="Lambda, executions at once: 5,180"):
        check_capacity(environment(api={"reserved_concurrency": 5000}))


def test_a_workload_beyond_what_serverless_endpoints_do_at_once_is_named_with_another_mode() -> None:
    wanted = {**HUGE, "quotas": {"lambda-concurrency": 9000, "lambda-scaling": 9000}}
    with pytest.raises(SettingsError) as caught:
        check_capacity(environment(workload=wanted, hosting=SERVERLESS))

    said = str(caught.value)
    assert "SageMaker, requests at once of a serverless endpoint: " in said
    assert "It cannot be raised: choose another hosting.mode, such as lambda or real-time" in said
    check_capacity(environment(workload=wanted))


def test_functions_that_serve_models_count_against_the_accounts_executions() -> None:
    def needed(**hosting: Any) -> int:
        with pytest.raises(SettingsError) as caught:
            check_capacity(
                environment(workload={**LARGE, "quotas": {"lambda-concurrency": 1}}, hosting=hosting)
            )
        found = re.search(r'"lambda-concurrency": (\d+)', str(caught.value))
        assert found
        return int(found[1])

    on_instances = needed()
    assert needed(mode="lambda") > on_instances
    assert needed(mode="lambda", lambda_reserved_concurrency=500) == on_instances + 500


def test_synthesis_stops_at_an_exceeded_quota(tmp_path: Path) -> None:
    from tests.assembly import synthesize

    def grow(settings: dict[str, Any]) -> None:
        settings["workload"] = HUGE

    with pytest.raises(SettingsError, match="lambda-concurrency"):
        synthesize(tmp_path, change=grow)


# ---- what applies


def test_what_applies_is_the_settings_and_the_plan_where_there_is_none() -> None:
    found = applied(environment(workload=LARGE, api={"burst": 77}))

    assert found["api.burst"] == 77
    assert found["tables.mode"] == "on-demand"
    assert provision(found).api_burst == 77
    assert capacity(environment(workload=LARGE, api={"burst": 77}))["api.burst"].value != 77


def test_the_templates_have_what_was_derived(assembly: Assembly) -> None:
    stage = assembly.only("AWS::ApiGateway::Stage", stack="dev-inference").properties
    (throttle,) = (each for each in stage["MethodSettings"] if "ThrottlingRateLimit" in each)
    usual = environment().api

    assert throttle["ThrottlingRateLimit"] == usual.rate_per_second
    assert throttle["ThrottlingBurstLimit"] == usual.burst


def test_the_bill_counts_the_interface_endpoints_that_the_templates_have(assembly: Assembly) -> None:
    endpoints = assembly.resources("AWS::EC2::VPCEndpoint", stack="dev-foundation")
    interfaces = [each for each in endpoints if each.properties.get("VpcEndpointType") == "Interface"]

    assert len(interfaces) == INTERFACES, "planning/monthly_cost.py: INTERFACES"


def test_a_smoke_test_is_told_the_prices_of_its_machines() -> None:
    found = smoke_prices(environment())

    assert float(found["TRAINING_USD_AN_HOUR"]) == hourly_usd("ml.c7i.xlarge")
    assert float(found["HOSTING_USD_AN_HOUR"]) == hourly_usd("ml.c7i.large")
    assert float(found["REQUEST_USD"]) == pytest.approx(request_usd(), rel=0.001)
    on_functions = smoke_prices(environment(hosting={"mode": "lambda"}))
    assert float(on_functions["HOSTING_USD_AN_HOUR"]) == pytest.approx(0.083, abs=0.001)
    with pytest.raises(SettingsError, match=r"dev\.hosting\.instance_type: what ml\.c9z\.large costs"):
        smoke_prices(environment(hosting={"instance_type": "ml.c9z.large"}))
