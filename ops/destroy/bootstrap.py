"""Takes the CDK's bootstrap away too: images, assets, and the stack."""

from __future__ import annotations

from collections.abc import Callable

from botocore.exceptions import ClientError

from ops.destroy import remains, stacks
from ops.destroy.estate import Estate, pages
from ops.faults import is_absent

_STACK = "CDKToolkit"
_BATCH = 100

Tell = Callable[[str], None]


def delete(estate: Estate, tell: Tell) -> None:
    """Empty the repository, delete the stack, then the bucket, which the stack keeps."""
    account, region = estate.place.account, estate.place.region
    cloudformation = estate.client("cloudformation")
    try:
        (stack,) = cloudformation.describe_stacks(StackName=_STACK)["Stacks"]
    except ClientError as fault:
        if not is_absent(fault):
            raise
    else:
        tell(f"deletes stack {_STACK} and its images in {account}, {region}")
        _empty_repository(estate, f"cdk-hnb659fds-container-assets-{account}-{region}")
        if stack.get("EnableTerminationProtection"):
            cloudformation.update_termination_protection(StackName=_STACK, EnableTerminationProtection=False)
        stacks.delete(cloudformation, stack)
    name = f"cdk-hnb659fds-assets-{account}-{region}"
    if any(bucket["Name"] == name for bucket in estate.client("s3").list_buckets()["Buckets"]):
        tell(f"empties and deletes bucket {name}")
        remains.delete_bucket(estate.client("s3"), name)


def _empty_repository(estate: Estate, name: str) -> None:
    ecr = estate.client("ecr")
    try:
        images = list(pages(ecr, "list_images", "imageIds", repositoryName=name))
    except ClientError as fault:
        if is_absent(fault):
            return
        raise
    for first in range(0, len(images), _BATCH):
        ecr.batch_delete_image(repositoryName=name, imageIds=images[first : first + _BATCH])
