"""Which environment promotes whose models, by the settings: `models_from` names one before it."""

from __future__ import annotations

from collections.abc import Sequence

from stages.settings import EnvironmentSettings, SettingsError
from vision_platform.package_sharing import ModelReader, ModelSource


def regional_label(environment: EnvironmentSettings, region: str) -> str:
    """Names an environment where names know no regions: `prod` at home, `prod-eu-west-1` elsewhere."""
    return environment.name if region == environment.region else f"{environment.name}-{region}"


def reader_prefix(platform: str, label: str, environment: EnvironmentSettings) -> str | None:
    """What the names of its roles begin with that read another's models; None when it takes none."""
    return f"{platform}-{label}" if environment.models_from else None


def source_of(
    platform: str, environment: EnvironmentSettings, region: str, environments: Sequence[EnvironmentSettings]
) -> ModelSource | None:
    """Where the environment's models may come from, in one of its regions.

    Raises SettingsError when the other environment is not in that region: SageMaker serves a model where it
    lies.
    """
    source = next((each for each in environments if each.name == environment.models_from), None)
    if source is None:
        return None
    if region not in source.regions:
        raise SettingsError(
            f"environments.{environment.name}.models_from: '{source.name}' is not in {region}, where "
            f"'{environment.name}' is: models are served where they lie; give both the same regions"
        )
    return ModelSource(
        platform=platform, prefix=f"{platform}-{source.name}", account=source.account, region=region
    )


def readers_of(
    platform: str, environment: EnvironmentSettings, region: str, environments: Sequence[EnvironmentSettings]
) -> list[ModelReader]:
    """The environments that promote this one's models, in one of its regions."""
    return [
        ModelReader(account=each.account, role_prefix=f"{platform}-{regional_label(each, region)}")
        for each in environments
        if each.models_from == environment.name and region in each.regions
    ]
