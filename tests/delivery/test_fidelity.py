"""The local twin knows every resource type and property that we deliver (R40)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.assembly import synthesize
from twin import fidelity


@pytest.mark.slow
def test_everything_in_our_templates_is_classed(tmp_path: Path) -> None:
    def use_every_option(platform: dict[str, Any]) -> None:
        platform["environments"][0] |= {
            "network": {"vpc": True},
            "monitoring": {"emails": ["someone@example.com"]},
            "api": {"reserved_concurrency": 5},
        }

    folder = synthesize(tmp_path / "cdk.out", change=use_every_option).folder
    assert [str(use) for use in fidelity.unclassed(folder)] == []
