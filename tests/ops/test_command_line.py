"""What an operator reads when something is missing: one line with the cure, and no stack trace."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ops.conftest import Twin, ops

pytestmark = pytest.mark.twin

NOBODY = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_EC2_METADATA_DISABLED": "true"}


@pytest.mark.parametrize(
    ("environment", "arguments", "words"),
    [
        (NOBODY, ("status",), "no AWS credentials were found"),
        ({"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE"}, ("status",), "does not know these credentials"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ("status",), "check the network"),
        ({}, ("status", "--profile", "prod"), "give ACCOUNT=PROFILE"),
        ({}, ("status", "--profile", "prud=x"), "there is no such account"),
        ({}, ("approve",), "has no pipeline"),
        ({}, ("rollback", "--environment", "nowhere"), "there is no environment nowhere"),
        ({}, ("destroy", "--environment", "nowhere"), "there is no environment nowhere"),
    ],
)
def test_a_fault_is_one_line_with_its_cure(
    twin: Twin, tmp_path: Path, environment: dict[str, str], arguments: tuple[str, ...], words: str
) -> None:
    none = str(tmp_path / "none")
    done = ops(
        twin,
        *arguments,
        **{"AWS_SHARED_CREDENTIALS_FILE": none, "AWS_CONFIG_FILE": none, **environment},
    )
    assert done.returncode == 1
    assert done.stderr.startswith("ops: ")
    assert words in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_destroy_without_a_terminal_wants_the_name(twin: Twin) -> None:
    done = ops(twin, "destroy")
    assert done.returncode == 3
    assert "--yes-destroy" in done.stderr
