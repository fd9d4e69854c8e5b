"""Settings come from environment variables; whatever is missing or wrong names itself and its cure."""

import pytest

from smoke_tests.settings import Settings, SettingsError

REQUIRED = [
    "ENVIRONMENT",
    "SMOKE_ROLE_ARN",
    "API_URL",
    "STATE_MACHINE_ARN",
    "PROMOTION_MACHINE_ARN",
    "DATASETS_BUCKET",
    "ARTIFACTS_BUCKET",
    "UPLOADS_BUCKET",
    "LINEAGE_TABLE",
    "SMOKE_ENDPOINT_NAME",
    "SMOKE_MODEL_PACKAGE_GROUP",
    "PREDICT_LOG_GROUP",
    "WORKFLOW_LOG_GROUP",
    "TRAINING_INSTANCE_TYPE",
    "TRAINING_USD_AN_HOUR",
    "EVALUATION_USD_AN_HOUR",
    "HOSTING_USD_AN_HOUR",
    "REQUEST_USD",
]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_variable_names_itself_and_where_it_comes_from(
    environment: dict[str, str], name: str
) -> None:
    del environment[name]
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment)
    assert str(caught.value).startswith(f"{name} is not set: ")
    assert len(str(caught.value)) > len(f"{name} is not set: ") + 20


def test_every_missing_variable_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment({"API_URL": "  "})
    assert [line.split()[0] for line in str(caught.value).splitlines()] == REQUIRED


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("API_URL", "abc123.execute-api.us-east-1.amazonaws.com", "https://"),
        ("SMOKE_ROLE_ARN", "vision-dev-smoke", "SMOKE_ROLE_ARN is wrong"),
        ("STATE_MACHINE_ARN", "arn:aws:states:us-east-1:22:stateMachine:x", "STATE_MACHINE_ARN is wrong"),
        ("SMOKE_MIN_ACCURACY", "95", "less than or equal to 1"),
        ("SMOKE_TIMEOUT_SECONDS", "soon", "integer"),
        ("SMOKE_IMAGES", "3", "greater than or equal to 100"),
        ("DATASETS_BUCKET", "s3://datasets", "DATASETS_BUCKET is wrong"),
        ("SMOKE_TAKE_OVER", "perhaps", "SMOKE_TAKE_OVER is wrong"),
        ("HOSTING_USD_AN_HOUR", "unknown", "HOSTING_USD_AN_HOUR is wrong"),
    ],
)
def test_a_wrong_value_names_its_variable(
    environment: dict[str, str], name: str, value: str, words: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.from_environment(environment | {name: value})
    assert name in str(caught.value) and words in str(caught.value)


def test_region_account_and_champion_follow_from_what_is_given(environment: dict[str, str]) -> None:
    settings = Settings.from_environment(environment)
    assert (settings.region, settings.account) == ("us-east-1", "222222222222")
    assert settings.champion_endpoint_name == "vision-dev-champion"
    assert (
        Settings.from_environment(environment | {"CHAMPION_ENDPOINT_NAME": "x"}).champion_endpoint_name == "x"
    )


def test_the_apis_address_may_end_in_a_slash_or_not(environment: dict[str, str]) -> None:
    with_slash = Settings.from_environment(environment)
    without = Settings.from_environment(environment | {"API_URL": environment["API_URL"].rstrip("/")})
    assert with_slash.api_url == without.api_url


def test_only_the_pipeline_takes_an_environment_over_unasked(environment: dict[str, str]) -> None:
    in_pipeline = environment | {"PIPELINE_EXECUTION_ID": "e-1"}
    assert not Settings.from_environment(environment).takes_over
    assert Settings.from_environment(in_pipeline).takes_over
    assert not Settings.from_environment(in_pipeline | {"SMOKE_TAKE_OVER": "no"}).takes_over
