"""The serving image is complete: what its Dockerfile copies is all that its two programs import of ours."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.model.conftest import MODEL


@pytest.mark.parametrize("program", ["serve", "evaluate"])
def test_programs_run_with_the_files_that_the_dockerfile_copies(program: str, tmp_path: Path) -> None:
    for line in (MODEL / "Dockerfile").read_text().splitlines():
        instruction, *arguments = shlex.split(line, comments=True) or [""]
        if instruction == "COPY":
            for name in arguments[:-1]:
                shutil.copy(MODEL / name, tmp_path / name)
    done = subprocess.run(
        [sys.executable, "-c", f"import {program}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
