"""Entry point of a SageMaker training job in script mode: prepared shards in, model.onnx and spec.json out.

SageMaker passes hyperparameters as arguments and places in SM_ variables; with more than one instance
torchrun starts this program on each. Metrics go to the log, one line an epoch.
"""
# torch is in the model's environment (the AWS training image), not in the one that checks types.
# pyright: reportMissingImports=false

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import contract
import torch
from arguments import CHECKPOINTS, parse
from checkpoints import Checkpoints
from distributed import Processes, processes
from export import export_onnx, require_exporter
from fitting import Fitting, Settings, StoppedError
from shards import shard_paths
from spec import ModelSpec, read_spec
from splits import Limits, Splits, open_splits

HERE = Path(__file__).resolve().parent
SPEC = HERE / "spec.json"
STOPPED = 128 + signal.SIGTERM  # what a shell says of a program that a signal ended


def main(arguments: list[str] | None = None) -> None:
    """Train on SM_CHANNEL_TRAIN, write into SM_MODEL_DIR. A fault of the input ends with one clear line."""
    world = 1
    try:
        options = parse(arguments, contract.Hyperparameters, __doc__ or "")
        with processes() as group:
            world = group.world
            run(options, group)
    except StoppedError as stop:
        kept = f"epoch={stop.epoch - 1} is kept" if stop.epoch > 1 else "nothing is saved yet"
        print(f"stopped by SIGTERM in epoch={stop.epoch}; {kept}", flush=True)
        sys.exit(STOPPED)
    except (ValueError, OSError, torch.OutOfMemoryError) as error:
        sys.exit(f"training failed: {_one_line(error)}")
    except RuntimeError as error:
        if world == 1:
            raise
        sys.exit(f"training failed: lost the other processes: {_one_line(error)}")


def run(options: argparse.Namespace, group: Processes) -> None:
    """Train, export, and put the spec beside the model, so that the two can never be mixed up."""
    require_exporter()
    spec = read_spec(SPEC)
    started = time.perf_counter()
    _be_repeatable(options, group)
    workers = max(1, len(os.sched_getaffinity(0)) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
    limits = Limits(options.keep_mb, options.shuffle_mb, workers)
    with TemporaryDirectory() as scratch:
        splits = open_splits(
            options.train,
            validation=options.validation,
            held_back=options.validation_share,
            spec=spec,
            limits=limits,
            scratch=Path(scratch),
        )
        say = print if group.writes else _silence
        say(_beginning(spec, splits, options, group), flush=True)
        settings = Settings(options.epochs, options.batch_size, options.seed)
        fitting = Fitting(contract.build_model(spec), splits, settings, options.parameters, group)
        checkpoints = Checkpoints(_checkpoint_folder(options), _identity(options, splits, group))
        if done := fitting.resume(checkpoints):
            say(f"resumed from epoch={done}/{options.epochs}", flush=True)
        with _asked_to_stop() as stopping:
            for report in fitting.epochs(checkpoints, stopping):
                say(report.line(options.epochs), flush=True)
    if group.writes:
        options.model_dir.mkdir(parents=True, exist_ok=True)
        export_onnx(fitting.model, spec, options.model_dir / "model.onnx")
        shutil.copyfile(SPEC, options.model_dir / "spec.json")
        say(f"trained and exported in {time.perf_counter() - started:.1f} s", flush=True)


def _be_repeatable(options: argparse.Namespace, group: Processes) -> None:
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS: otherwise its sums vary
    # Some layers have no repeatable form on a GPU; a warning names them, and the job goes on. The same as
    # use_deterministic_algorithms, which imports the compiler of torch.compile for its settings: 1.6 s a job.
    torch.set_deterministic_debug_mode("warn" if group.device.type == "cuda" else "error")


def _beginning(spec: ModelSpec, splits: Splits, options: argparse.Namespace, group: Processes) -> str:
    kept = "kept in memory" if splits.train.kept else "streamed"
    return (
        f"model={spec.name} training={splits.train.count} ({kept}) validation={splits.validation.count} "
        f"processes={group.world} device={group.device.type} threads={options.threads}"
    )


def _checkpoint_folder(options: argparse.Namespace) -> Path | None:
    """SageMaker makes the folder beside the model's when a job has a checkpoint configuration."""
    beside = options.model_dir.parent / CHECKPOINTS
    return options.checkpoints or (beside if beside.is_dir() else None)


def _identity(options: argparse.Namespace, splits: Splits, group: Processes) -> dict[str, Any]:
    """All that a trained model depends on: only a checkpoint with the same can be gone on from."""
    folders = [options.train, *([options.validation] if options.validation else [])]
    shards = [(path.name, path.stat().st_size) for folder in folders for path in shard_paths(folder)]
    code = [path.read_bytes() for path in sorted(HERE.glob("*.py"))]
    places = {"train", "validation", "model_dir", CHECKPOINTS, "parameters", "keep_mb"}
    return {
        "hyperparameters": {
            name: str(value) for name, value in vars(options).items() if name not in places and name[0] != "_"
        },
        "images": _digest(repr((shards, splits.train.count, splits.validation.count)).encode()),
        "code": _digest(*code),
        "spec": _digest(SPEC.read_bytes()),
        "processes": group.world,
        "device": group.device.type,
        "torch": str(torch.__version__),
    }


@contextmanager
def _asked_to_stop() -> Generator[Callable[[], bool]]:
    """SIGTERM (a spot interruption, a stopped job) is noted within, and does nothing more."""
    signals: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: signals.append(number))
    try:
        yield lambda: bool(signals)
    finally:
        signal.signal(signal.SIGTERM, before)


def _silence(*_: object, **__: object) -> None:
    """What processes other than rank 0 say."""


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _digest(*contents: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(content).digest() for content in contents)).hexdigest()[:16]


if __name__ == "__main__":
    main()
