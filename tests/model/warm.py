"""What the process that others are forked from has already loaded: torch, and what it loads late."""

import os
import sys
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
import torch.nn.parallel

torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))])  # imports a second's worth of modules


def redirect(log: Path) -> None:
    """Send this process's output to a file."""
    with log.open("wb") as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)


def check_contract_of(code: Path, root: Path, log: Path) -> None:
    """Run the contract's tests for another model, and end with their exit code."""
    redirect(log)
    os.chdir(root)
    os.environ["MODEL_FOLDER"] = str(code)
    import pytest

    sys.exit(pytest.main(["-p", "no:cacheprovider", "tests/model/test_contract.py"]))
