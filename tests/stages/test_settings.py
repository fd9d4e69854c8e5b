"""Settings: what is accepted, what is inherited, and what a wrong setting is told."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from stages.settings import PlatformSettings, SettingsError
from stages.settings_delivery import DeliverySettings, SmokeSettings, TriggerSettings
from stages.settings_reader import parse_settings, read_context

CONNECTION = "arn:aws:codeconnections:us-east-1:111111111111:connection/0000"
VALID: dict[str, Any] = {
    "name": "vision",
    "source": {"repository": "acme/vision", "connection_arn": CONNECTION},
    "tooling": {"account": "111111111111", "region": "us-east-1"},
    "environments": [
        {"name": "dev", "account": "222222222222", "region": "us-east-1"},
        {"name": "prod", "account": "444444444444", "region": "eu-west-1", "approval": True},
    ],
}


def parse(**changes: Any) -> PlatformSettings:
    return parse_settings(copy.deepcopy(VALID) | changes)


def environments(**changes: Any) -> list[dict[str, Any]]:
    """The valid environments, the first one changed."""
    first, *others = copy.deepcopy(VALID["environments"])
    return [first | changes, *others]


def test_environments_keep_the_order_in_which_they_are_delivered() -> None:
    assert [each.name for each in parse().environments] == ["dev", "prod"]


def test_an_environment_inherits_what_it_does_not_set_itself() -> None:
    settings = parse(
        monitoring={"api_p99_latency_ms": 900, "failed_trainings": 3},
        environments=environments(monitoring={"failed_trainings": 1}),
    )
    dev, prod = settings.environments
    assert (dev.monitoring.api_p99_latency_ms, dev.monitoring.failed_trainings) == (900, 1)
    assert (prod.monitoring.api_p99_latency_ms, prod.monitoring.failed_trainings) == (900, 3)


def test_one_account_for_everything_is_accepted() -> None:
    place = {"account": "222222222222", "region": "us-east-1"}
    settings = parse(tooling=place, environments=[{"name": "dev"} | place, {"name": "prod"} | place])
    assert {each.account for each in settings.environments} == {settings.tooling.account}


def test_settings_cannot_be_changed_after_they_were_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        parse().name = "other"  # pyright: ignore[reportAttributeAccessIssue]


MANY_REGIONS = ["us-east-1", "us-east-2", "us-west-1", "us-west-2", "eu-west-1"]
WRONG = {
    "unknown key": ({"trainign": {}}, "trainign: there is no such setting"),
    "unknown key in an environment": (
        {"environments": environments(aproval=True)},
        "environments.dev.aproval: there is no such setting",
    ),
    "unknown key in an inherited group": (
        {"gate": {"accuracy": 1}},
        "gate.accuracy: there is no such setting",
    ),
    "account too short": (
        {"environments": environments(account="2222")},
        "environments.dev.account: '2222' is not an AWS account number; write its 12 digits as a string",
    ),
    "account as a number": (
        {"environments": environments(account=222222222222)},
        "environments.dev.account: 222222222222 is not an AWS account number; write",
    ),
    "region": (
        {"tooling": {"account": "111111111111", "region": "us-east"}},
        "tooling.region: 'us-east' is not an AWS region such as us-east-1",
    ),
    "number that is text": (
        {"monitoring": {"api_p99_latency_ms": "fast"}},
        "monitoring.api_p99_latency_ms: input should be a valid integer",
    ),
    "number out of bounds": ({"gate": {"min_accuracy": 95}}, "gate.min_accuracy: input should be less than"),
    "same name twice": (
        {"environments": environments(name="prod")},
        "environments: prod is listed twice; give each environment a name of its own",
    ),
    "no environments": ({"environments": []}, "environments: list at least one environment"),
    "name that AWS refuses": ({"name": "Vision_1"}, "name: 'Vision_1' is not a name"),
    "source without its connection": (
        {"source": {"kind": "connection", "repository": "acme/vision"}},
        "source: kind 'connection' needs connection_arn",
    ),
    "S3 source without a key": (
        {"source": {"kind": "s3", "bucket": "commits"}},
        "source: kind 's3' needs key",
    ),
    "Graviton": ({"hosting": {"instance_type": "ml.c7g.large"}}, "choose an x86 type such as ml.c7i.large"),
    "canary of one instance": (
        {"hosting": {"instance_count": 1}},
        "strategy 'canary' needs an instance_count of at least 2",
    ),
    "serverless endpoint with guardrails": (
        {"hosting": {"mode": "serverless"}},
        "strategy 'canary' needs deployment guardrails, which SageMaker has for instances only: give "
        "'all_at_once' with mode 'serverless'",
    ),
    "serverless endpoint that scales its instances": (
        {"hosting": {"mode": "serverless", "strategy": "all_at_once", "max_instance_count": 4}},
        "max_instance_count has no meaning with mode 'serverless'",
    ),
    "latency target of an endpoint that does not scale": (
        {"hosting": {"target_latency_ms": 100}},
        "target_latency_ms (100) needs max_instance_count",
    ),
    "more kept warm than may answer": (
        {
            "hosting": {
                "mode": "serverless",
                "strategy": "all_at_once",
                "serverless_max_concurrency": 2,
                "serverless_provisioned_concurrency": 3,
            }
        },
        "serverless_provisioned_concurrency (3) is more than serverless_max_concurrency (2)",
    ),
    "asynchronous endpoint that scales by latency": (
        {"hosting": {"mode": "asynchronous", "max_instance_count": 3, "target_latency_ms": 100}},
        "target_latency_ms has no meaning with mode 'asynchronous', which scales by what waits",
    ),
    "multi-model endpoint for models that lie elsewhere": (
        {
            "environments": [
                *environments()[:1],
                environments()[1] | {"models_from": "dev", "hosting": {"mode": "multi-model"}},
            ]
        },
        "hosting.mode 'multi-model' loads models from this environment's own bucket, and models_from "
        "promotes those of 'dev'",
    ),
    "warm environments without the mode": (
        {"hosting": {"serverless_provisioned_concurrency": 1}},
        "serverless_provisioned_concurrency is of mode 'serverless', and mode is 'real-time'",
    ),
    "functions for models that lie elsewhere": (
        {
            "environments": [
                *environments()[:1],
                environments()[1] | {"models_from": "dev", "hosting": {"mode": "lambda"}},
            ]
        },
        "hosting.mode 'lambda' loads models from this environment's own bucket, and models_from "
        "promotes those of 'dev'",
    ),
    "functions that scale instances": (
        {"hosting": {"mode": "lambda", "max_instance_count": 4}},
        "max_instance_count has no meaning with mode 'lambda', which scales by itself up to "
        "lambda_reserved_concurrency",
    ),
    "functions that aim at a latency": (
        {"hosting": {"mode": "lambda", "target_latency_ms": 100}},
        "target_latency_ms has no meaning with mode 'lambda'",
    ),
    "warm environments of functions": (
        {"hosting": {"mode": "lambda", "serverless_provisioned_concurrency": 1}},
        "serverless_provisioned_concurrency is of mode 'serverless', and mode is 'lambda'",
    ),
    "functions' executions without functions": (
        {"hosting": {"lambda_reserved_concurrency": 10}},
        "lambda_reserved_concurrency is of mode 'lambda', and mode is 'real-time': take it out",
    ),
    "function with less memory than a model takes": (
        {"hosting": {"mode": "lambda", "lambda_memory_mb": 256}},
        "hosting.lambda_memory_mb",
    ),
    "hosting mode that is none": (
        {"hosting": {"mode": "batch"}},
        "hosting.mode: input should be 'real-time'",
    ),
    "log retention that CloudWatch has not": ({"retention": {"log_days": 31}}, "retention.log_days"),
    "hyperparameter of script mode": (
        {"training": {"hyperparameters": {"sagemaker_program": "x.py"}}},
        "sagemaker_program belong to script mode; take them out",
    ),
    "region and regions": (
        {"environments": environments(regions=["us-east-1", "eu-west-1"])},
        "environments.dev: give region, or regions for several, and not both",
    ),
    "no region": (
        {"environments": [{"name": "dev", "account": "222222222222"}]},
        "environments.dev.region: is missing",
    ),
    "no regions": (
        {"environments": [{"name": "dev", "account": "222222222222", "regions": []}]},
        "environments.dev.regions: list at least one region",
    ),
    "region twice": (
        {"environments": [{"name": "dev", "account": "222222222222", "regions": ["us-east-1"] * 2}]},
        "environments.dev.regions: us-east-1 is listed twice; take one out",
    ),
    "more regions than a stage of the pipeline can deploy": (
        {"environments": [{"name": "dev", "account": "222222222222", "regions": MANY_REGIONS}]},
        "environments.dev.regions: one stage of the pipeline deploys at most 3 regions; list the others",
    ),
    "wrong region": (
        {"environments": environments(region="nowhere")},
        "environments.dev.region: 'nowhere' is not an AWS region such as us-east-1",
    ),
    "wrong region among several": (
        {"environments": [{"name": "dev", "account": "222222222222", "regions": ["us-east-1", "x"]}]},
        "environments.dev.regions.1: 'x' is not an AWS region such as us-east-1",
    ),
    "name of a stage of the pipeline": (
        {"environments": environments(name="review")},
        "name: is a name of the pipeline itself; choose another (it is 'review')",
    ),
    "triggers of an S3 source": (
        {"source": {"kind": "s3", "bucket": "commits", "key": "main.zip", "triggers": {"branches": ["x"]}}},
        "source: kind 's3' has no triggers: every new version of the zip is delivered; take them out",
    ),
    "too many patterns": (
        {
            "source": VALID["source"]
            | {"triggers": {"exclude_paths": [f"{number}/**" for number in range(9)]}}
        },
        "source.triggers.exclude_paths: tuple should have at most 8 items",
    ),
    "address that is none": (
        {"delivery": {"emails": ["team"]}},
        "delivery.emails.0: 'team' is not an e-mail address",
    ),
    "approval that waits for longer than CodePipeline lets it": (
        {"delivery": {"approval_timeout_hours": 2000}},
        "delivery.approval_timeout_hours: input should be less than or equal to 1440",
    ),
    "smoke test longer than its role can be held": (
        {"smoke": {"timeout_seconds": 7200}},
        "smoke.timeout_seconds: input should be less than or equal to 6600",
    ),
    "smoke test without a budget": ({"smoke": {"max_cost_usd": 0}}, "smoke.max_cost_usd: input should be gr"),
    "group that is none": ({"hosting": 3}, "hosting: must be a group of settings, {...} (it is 3)"),
}


def test_several_regions_have_a_home_and_a_view_of_each() -> None:
    several = {"name": "prod", "account": "444444444444", "regions": ["eu-west-1", "us-east-1"]}
    prod = parse(environments=[several]).environment("prod")
    assert (prod.region, prod.regions) == ("eu-west-1", ("eu-west-1", "us-east-1"))
    assert prod.in_region("us-east-1").region == "us-east-1"
    with pytest.raises(SettingsError, match=r"environments\.prod\.regions: it is not in ap-south-1"):
        prod.in_region("ap-south-1")


def test_one_region_is_several_with_one() -> None:
    assert parse().environment("dev").regions == ("us-east-1",)


def test_environments_inherit_the_smoke_tests_budget() -> None:
    settings = parse(smoke={"images": 300}, environments=environments(smoke={"max_cost_usd": 5}))
    dev, prod = (each.smoke for each in settings.environments)
    assert (dev.images, dev.max_cost_usd) == (300, 5)
    assert (prod.images, prod.max_cost_usd) == (300, 2)


def test_pushes_of_documents_alone_start_nothing_by_default() -> None:
    assert parse().source.triggers.exclude_paths == ("docs/**", "*.md", "**/*.md")


@pytest.mark.parametrize("group", [DeliverySettings, SmokeSettings, TriggerSettings])
def test_settings_of_the_delivery_say_what_they_are_for(group: type[BaseModel]) -> None:
    assert [name for name, field in group.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_setting_names_itself_and_the_cure(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(**changes)
    assert message in str(caught.value)


def test_what_environments_inherit_is_named_once_and_where_it_stands() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(hosting={"instance_count": 0})
    assert str(caught.value).count("\n") == 0
    assert str(caught.value).startswith("hosting.instance_count:")


def test_every_fault_is_told_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        parse(name="X", gate={"min_accuracy": 2}, environments=environments(region="nowhere"))
    assert len(str(caught.value).splitlines()) == 3


def test_missing_settings_are_named() -> None:
    without_source = {key: value for key, value in VALID.items() if key != "source"}
    with pytest.raises(SettingsError, match=r"source: is missing; add it to context\.platform in cdk\.json"):
        parse_settings(without_source)
    with pytest.raises(SettingsError, match="platform: must be an object"):
        parse_settings(None)


def test_an_unknown_environment_is_answered_with_those_that_exist() -> None:
    with pytest.raises(SettingsError, match=r"no 'test' in the settings \(there are: dev, prod\)"):
        parse().environment("test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cdk.json: is missing"),
        ("{", "cdk.json: is not valid JSON: .* at line 1, column 2"),
        ("{}", "cdk.json: has no object 'context'"),
        (json.dumps({"context": []}), "cdk.json: has no object 'context'"),
    ],
)
def test_an_unreadable_cdk_json_is_told_in_plain_words(
    tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "cdk.json").write_text(content)
    with pytest.raises(SettingsError, match=message):
        read_context(tmp_path)


def test_names_fit_into_what_sagemaker_allows() -> None:
    settings = parse(name="v" * 15, environments=environments(name="e" * 12))
    longest = f"{settings.name}-{settings.environments[0].name}-champion-{'r' * 25}"
    assert len(longest) <= 63
