"""Two syntheses of one commit, in two places, differ in no byte of what is deployed."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.assembly import ROOT, Assembly
from vision_platform.packaging import FunctionBundling

# As app.py does it, with the tests' settings and without the packages: their contents are compared below.
SYNTHESIS = """
import app, json, pathlib
settings = json.loads(pathlib.Path("platform.json").read_text())
context = app.read_context(app.ROOT) | {"platform": settings, "aws:cdk:bundling-stacks": []}
app.build_app(context=context, out=pathlib.Path("cdk.out")).synth()
"""


def checkout(folder: Path) -> Path:
    """The sources as another checkout would have them: other place, other times, other modes."""
    for name in ("app.py", "cdk.json", "package-lock.json"):
        shutil.copyfile(ROOT / name, folder / name)
    shutil.copyfile(ROOT / "tests" / "platform.json", folder / "platform.json")
    for name in ("constructs", "delivery", "stages", "planning", "model", "lambda_src"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in folder.rglob("*.py"):
        os.utime(path, (0, 0))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return folder


@pytest.mark.slow
def test_templates_and_asset_hashes_are_the_same_to_the_byte(assembly: Assembly, tmp_path: Path) -> None:
    elsewhere = checkout(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", SYNTHESIS],
        cwd=elsewhere,
        env=os.environ | {"CDK_VALIDATION": "false", "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    other = Assembly(elsewhere / "cdk.out")
    assert set(other.artifacts) == set(assembly.artifacts)
    differing = [
        name
        for name, artifact in assembly.artifacts.items()
        if artifact["template"].read_bytes() != other.artifacts[name]["template"].read_bytes()
    ]
    assert differing == []


@pytest.mark.parametrize("function", ["gate", "predict"])
def test_packages_are_the_same_to_the_byte(function: str, tmp_path: Path) -> None:
    packages: list[Path] = []
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        FunctionBundling(ROOT / "lambda_src", function).try_bundle(str(tmp_path / place))
        packages += (tmp_path / place).iterdir()
    here, there = packages
    assert here.read_bytes() == there.read_bytes()
    with zipfile.ZipFile(here) as package:
        names = package.namelist()
    assert "handler.py" in names
    assert any(name.startswith("vision_runtime/") for name in names)
