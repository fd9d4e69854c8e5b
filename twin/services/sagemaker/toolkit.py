"""Script mode as SageMaker's training toolkit does it: variables, arguments and failure reports."""

import json
import os
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twin import environments
from twin.images.container import Container
from twin.json_service import ServiceError
from twin.services.sagemaker.channels import GROUP, LOOPBACK
from twin.services.sagemaker.jobs import JobFailedError
from twin.services.sagemaker.refusal import refuse
from twin.services.sagemaker.storage import Storage

_OWN_PREFIX = "sagemaker_"
_TUNED_METRIC = "_tuning_objective_metric"
_TORCHRUN = "sagemaker_torch_distributed_enabled"
_OTHER_LAUNCHERS = (
    "sagemaker_distributed_dataparallel_enabled",
    "sagemaker_mpi_enabled",
    "sagemaker_multi_worker_mirrored_strategy_enabled",
    "sagemaker_parameter_server_enabled",
    "sagemaker_pytorch_ddp_enabled",
    "sagemaker_pytorch_xla_multi_worker_enabled",
)
CODE = "/opt/ml/code"
_ML = "/opt/ml"
_LAST_LINES = 3
# Where algo-1 is: every host of a job is this machine.
_FIRST_HOST_ADDRESS = "127.0.0.1"


def decoded(value: str) -> Any:
    """Return a hyperparameter as the toolkit reads it: JSON where it is JSON, else the text itself."""
    try:
        return json.loads(value)
    except ValueError:
        return value


@dataclass(frozen=True)
class Cluster:
    """The hosts that run a script together, and the port on which the first one waits for the others."""

    hosts: tuple[str, ...]
    instance_type: str
    port: int

    @staticmethod
    def of(hosts: tuple[str, ...], instance_type: str) -> "Cluster":
        """Return the cluster of these hosts, with a port that is free now (AWS always takes 7777)."""
        with socket.socket() as probe:
            probe.bind((_FIRST_HOST_ADDRESS, 0))
            return Cluster(hosts, instance_type, int(probe.getsockname()[1]))


class Script:
    """The user's script in a training container."""

    def __init__(self, hyperparameters: Mapping[str, str], environment: Mapping[str, str]) -> None:
        """Find program and source among the hyperparameters, or in the job's environment."""
        values = {name: decoded(value) for name, value in hyperparameters.items()}
        self.program = str(values.get("sagemaker_program") or environment.get("SAGEMAKER_PROGRAM") or "")
        self._source = str(
            values.get("sagemaker_submit_directory") or environment.get("SAGEMAKER_SUBMIT_DIRECTORY") or CODE
        )
        self._uses_torchrun = bool(values.get(_TORCHRUN))
        self._launchers = [name for name in _OTHER_LAUNCHERS if values.get(name)]
        own = (_OWN_PREFIX, _TUNED_METRIC)
        self.hyperparameters = {k: v for k, v in values.items() if not k.startswith(own)}

    def check(self) -> None:
        """Raise `ServiceError` for a way to launch the script that the twin does not have."""
        if self.program and self._launchers:
            raise refuse(f"The hyperparameter {self._launchers[0]}", f"use {_TORCHRUN}")
        if self._uses_torchrun and self.program and not self.program.endswith(".py"):
            raise ServiceError(
                "ValidationException", f"{_TORCHRUN} needs a Python script as sagemaker_program."
            )

    def fetch(self, container: Container, storage: Storage) -> None:
        """Put the source where the script runs; raises `JobFailedError` when the program is not in it."""
        code = container.path(CODE)
        code.mkdir(parents=True, exist_ok=True)
        if self._source.startswith("s3://"):
            storage.unpack(self._source, code)
        elif self._source != CODE:
            raise JobFailedError(
                f"ClientError: sagemaker_submit_directory {self._source!r} is refused: the local twin takes "
                f"the S3 URI of a tar.gz, or {CODE}"
            )
        if not (code / self.program).is_file():
            raise JobFailedError(
                f"AlgorithmError: ImportModuleError: {self.program} is not in {self._source}, exit code: 1"
            )
        if (code / "requirements.txt").is_file():
            _require_installed(container.image.interpreter, code / "requirements.txt")

    def command(self, cluster: Cluster, host: str) -> list[str]:
        """Return the command that runs the script on a host, by torchrun where the hyperparameters say so."""
        if self.program.endswith(".sh"):
            return ["/bin/sh", f"./{self.program}", *self._arguments()]
        if not self._uses_torchrun:
            return ["python", self.program, *self._arguments()]
        # The module behind the command torchrun, whose script breaks in an environment that was moved. One
        # process per host is the toolkit's choice for hosts without GPUs.
        launcher = ["python", "-m", "torch.distributed.run", "--nnodes", str(len(cluster.hosts))]
        launcher += ["--nproc_per_node", "1"]
        if len(cluster.hosts) > 1:
            launcher += ["--master_addr", _FIRST_HOST_ADDRESS, "--master_port", str(cluster.port)]
            launcher += ["--node_rank", str(cluster.hosts.index(host))]
        return [*launcher, self.program, *self._arguments()]

    def _arguments(self) -> list[str]:
        """Return the hyperparameters as arguments, sorted by name."""
        arguments: list[str] = []
        for name in sorted(self.hyperparameters):
            arguments += [f"--{name}" if len(name) > 1 else f"-{name}", str(self.hyperparameters[name])]
        return arguments

    def variables(self, channels: list[str], cluster: Cluster, host: str) -> dict[str, str]:
        """Return the SM_ variables of the toolkit, and what the PyTorch image adds for several hosts."""
        hosts, instance_type = list(cluster.hosts), cluster.instance_type
        group = {"instance_group_name": GROUP, "instance_type": instance_type, "hosts": hosts}
        values: dict[str, Any] = {
            "hosts": hosts,
            "current_host": host,
            "current_instance_type": instance_type,
            "current_instance_group": GROUP,
            "current_instance_group_hosts": hosts,
            "instance_groups": [GROUP],
            "instance_groups_dict": {GROUP: group},
            "is_hetero": False,
            "network_interface_name": LOOPBACK,
            "num_cpus": os.cpu_count() or 1,
            "num_gpus": 0,
            "num_neurons": 0,
            "model_dir": f"{_ML}/model",
            "input_dir": f"{_ML}/input",
            "input_config_dir": f"{_ML}/input/config",
            "output_dir": f"{_ML}/output",
            "output_data_dir": f"{_ML}/output/data",
            "output_intermediate_dir": f"{_ML}/output/intermediate",
            "channels": sorted(channels),
            "hps": self.hyperparameters,
            "user_entry_point": self.program,
            "module_name": self.program.removesuffix(".py"),
            "module_dir": self._source,
            "user_args": self._arguments(),
            "log_level": 20,
        }
        named = {f"SM_{name.upper()}": _text(value) for name, value in values.items()}
        named |= {f"SM_CHANNEL_{channel.upper()}": f"{_ML}/input/data/{channel}" for channel in channels}
        named |= {f"SM_HP_{name.upper()}": _text(value) for name, value in self.hyperparameters.items()}
        named |= {"MASTER_ADDR": _FIRST_HOST_ADDRESS, "MASTER_PORT": str(cluster.port)}
        named |= dict.fromkeys(("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"), LOOPBACK)
        return {**named, "SM_TRAINING_ENV": json.dumps(values), "PYTHONPATH": CODE}

    def failure(self, code: int, lines: list[str], command: str) -> str:
        """Return the failure reason of a script that ended with `code` and these last lines of output."""
        told = " ".join(line for line in lines[-_LAST_LINES:] if line.strip())
        return (
            f'AlgorithmError: ExecuteUserScriptError:\nExitCode {code}\nErrorMessage "{told}"\n'
            f'Command "{command}", exit code: {code}'
        )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _require_installed(interpreter: Path, requirements: Path) -> None:
    """AWS's container would install them; the twin's environments are shared: they must be there."""
    command = [environments.uv(), "pip", "install", "--dry-run", "--offline", "--no-config"]
    asked = subprocess.run(
        [*command, "--python", str(interpreter), "-r", str(requirements)],
        env=environments.installer_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if asked.returncode != 0 or "Would install" in asked.stderr:
        raise JobFailedError(
            "AlgorithmError: InstallRequirementsError: the local environment of the training image lacks "
            "what requirements.txt of the source asks for: add it there. "
            f"{asked.stderr.strip()[-400:]}, exit code: 1"
        )
