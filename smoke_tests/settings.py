"""What a smoke run is told by its environment variables, typed, each wrong one named with its cure."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

_STACK_OUTPUT = "an output of the environment's stacks (the pipeline sets it; elsewhere: export {name}=...)"
_ARN = r"arn:aws[a-z-]*:{service}:{region}:[0-9]{{12}}:{resource}"
_PRICED = ", in US dollars (the pipeline sets it from planning/prices.py)"
_CHAMPION_SUFFIX, _SMOKE_SUFFIX = "-champion", "-smoke"


class SettingsError(ValueError):
    """One or more variables are missing or wrong; `str()` is the list to show, one line each."""


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http"} or not parts.netloc:
        raise ValueError(
            "must be the API's base address, such as https://<id>.execute-api.<region>.amazonaws.com/v/"
        )
    return value.rstrip("/") + "/"


def _arn(service: str, resource: str, region: str = "[a-z0-9-]+") -> str:
    return "^" + _ARN.format(service=service, region=region, resource=resource) + "$"


_Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
_LogGroup = Annotated[str, Field(pattern=r"^[A-Za-z0-9_/.#-]{1,512}$")]
_Price = Annotated[float, Field(ge=0)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$")]


class Settings(BaseModel):
    """Everything one smoke run needs to know; the alias of a field is its environment variable."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    environment: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,30}$")] = Field(
        alias="ENVIRONMENT", description="the environment's name as in the settings, such as dev"
    )
    role_arn: Annotated[str, Field(pattern=_arn("iam", "role/.+", region=""))] = Field(
        alias="SMOKE_ROLE_ARN",
        description="the role {platform}-{environment}-smoke in the environment's account",
    )
    api_url: Annotated[str, AfterValidator(_url)] = Field(alias="API_URL", description=_STACK_OUTPUT)
    state_machine_arn: Annotated[str, Field(pattern=_arn("states", "stateMachine:.+"))] = Field(
        alias="STATE_MACHINE_ARN", description=_STACK_OUTPUT
    )
    promotion_machine_arn: Annotated[str, Field(pattern=_arn("states", "stateMachine:.+"))] = Field(
        alias="PROMOTION_MACHINE_ARN", description=_STACK_OUTPUT
    )
    datasets_bucket: _Bucket = Field(alias="DATASETS_BUCKET", description=_STACK_OUTPUT)
    artifacts_bucket: _Bucket = Field(alias="ARTIFACTS_BUCKET", description=_STACK_OUTPUT)
    uploads_bucket: _Bucket = Field(alias="UPLOADS_BUCKET", description=_STACK_OUTPUT)
    lineage_table: _Name = Field(alias="LINEAGE_TABLE", description=_STACK_OUTPUT)
    endpoint_name: _Name = Field(alias="SMOKE_ENDPOINT_NAME", description=_STACK_OUTPUT)
    model_package_group: _Name = Field(alias="SMOKE_MODEL_PACKAGE_GROUP", description=_STACK_OUTPUT)

    predict_log_group: _LogGroup = Field(alias="PREDICT_LOG_GROUP", description=_STACK_OUTPUT)
    workflow_log_group: _LogGroup = Field(
        alias="WORKFLOW_LOG_GROUP", description="the log group of the training workflow's executions"
    )
    training_instance_type: str = Field(
        alias="TRAINING_INSTANCE_TYPE", description="what training must run on, by the settings"
    )
    training_usd_an_hour: _Price = Field(
        alias="TRAINING_USD_AN_HOUR", description="price of training's machine" + _PRICED
    )
    evaluation_usd_an_hour: _Price = Field(
        alias="EVALUATION_USD_AN_HOUR", description="price of evaluation's machine" + _PRICED
    )
    hosting_usd_an_hour: _Price = Field(
        alias="HOSTING_USD_AN_HOUR", description="price of one machine of the endpoint" + _PRICED
    )
    request_usd: _Price = Field(alias="REQUEST_USD", description="price of one request of the API" + _PRICED)

    champion_endpoint: str = Field(
        "",
        alias="CHAMPION_ENDPOINT_NAME",
        description="the champion's endpoint, when it is not named {platform}-{env}-champion",
    )
    model_function: str = Field(
        "",
        alias="SMOKE_MODEL_FUNCTION",
        description="the function that serves the smoke model; empty where an endpoint does",
    )
    prices_of: str = Field(
        "prices that this run was given", alias="PRICES_OF", description="where the prices are from, and when"
    )
    reports_bucket: str = Field(
        "", alias="REPORTS_BUCKET", description="where the report is kept; empty: only on this machine"
    )
    pipeline_execution_id: str = Field(
        "",
        alias="PIPELINE_EXECUTION_ID",
        description="the pipeline execution that this run belongs to; empty on a laptop",
    )
    min_accuracy: Annotated[float, Field(ge=0, le=1)] = Field(
        0.95, alias="SMOKE_MIN_ACCURACY", description="lowest accepted accuracy on the holdout, 0 to 1"
    )
    timeout_seconds: Annotated[int, Field(ge=60, le=8 * 3600)] = Field(
        1800,
        alias="SMOKE_TIMEOUT_SECONDS",
        description="time budget of the whole run, clean-up included, in seconds",
    )
    max_cost_usd: Annotated[float, Field(gt=0)] = Field(
        2.0,
        alias="SMOKE_MAX_COST_USD",
        description="what a run may cost at most, in US dollars; one that could cost more is not started, "
        "one that lasts too long is stopped",
    )
    images: Annotated[int, Field(ge=100, le=100_000)] = Field(
        1000, alias="SMOKE_IMAGES", description="how many sample images the training run gets"
    )
    take_over: bool | None = Field(
        None,
        alias="SMOKE_TAKE_OVER",
        description="yes: stop and sweep another smoke run that is in the way; default: yes in the pipeline",
    )
    commit: str = Field(
        "", alias="CODEBUILD_RESOLVED_SOURCE_VERSION", description="the commit under test; CodeBuild sets it"
    )
    build_id: str = Field(
        "", alias="CODEBUILD_BUILD_ID", description="the build that runs this; CodeBuild sets it"
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from `environ`; empty variables count as missing.

        Raises:
            SettingsError: naming every missing or wrong variable with its cure.
        """
        given: dict[str, Any] = {name: value.strip() for name, value in environ.items() if value.strip()}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            lines = [cls._explain(str(item["loc"][0]), item["type"], item["msg"]) for item in error.errors()]
            raise SettingsError("\n".join(lines)) from None

    @classmethod
    def variables(cls) -> list[tuple[str, bool, str]]:
        """Every variable as (name, required, meaning), in the order of declaration."""
        return [
            (
                str(field.alias),
                field.is_required(),
                (field.description or "").format_map(_Named(name=str(field.alias))),
            )
            for field in cls.model_fields.values()
        ]

    @classmethod
    def _explain(cls, name: str, kind: str, message: str) -> str:
        meaning = next((text for variable, _, text in cls.variables() if variable == name), "")
        if kind == "missing":
            return f"{name} is not set: {meaning}"
        return f"{name} is wrong: {re.sub('^Value error, ', '', message)} ({meaning})"

    @property
    def region(self) -> str:
        """The environment's region, which may differ from the region of the build that runs the tests."""
        return self.state_machine_arn.split(":")[3]

    @property
    def account(self) -> str:
        """The environment's account."""
        return self.state_machine_arn.split(":")[4]

    @property
    def champion_endpoint_name(self) -> str:
        """The endpoint that must stay untouched."""
        return self.champion_endpoint or self.endpoint_name.removesuffix(_SMOKE_SUFFIX) + _CHAMPION_SUFFIX

    @property
    def takes_over(self) -> bool:
        """Whether another smoke run that holds the environment may be ended.

        The pipeline runs one smoke test per environment at a time, so whatever it finds is the rest of a
        killed build; a person at a laptop may meet a run that is alive.
        """
        return bool(self.pipeline_execution_id) if self.take_over is None else self.take_over

    @property
    def report_prefix(self) -> str:
        """Key prefix of the kept report; `{run_id}` stands in it where there is no pipeline execution."""
        return f"smoke/{self.pipeline_execution_id or 'local-{run_id}'}/{self.environment}/"


class _Named(dict[str, str]):
    """Formats `{name}` and leaves every other pair of braces as it is."""

    def __missing__(self, key: str) -> str:
        return "{" + key + "}"
