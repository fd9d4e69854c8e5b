"""How an action, a stage or an execution ends other than well."""

from botocore.exceptions import ClientError

_DENIED = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AccessDeniedForDependency")


class ActionFailed(Exception):
    """The action failed; `code` is CodePipeline's (JobFailed, ConfigurationError, PermissionError, ...)."""

    def __init__(self, code: str, message: str) -> None:
        """The message is for the person who reads the pipeline: what failed, why, where to look."""
        super().__init__(message)
        self.code = code


class Abandoned(Exception):
    """Somebody stopped the execution without waiting for this action."""


class StageFailed(Exception):
    """A stage failed: an action in it, or one of its conditions; the message says why."""


class Stopped(Exception):
    """Somebody stopped the execution."""


class Cancelled(Exception):
    """The pipeline's definition has changed: the execution does not go on."""


def from_client_error(fault: ClientError, doing: str) -> ActionFailed:
    """Return what a refused AWS call means for the action that made it."""
    error = fault.response.get("Error", {})
    code, message = error.get("Code", ""), error.get("Message", "")
    kind = "PermissionError" if code in _DENIED or "not authorized" in message else "JobFailed"
    return ActionFailed(kind, f"{doing}: {code}: {message}")
