"""What a smoke test's machines and requests cost, for the test: it knows prices only by what it is told."""

from __future__ import annotations

from planning.prices import SOURCE, UnknownPrice, function_hour_usd, hourly_usd, request_usd
from stages.settings import EnvironmentSettings, SettingsError


def smoke_prices(environment: EnvironmentSettings) -> dict[str, str]:
    """The variables with the prices. Raises SettingsError naming a setting whose machine has no price."""
    machines = {
        "TRAINING": ("training.instance_type", environment.training.instance_type),
        "EVALUATION": ("training.evaluation_instance_type", environment.training.evaluation_instance_type),
    }
    hosting = environment.hosting
    if not hosting.on_functions:
        machines["HOSTING"] = ("hosting.instance_type", hosting.instance_type)
    found = {"REQUEST_USD": f"{request_usd():.8f}", "PRICES_OF": SOURCE}
    if hosting.on_functions:
        found["HOSTING_USD_AN_HOUR"] = f"{function_hour_usd(hosting.lambda_memory_mb):g}"
    for name, (setting, kind) in machines.items():
        try:
            found[f"{name}_USD_AN_HOUR"] = f"{hourly_usd(kind):g}"
        except UnknownPrice as gap:
            raise SettingsError(f"environments.{environment.name}.{setting}: {gap}") from gap
    return found
