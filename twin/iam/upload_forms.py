"""Forms by which uploads are posted to S3: a session's form counts as signed in the account of its role."""

from twin import glue


def install() -> None:
    """Let S3 find the account of a form's signer, as it does for requests that are signed in a header."""
    s3 = glue.internal("services.s3")
    original = s3._account_from_access_key
    of_session = glue.internal("core.responses")._account_from_sts_session

    def account_of(access_key: str) -> str:
        return of_session(access_key) or original(access_key)

    s3._account_from_access_key = account_of
