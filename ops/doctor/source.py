"""Whether the pipeline can read its source: the connection's handshake, or the bucket with the zip."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from ops.access import Access
from ops.deployment import Deployment, Place
from ops.doctor.findings import Finding, fault, unanswered, well
from ops.faults import is_absent

_CONSOLE = "https://{region}.console.aws.amazon.com/codesuite/settings/connections?region={region}"


def check(deployment: Deployment, access: Access) -> Iterator[Finding]:
    """Findings of the tooling account. Raises NoAccess."""
    if deployment.source["kind"] == "s3":
        yield from _bucket(deployment, access)
    else:
        yield from _connection(deployment, access)


def _connection(deployment: Deployment, access: Access) -> Iterator[Finding]:
    arn = deployment.source["connection_arn"]
    account, region = arn.split(":")[4], arn.split(":")[3]
    place = deployment.tooling
    if account != place.account:
        yield fault(
            "connection-elsewhere",
            place,
            f"source.connection_arn is of account {account}",
            "make the connection in the tooling account, and put its ARN into cdk.json",
        )
        return
    console = _CONSOLE.format(region=region)
    try:
        api = access.client(Place(place.name, account, region), "codeconnections")
        connection = api.get_connection(ConnectionArn=arn)["Connection"]
    except ClientError as error:
        if is_absent(error):
            cure = (
                "aws codeconnections create-connection --provider-type GitHub "
                f"--connection-name {deployment.name} --region {region}; put its ARN into cdk.json; "
                f"finish the handshake on {console}"
            )
            yield fault("connection-missing", place, f"there is no connection {arn}", cure)
        else:
            yield unanswered("connection", place, "codeconnections", error)
        return
    status = connection["ConnectionStatus"]
    if status == "AVAILABLE":
        yield well("connection", place, f"{connection['ConnectionName']} is available")
    else:
        what = f"the connection {connection['ConnectionName']} is {status}: nobody has finished its handshake"
        yield fault("connection-pending", place, what, f"open {console} and choose Update pending connection")


def _bucket(deployment: Deployment, access: Access) -> Iterator[Finding]:
    place, bucket = deployment.tooling, deployment.source["bucket"]
    try:
        versioning = access.client(place, "s3").get_bucket_versioning(Bucket=bucket)
    except ClientError as error:
        if is_absent(error):
            cure = f"aws s3api create-bucket --bucket {bucket}, or another source.bucket in cdk.json"
            yield fault("source-bucket-missing", place, f"there is no bucket {bucket}", cure)
        else:
            yield unanswered("source-bucket", place, "s3", error)
        return
    if versioning.get("Status") == "Enabled":
        yield well("source-bucket", place, f"{bucket} keeps versions")
    else:
        yield fault(
            "source-bucket-unversioned",
            place,
            f"{bucket} keeps no versions, by which CodePipeline knows a new zip",
            f"aws s3api put-bucket-versioning --bucket {bucket} --versioning-configuration Status=Enabled",
        )
