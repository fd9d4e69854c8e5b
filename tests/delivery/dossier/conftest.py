"""Fixtures of the dossier's tests: a world in which the last deployment was a day ago, and dossiers of it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from delivery.dossier import making
from delivery.dossier.model import Dossier
from delivery.dossier.settings import Settings
from tests.delivery.dossier.world import (
    ACCOUNT,
    BEGIN,
    LOOKUP,
    REGION,
    ROLE,
    Templates,
    World,
    templates,
    write_assembly,
)

GOLDEN = Path(__file__).parent / "golden"
SMOKE = {
    "environment": "staging",
    "region": REGION,
    "passed": True,
    "total_seconds": 41.6,
    "accuracy": 0.989,
    "images": {"asked": 20, "right": 20},
    "checks": [
        {"name": "trained", "title": "The workflow trains", "status": "passed", "seconds": 22.4},
        {"name": "accuracy", "title": "The model is accurate", "status": "passed", "seconds": 0.1},
    ],
}


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    """The variables that the pipeline's step gets."""
    return {
        "PIPELINE_NAME": "vision-delivery",
        "PIPELINE_EXECUTION_ID": "e3",
        "ENVIRONMENT": "prod",
        "TARGET_ACCOUNT": ACCOUNT,
        "TARGET_REGIONS": REGION,
        "ASSEMBLY": str(tmp_path / "cdk.out"),
        "REPORTS_BUCKET": "vision-reports",
        "LOOKUP_ROLE_ARN": LOOKUP,
        "DOSSIER_ROLE_ARN": ROLE,
        "BEFORE": "staging",
    }


@pytest.fixture
def settings(variables: dict[str, str]) -> Settings:
    return Settings.from_environment(variables)


@pytest.fixture
def world() -> World:
    """Three executions: the first was deployed, the second failed in staging, the third asks now."""
    made = World(change_sets={name: [] for name in templates()})
    made.execution("e1", 0, "1" * 40, "First version")
    made.execution("e2", 60, "2" * 40, '{"ProviderType":"GitHub","CommitMessage":"Faster start\\n\\nmore"}')
    made.execution("e3", 90, "3" * 40, "Predictions are explained")
    made.succeeded = ["e1"]
    made.objects["smoke/e3/staging/summary.json"] = json.dumps(SMOKE).encode()
    return made


@pytest.fixture
def make(world: World, settings: Settings) -> Callable[..., Dossier]:
    """Makes the dossier of a change: `change(templates)` alters what is deployed into what is planned."""

    def made(change: Callable[[Templates], Any] = lambda _: None, **accepted: str) -> Dossier:
        planned = templates()
        change(planned)
        write_assembly(settings.assembly, planned, accepted)
        return making.make(settings, world, BEGIN + timedelta(hours=2))  # type: ignore[arg-type]

    return made


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares text with the file of that name; UPDATE_GOLDEN=1 writes the files instead, for review."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("UPDATE_GOLDEN"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text

    return compare
