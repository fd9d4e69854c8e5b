"""The platform's settings: the typed and validated form of the context key `platform` in cdk.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, PrivateAttr, computed_field, field_validator, model_validator

from stages.settings_api import ApiSettings
from stages.settings_delivery import DeliverySettings, SmokeSettings, SourceSettings
from stages.settings_fields import (
    AccountId,
    Email,
    Group,
    LogDays,
    PlaceSettings,
    Region,
    Zone,
)
from stages.settings_hosting import HostingSettings
from stages.settings_models import (
    GateSettings,
    PreprocessingSettings,
    QualitySettings,
    TrainingSettings,
    TuningSettings,
)
from stages.settings_streaming import StreamingSettings
from stages.settings_workload import WorkloadSettings
from stages.sizing import SIZED, derived

# Stages of the pipeline itself; and `delivery`, whose names the pipeline's own stacks and keys bear.
_RESERVED = ("source", "build", "updatepipeline", "assets", "review", "confirm", "delivery")
# A stage of CodePipeline holds 50 actions; a region takes fifteen where its change sets are reviewed.
_MOST_REGIONS = 3


class SettingsError(Exception):
    """The settings are wrong; the message names every key that is, its value and the cure."""


class MonitoringSettings(Group):
    """Alarm thresholds (the service level objectives) and who is told."""

    api_5xx_percent: Annotated[float, Field(gt=0, le=100)] = 1.0
    api_p99_latency_ms: Annotated[int, Field(ge=10, le=29000)] = 2000
    function_errors: Annotated[int, Field(ge=1)] = 1
    failed_trainings: Annotated[int, Field(ge=1)] = 1
    period_minutes: Annotated[int, Field(ge=1, le=60)] = 5
    evaluation_periods: Annotated[int, Field(ge=1, le=12)] = 2
    emails: tuple[Email, ...] = ()
    runbook_url: Annotated[str, Field(pattern=r"^https://\S+$")] | None = None


class NetworkSettings(Group):
    """Whether jobs and functions run in isolated subnets that the platform creates, and where."""

    vpc: bool = True
    cidr: Annotated[str, Field(pattern=r"^\d{1,3}(\.\d{1,3}){3}/(1[6-9]|2[0-4])$")] = "10.40.0.0/16"
    # Letters of the zones inside the region. Settings, not a lookup: synthesis calls no AWS API.
    zones: Annotated[tuple[Zone, ...], Field(min_length=2, max_length=3)] = ("a", "b")


class RetentionSettings(Group):
    """How long each class of data is kept, in days."""

    log_days: LogDays = 365
    access_log_days: Annotated[int, Field(ge=30)] = 400
    prediction_days: Annotated[int, Field(ge=1)] = 90
    superseded_version_days: Annotated[int, Field(ge=1)] = 90
    intermediate_days: Annotated[int, Field(ge=1)] = 30
    infrequent_access_days: Annotated[int, Field(ge=30)] = 90
    smoke_days: Annotated[int, Field(ge=1)] = 7
    report_days: Annotated[int, Field(ge=1)] = 400
    backup_days: Annotated[int, Field(ge=1)] = 35
    # Images of the burst path, what came of them for `GET /v1/predictions/{id}`, and that in the lake.
    upload_days: Annotated[int, Field(ge=1)] = 7
    result_days: Annotated[int, Field(ge=1)] = 7
    answer_days: Annotated[int, Field(ge=1)] = 400


class SafeguardSettings(Group):
    """What guards an environment and costs by the hour or month; a sandbox may do without."""

    # AWS WAF with Amazon's managed rules in front of the API: about 9 dollars a month, and 0.60 per million.
    web_acl: bool = True
    # Daily copies of the lineage table by AWS Backup.
    backups: bool = True


class EnvironmentSettings(Group):
    """One environment: its places, its gate, and what it sets differently from the platform.

    Where it is: `region`, or `regions` for several that are deployed side by side; the first is its home.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{1,11}$")]
    account: AccountId
    regions: tuple[Region, ...]
    approval: bool = False
    protected: bool = False
    network: NetworkSettings = NetworkSettings()
    preprocessing: PreprocessingSettings = PreprocessingSettings()
    training: TrainingSettings = TrainingSettings()
    tuning: TuningSettings = TuningSettings()
    gate: GateSettings = GateSettings()
    hosting: HostingSettings = HostingSettings()
    quality: QualitySettings = QualitySettings()
    # The environment before this one whose approved models may be promoted here, instead of its own.
    models_from: str | None = None
    api: ApiSettings = ApiSettings()
    streaming: StreamingSettings = StreamingSettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    retention: RetentionSettings = RetentionSettings()
    safeguards: SafeguardSettings = SafeguardSettings()
    smoke: SmokeSettings = SmokeSettings()
    workload: WorkloadSettings = WorkloadSettings()
    _derived: tuple[str, ...] = PrivateAttr(default=())

    @computed_field
    @property
    def derived(self) -> tuple[str, ...]:
        """The settings that nobody has set and that follow from the workload, such as `api.burst`."""
        return self._derived

    @model_validator(mode="after")
    def _follows_its_workload(self) -> EnvironmentSettings:
        try:
            found = derived(self.workload, {name: getattr(self, name) for name in SIZED})
        except LookupError as unknown:
            raise ValueError(f"hosting.instance_type: {unknown}") from unknown
        for name in SIZED:
            own = {key.partition(".")[2]: value for key, value in found.items() if key.startswith(f"{name}.")}
            # Frozen for its readers; this is still its making.
            object.__setattr__(self, name, getattr(self, name).model_copy(update=own))
        self._derived = tuple(found)
        return self

    @model_validator(mode="before")
    @classmethod
    def _one_region_is_a_list_of_one(cls, data: Any) -> Any:
        if not isinstance(data, dict) or "region" not in data:
            return data
        if "regions" in data:
            raise ValueError("give region, or regions for several, and not both")
        return {key: value for key, value in data.items() if key != "region"} | {"regions": [data["region"]]}

    @model_validator(mode="after")
    def _serves_models_where_they_lie(self) -> EnvironmentSettings:
        if self.hosting.mode in ("multi-model", "lambda") and self.models_from is not None:
            raise ValueError(
                f"hosting.mode '{self.hosting.mode}' loads models from this environment's own bucket, and "
                f"models_from promotes those of '{self.models_from}': choose another mode, or take "
                "models_from out"
            )
        return self

    @field_validator("name")
    @classmethod
    def _leaves_the_pipelines_own_names(cls, value: str) -> str:
        if value in _RESERVED:
            raise ValueError("is a name of the pipeline itself; choose another")
        return value

    @field_validator("regions")
    @classmethod
    def _regions_are_some_and_distinct(cls, value: tuple[Region, ...]) -> tuple[Region, ...]:
        if not value:
            raise ValueError("list at least one region")
        twice = _repeated(value)
        if twice:
            raise ValueError(f"{', '.join(twice)} is listed twice; take one out")
        if len(value) > _MOST_REGIONS:
            raise ValueError(
                f"one stage of the pipeline deploys at most {_MOST_REGIONS} regions; "
                "list the others in an environment of their own"
            )
        return value

    @property
    def region(self) -> str:
        """The home region: the first, or the one that this view is of."""
        return self.regions[0]

    def in_region(self, region: str) -> EnvironmentSettings:
        """The environment as it is in one of its regions. Raises SettingsError when it is not there."""
        if region not in self.regions:
            raise SettingsError(f"environments.{self.name}.regions: it is not in {region}")
        return self.model_copy(update={"regions": (region,)})


# What the platform sets once and an environment may set again, key by key.
_SHARED_GROUPS = (
    "network",
    "preprocessing",
    "training",
    "tuning",
    "gate",
    "hosting",
    "quality",
    "api",
    "streaming",
    "monitoring",
    "retention",
    "safeguards",
    "smoke",
    "workload",
)


class PlatformSettings(Group):
    """Everything a team decides about its platform. Environments are delivered in the order of the list."""

    # <name>-<environment>-<line>-<run id> must fit into the 63 characters of a SageMaker name.
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,13}[a-z0-9]$")]
    source: SourceSettings
    tooling: PlaceSettings
    environments: tuple[EnvironmentSettings, ...]
    retention: RetentionSettings = RetentionSettings()
    delivery: DeliverySettings = DeliverySettings()

    @model_validator(mode="before")
    @classmethod
    def _environments_inherit(cls, data: Any) -> Any:
        """Lay each environment's own groups over the platform's, so that a difference is all it states."""
        if not isinstance(data, dict) or not isinstance(data.get("environments"), list | tuple):
            return data
        shared = {group: data[group] for group in _SHARED_GROUPS if group in data}
        kept = {key: value for key, value in data.items() if key not in shared or key == "retention"}
        kept["environments"] = [
            _overlaid(shared, environment) if isinstance(environment, dict) else environment
            for environment in data["environments"]
        ]
        return kept

    @field_validator("environments")
    @classmethod
    def _environments_are_some_and_distinct(
        cls, value: tuple[EnvironmentSettings, ...]
    ) -> tuple[EnvironmentSettings, ...]:
        if not value:
            raise ValueError("list at least one environment")
        twice = _repeated(environment.name for environment in value)
        if twice:
            raise ValueError(f"{', '.join(twice)} is listed twice; give each environment a name of its own")
        return value

    @field_validator("environments")
    @classmethod
    def _models_come_from_an_earlier_environment(
        cls, value: tuple[EnvironmentSettings, ...]
    ) -> tuple[EnvironmentSettings, ...]:
        before: list[str] = []
        for environment in value:
            if environment.models_from is not None and environment.models_from not in before:
                raise ValueError(
                    f"{environment.name}.models_from: '{environment.models_from}' is no environment before it"
                )
            before.append(environment.name)
        return value

    def environment(self, name: str) -> EnvironmentSettings:
        """The environment called `name`. Raises SettingsError naming those that exist."""
        for environment in self.environments:
            if environment.name == name:
                return environment
        known = ", ".join(environment.name for environment in self.environments)
        raise SettingsError(f"environment: there is no '{name}' in the settings (there are: {known})")


def _overlaid(shared: Mapping[str, Any], environment: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(environment)
    for group, values in shared.items():
        own = merged.get(group, {})
        # A group of the wrong type is left for validation to name.
        if isinstance(values, dict) and isinstance(own, dict):
            merged[group] = {**values, **own}
        elif group not in merged:
            merged[group] = values
    return merged


def _repeated(names: Iterable[str]) -> list[str]:
    return sorted(name for name, count in Counter(names).items() if count > 1)
