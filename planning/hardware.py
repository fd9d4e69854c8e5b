"""What computes: virtual CPUs of SageMaker's instances by their name, and Lambda's share by its memory."""

from __future__ import annotations

import re

from planning.measured import VCPU_MB

# Every x86 size of AWS that we know is named by its multiple of an xlarge with 4 vCPUs.
_SIZES = {"medium": 1, "large": 2, "xlarge": 4}
_MULTIPLE = re.compile(r"^(\d+)xlarge$")
# Sizes to choose from when the settings name none: the smaller, the more finely a fleet scales. On larger
# ones the one Python process that serves a model (model/serve.py) would become the limit, not the vCPUs.
FAMILY = "ml.c7i"
LADDER = ("large", "xlarge", "2xlarge", "4xlarge")
# Larger fleets of one endpoint are slow to replace: a deployment brings up as many beside them.
MANY_INSTANCES = 60


class UnknownHardware(LookupError):
    """The size of an instance type says nothing about its vCPUs."""


def vcpus(instance_type: str) -> int:
    """Virtual CPUs of one instance, such as ``ml.c7i.2xlarge``. Raises UnknownHardware."""
    size = instance_type.rpartition(".")[2]
    if size in _SIZES:
        return _SIZES[size]
    multiple = _MULTIPLE.match(size)
    if multiple is None:
        raise UnknownHardware(f"how many vCPUs {instance_type} has is not known: add its size to {__name__}")
    return 4 * int(multiple.group(1))


def lambda_vcpus(memory_mb: int) -> float:
    """The share of a vCPU that a function of this memory gets; its code uses one at most."""
    return min(1.0, memory_mb / VCPU_MB.value)
