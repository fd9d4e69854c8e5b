"""What tests share: one synthesis of the app for the whole session."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.assembly import Assembly


@pytest.fixture(scope="session")
def assembly(tmp_path_factory: pytest.TempPathFactory) -> Assembly:
    """The cloud assembly of the settings in platform.json."""
    from tests.assembly import synthesize

    return synthesize(tmp_path_factory.mktemp("cdk.out"))
