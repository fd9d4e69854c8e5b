"""What a smoke test's machines and requests cost, for the test: it knows prices only by what it is told."""

from __future__ import annotations

from planning.prices import SOURCE, UnknownPrice, hourly_usd, request_usd
from stages.settings import EnvironmentSettings, SettingsError


def smoke_prices(environment: EnvironmentSettings) -> dict[str, str]:
    """The variables with the prices. Raises SettingsError naming a setting whose machine has no price."""
    machines = {
        "TRAINING": ("training.instance_type", environment.training.instance_type),
        "EVALUATION": ("training.evaluation_instance_type", environment.training.evaluation_instance_type),
        "HOSTING": ("hosting.instance_type", environment.hosting.instance_type),
    }
    found = {"REQUEST_USD": f"{request_usd():.8f}", "PRICES_OF": SOURCE}
    for name, (setting, kind) in machines.items():
        try:
            found[f"{name}_USD_AN_HOUR"] = f"{hourly_usd(kind):g}"
        except UnknownPrice as gap:
            raise SettingsError(f"environments.{environment.name}.{setting}: {gap}") from gap
    return found
