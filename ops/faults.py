"""What goes wrong for an operator, in words: one line that says what, and how to mend it."""

from __future__ import annotations

from typing import Any

from botocore import exceptions as boto

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_UNKNOWN = {"InvalidClientTokenId", "UnrecognizedClientException", "InvalidAccessKeyId", "InvalidToken"}
_WRONG = {"SignatureDoesNotMatch", "InvalidSignatureException", "IncompleteSignature"}
_DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError"}
_SLOW = {"Throttling", "ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded"}


class OperatorFault(Exception):
    """A fault that the operator can mend; the message says what is wrong, and the cure."""


class Cancelled(OperatorFault):
    """The operator did not confirm; nothing was changed."""


def in_words(fault: Exception) -> str:  # noqa: PLR0911  # one return per kind of fault
    """One line for what boto3 raises: what happened, and the cure."""
    match fault:
        case boto.NoCredentialsError() | boto.PartialCredentialsError():
            return (
                "no AWS credentials were found: sign in (aws sso login --profile NAME) and set AWS_PROFILE, "
                "or name a profile for each account with --profile dev=NAME"
            )
        case boto.ProfileNotFound():
            return f"{fault}: `aws configure list-profiles` shows those that exist"
        case boto.TokenRetrievalError() | boto.UnauthorizedSSOTokenError() | boto.SSOTokenLoadError():
            return "the sign-in has expired: aws sso login --profile NAME"
        case boto.ClientError():
            return _of_service(fault)
        case boto.EndpointConnectionError() | boto.ConnectTimeoutError() | boto.ProxyConnectionError():
            return f"no connection ({fault}): check the network, and AWS_ENDPOINT_URL if it is set"
        case boto.ReadTimeoutError() | boto.ConnectionClosedError():
            return f"the connection broke ({fault}): run the same command again"
        case boto.NoRegionError():
            return "no region: the settings in cdk.json name one for each account"
        case _:
            return str(fault) or type(fault).__name__


def code_of(fault: boto.ClientError) -> str:
    """The error code that the service gave."""
    return str(fault.response.get("Error", {}).get("Code", ""))


def is_denied(fault: Exception) -> bool:
    """Whether IAM refused a call."""
    return isinstance(fault, boto.ClientError) and code_of(fault) in _DENIED


def is_absent(fault: Exception) -> bool:
    """Whether the service says that there is no such thing."""
    if not isinstance(fault, boto.ClientError):
        return False
    code, message = code_of(fault), str(fault).lower()
    return (
        "NotFound" in code
        or code.startswith("NoSuch")
        or code in ("404", "ResourceNotFound")
        or (
            code in ("ValidationError", "ValidationException")
            and ("does not exist" in message or "could not find" in message)
        )
    )


def _of_service(fault: Any) -> str:
    code, said = code_of(fault), str(fault.response.get("Error", {}).get("Message", "")) or str(fault)
    call = fault.operation_name
    if code in _EXPIRED:
        return "the credentials have expired: sign in again (aws sso login --profile NAME)"
    if code in _UNKNOWN:
        return f"AWS does not know these credentials ({code}): check the profile or the access key"
    if code in _WRONG:
        return f"the secret key does not fit the access key ({code}): check the profile"
    if code in _DENIED:
        return f"not allowed: {said}. docs/deploying.md and docs/models.md say which policy is needed"
    if code in _SLOW:
        return f"AWS asks to go slower ({call}): wait a minute and run the same command again"
    return f"{call}: {said}" if said else f"{call} failed with {code}"
