"""The policy of docs/models.md: whoever holds it and nothing else can work with models by command."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ops.models.home import Home
from tests.ops.conftest import DEV, ROOT, Twin, person
from tests.ops.models.conftest import PACKAGES

pytestmark = pytest.mark.twin
POLICY = json.loads((ROOT / "docs" / "operator-policy.json").read_text())


@pytest.fixture
def operator(deployed: Twin, home: Home, monkeypatch: pytest.MonkeyPatch) -> float:
    """From now on, these commands are a person's with just this policy; answers since when."""
    key = person(deployed, DEV, POLICY)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    return time.time()


def test_the_operator_trains_watches_and_asks_and_nothing_is_denied(
    deployed: Twin, operator: float, command: Callable[..., Any], write: Callable[..., None], tmp_path: Path
) -> None:
    (tmp_path / "1.png").write_bytes(b"png")
    image = {"key": "1.png", "label": "1", "split": "train", "sha256": "0"}
    manifest = {"schema": "vision.dataset/1", "dataset": "digits", "version": "policy", "images": [image]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    write("LINE#champion", "CHAMPION", model_package_arn=f"{PACKAGES}2")
    wanted = [
        ("train", "--dataset", str(tmp_path), "--run-id", "policy", "--watch"),
        ("watch", "policy"),
        ("runs", "--json"),
        ("lineage", "show", "policy"),
    ]
    for arguments in wanted:
        done = command(*arguments)
        assert done.exit_code == 0, (arguments, done.stdout, done.stderr)
    assert command("permissions", "--json").exit_code in (0, 1)
    denied = [
        each for each in deployed.get(f"iam?since={operator}")["denials"] if ":user/" in each["principal"]
    ]
    assert denied == []


def test_without_the_policy_the_refusal_is_one_line_that_says_where_to_look(
    deployed: Twin, home: Home, command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    key = person(deployed, DEV)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    done = command("runs")
    assert done.exit_code == 1
    assert "not allowed" in done.stderr and len(done.stderr.strip().splitlines()) == 1
