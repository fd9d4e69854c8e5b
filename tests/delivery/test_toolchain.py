"""The versions of the deployment tools come from the lock file, or the fault names the tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from delivery.toolchain import ToolchainError, locked_version
from tests.assembly import ROOT


def test_the_lock_file_pins_cli_and_publisher() -> None:
    assert locked_version(ROOT, "aws-cdk") == "2.1148.1"
    assert locked_version(ROOT, "cdk-assets") == "4.7.3"


@pytest.mark.parametrize("content", [None, "{", "{}", '{"packages": {}}'])
def test_a_tool_that_is_not_pinned_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "package-lock.json").write_text(content)
    with pytest.raises(ToolchainError, match="does not pin aws-cdk: run `npm install aws-cdk`"):
        locked_version(tmp_path, "aws-cdk")
