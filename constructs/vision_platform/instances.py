"""What kinds of SageMaker instances differ in: whether their volumes take a key."""

from __future__ import annotations

import re

# Instance families whose local NVMe disk is encrypted by hardware; SageMaker refuses a volume key for them.
_LOCAL_DISK = re.compile(r"^ml\.(?:[a-z]+\d+[a-z]*d[a-z]*|g5|g6|g6e|gr6|p5|p5e|p5en|trn1|trn1n|trn2)\.")


def volume_key(instance_type: str, key: str, field: str) -> dict[str, str]:
    """The volume key as `{field: key}`, or nothing for instances with hardware-encrypted local disks."""
    return {} if _LOCAL_DISK.match(instance_type) else {field: key}
