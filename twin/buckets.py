"""What S3 in the twin takes as AWS does: AWS's own key where none is named, and names that are global."""

from typing import Any

from twin import glue

_SSE = "x-amz-server-side-encryption"


def install() -> None:
    """Put both in place."""
    _name_the_managed_key()
    _read_across_accounts()


def _name_the_managed_key() -> None:
    """Name AWS's own key where a write asks for KMS and names none; ministack refuses that."""
    s3 = glue.internal("services.s3")
    original = s3._resolve_sse_write_headers

    def resolve(headers: dict[str, str], bucket: str) -> Any:
        if headers.get(_SSE) == "aws:kms" and not headers.get(f"{_SSE}-aws-kms-key-id"):
            here = glue.current_scope()
            managed = f"arn:aws:kms:{here.region}:{here.account}:alias/aws/s3"
            headers = {**headers, f"{_SSE}-aws-kms-key-id": managed}
        return original(headers, bucket)

    s3._resolve_sse_write_headers = resolve


def _read_across_accounts() -> None:
    """Let services find an object by its bucket's global name, whoever owns it.

    CloudFormation fetches templates this way from the pipeline's artifact bucket in another account; that the
    caller may read the object is an implied permission of the call (`twin.iam.implied`).
    """
    s3 = glue.internal("services.s3")
    original = s3._get_object_data

    def read(bucket: str, key: str, version_id: str | None = None) -> bytes | None:
        owner = s3._bucket_owner_account(bucket) or glue.current_scope().account
        with glue.scope(owner, glue.current_scope().region):
            return original(bucket, key, version_id)

    s3._get_object_data = read
