"""What a training container finds below ``/opt/ml/input``: its channels, and the files that describe it."""

import json
import sys
from typing import Any

from twin.images.container import Container
from twin.json_service import ServiceError
from twin.services.sagemaker.jobs import folder_of
from twin.services.sagemaker.records import Record
from twin.services.sagemaker.refusal import refuse
from twin.services.sagemaker.storage import Storage

ML = "/opt/ml"
GROUP = "homogeneousCluster"
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
_DRIVERS = "sm_drivers"  # the SDK's ModelTrainer ships its start-up scripts in this channel


def check(request: Record) -> None:
    """Raise `ServiceError` for input that AWS or the twin does not take."""
    modes = {"AlgorithmSpecification": request["AlgorithmSpecification"].get("TrainingInputMode", "File")}
    for channel in request.get("InputDataConfig", []):
        path = f"InputDataConfig.{channel['ChannelName']}"
        modes[path] = channel.get("InputMode", "File")
        source = channel["DataSource"].get("S3DataSource")
        if source is None:
            raise refuse(f"{path}.DataSource without S3DataSource")
        if source["S3DataType"] not in ("S3Prefix", "ManifestFile"):
            raise refuse(f"{path}.S3DataType {source['S3DataType']}")
        if (
            channel.get("CompressionType", "None") != "None"
            or channel.get("RecordWrapperType", "None") != "None"
        ):
            raise refuse(f"{path}.CompressionType and RecordWrapperType other than None")
        if channel.get("ShuffleConfig"):
            raise refuse(f"{path}.ShuffleConfig", "shuffle in the script")
        if source.get("InstanceGroupNames"):
            raise refuse(f"{path}.InstanceGroupNames")
    for path, mode in modes.items():
        if mode == "Pipe":
            raise refuse(f"{path}.TrainingInputMode Pipe", "use File or FastFile")
    names = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(set(names)) < len(names):
        raise ServiceError("ValidationException", "The channel names of InputDataConfig must be unique.")


def fill(request: Record, container: Container, storage: Storage, host: str, hosts: tuple[str, ...]) -> None:
    """Fill ``/opt/ml`` of a host as SageMaker does before it starts the container.

    Both input modes copy: what FastFile streams on AWS when a file is read lies in the channel's folder here.
    """
    configuration: dict[str, Any] = {}
    for channel in request.get("InputDataConfig", []):
        name, source = channel["ChannelName"], channel["DataSource"]["S3DataSource"]
        folder = folder_of(container, f"{ML}/input/data/{name}")
        distribution = source.get("S3DataDistributionType", "FullyReplicated")
        share = (hosts.index(host), len(hosts)) if distribution == "ShardedByS3Key" else (0, 1)
        if source["S3DataType"] == "ManifestFile":
            storage.download_manifest(source["S3Uri"], folder, share=share)
        else:
            storage.download(source["S3Uri"], folder, share=share)
        mode = channel.get("InputMode", request["AlgorithmSpecification"]["TrainingInputMode"])
        configuration[name] = {
            "TrainingInputMode": mode,
            "S3DistributionType": distribution,
            "RecordWrapperType": "None",
            **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
        }
        if name == _DRIVERS:
            for path in (path for path in folder.rglob("*") if path.suffix in (".sh", ".py", ".json")):
                path.write_text(container.rewrite(path.read_text(encoding="utf-8")), encoding="utf-8")
    config = folder_of(container, f"{ML}/input/config")
    for name, content in (
        ("hyperparameters", request.get("HyperParameters", {})),
        ("resourceconfig", _resources(request, host, hosts)),
        ("inputdataconfig", configuration),
    ):
        (config / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    for inside in ("model", "output/data", "output/intermediate", "code"):
        folder_of(container, f"{ML}/{inside}")


def _resources(request: Record, host: str, hosts: tuple[str, ...]) -> dict[str, Any]:
    instance = request["ResourceConfig"]["InstanceType"]
    return {
        "current_host": host,
        "current_instance_type": instance,
        "current_group_name": GROUP,
        "hosts": list(hosts),
        "instance_groups": [{"instance_group_name": GROUP, "instance_type": instance, "hosts": list(hosts)}],
        "network_interface_name": LOOPBACK,
    }
