"""The locks of what is deployed: hashed, without AWS's own SDK, in the versions that the tests run with."""

import re
from pathlib import Path

import pytest

from tests.lambda_src.conftest import ROOT

LOCKS = sorted((ROOT / "lambda_src").glob("*/requirements.txt"))
SERVING = ROOT / "model" / "requirements-serve.txt"
TESTED = [ROOT / "requirements" / "dev.txt"]
# This one's tests run in the model's environment.
TESTED_BESIDE = {"serve_model": ROOT / "requirements" / "model.txt"}


def versions(lock: Path) -> set[str]:
    return set(re.findall(r"^[a-z0-9-]+==[^\s;\\]+", lock.read_text(), re.MULTILINE))


def test_every_function_has_a_lock() -> None:
    functions = {path.parent.name for path in (ROOT / "lambda_src").glob("*/handler.py")}
    assert {lock.parent.name for lock in LOCKS} == functions


@pytest.mark.parametrize("lock", [*LOCKS, SERVING], ids=lambda lock: lock.parent.name)
def test_lock_has_a_hash_for_every_version_and_no_address(lock: Path) -> None:
    text = lock.read_text()
    assert len(versions(lock)) == len(re.findall(r"==.*\\\n    --hash=sha256:", text))
    assert not re.search(r"https?://|index|find-links", text)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_functions_run_with_the_versions_that_are_tested(lock: Path) -> None:
    tested = [*TESTED, *(path for name, path in TESTED_BESIDE.items() if name == lock.parent.name)]
    assert versions(lock) <= {version for path in tested for version in versions(path)}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.parent.name)
def test_lambdas_own_sdk_is_not_packaged(lock: Path) -> None:
    assert not {"boto3", "botocore"} & {version.partition("==")[0] for version in versions(lock)}


def test_functions_serve_models_with_the_versions_that_endpoints_serve_them_with() -> None:
    ours = versions(ROOT / "lambda_src" / "serve_model" / "requirements.txt")
    names = {version.partition("==")[0] for version in ours}
    theirs = {each for each in versions(SERVING) if each.partition("==")[0] in names}
    assert theirs <= ours
    assert {"onnxruntime", "numpy"} <= names


def test_serving_runs_with_the_versions_that_are_tested() -> None:
    assert versions(SERVING) <= versions(ROOT / "requirements" / "model.txt")
