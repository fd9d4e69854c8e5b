"""Two environments as far as promotion goes, without pipeline, training and API: the second takes models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.assembly import ROOT, Assembly


def synthesize(folder: Path, change: Any = None) -> Assembly:
    """Staging and prod of the tests' settings after `change`; prod promotes staging's models."""
    platform = json.loads((ROOT / "tests" / "platform.json").read_text())
    staging, prod = platform["environments"][1:3]
    platform["environments"] = [staging, prod | {"models_from": staging["name"]}]
    if change is not None:
        change(platform)
    return _synthesize(folder, platform)


def synthesize_one(folder: Path, **groups: dict[str, Any]) -> Assembly:
    """The first environment of the tests' settings, with other groups of settings."""
    platform = json.loads((ROOT / "tests" / "platform.json").read_text())
    platform["environments"] = [platform["environments"][0] | groups]
    return _synthesize(folder, platform)


def _synthesize(folder: Path, platform: dict[str, Any]) -> Assembly:
    from aws_cdk import App

    from stages.settings_reader import parse_settings, read_context

    settings = parse_settings(platform)
    app = App(
        outdir=str(folder),
        analytics_reporting=False,
        context={**read_context(ROOT), "aws:cdk:bundling-stacks": []},
    )
    for environment in settings.environments:
        compose(app, environment.name, settings, environment)
    app.synth()
    return Assembly(folder)


def compose(scope: Any, id: str, settings: Any, environment: Any) -> Any:
    """Foundation, data and promotion of one environment."""
    from aws_cdk import Environment, Stage

    from stages.data import DataStack
    from stages.foundation import FoundationStack
    from stages.model_exchange import reader_prefix, readers_of, source_of
    from stages.promotion import PromotionStack
    from vision_platform.model_lines import ModelLines

    place = Environment(account=environment.account, region=environment.region)
    stage = Stage(scope, id, env=place)
    zones = [f"{environment.region}{letter}" for letter in environment.network.zones]
    stage.node.set_context(f"availability-zones:account={place.account}:region={place.region}", zones)
    prefix = f"{settings.name}-{environment.name}"
    lines = ModelLines(prefix=prefix)
    foundation = FoundationStack(
        stage,
        "Foundation",
        prefix=prefix,
        environment=environment,
        tooling=settings.tooling,
        smoke_role=f"{prefix}-smoke",
        smoke_step_role="smoke",
        reader_prefix=reader_prefix(settings.name, environment.name, environment),
        stack_name=f"{prefix}-foundation",
    )
    data = DataStack(
        stage,
        "Data",
        environment=environment,
        lines=lines,
        key=foundation.key,
        stack_name=f"{prefix}-data",
    )
    return PromotionStack(
        stage,
        "Promotion",
        project_root=ROOT,
        environment=environment,
        lines=lines,
        key=foundation.key,
        bus=foundation.bus,
        identities=foundation.identities,
        placement=foundation.placement,
        data=data,
        source=source_of(settings.name, environment, environment.region, settings.environments),
        readers=readers_of(settings.name, environment, environment.region, settings.environments),
        stack_name=f"{prefix}-promotion",
    )
