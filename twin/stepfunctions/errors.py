"""The two ways a state ends other than by succeeding: an error with a name, and an interruption."""


class StateError(Exception):
    """A state failed: `error` is the name that Retry and Catch see, `cause` the text for people."""

    def __init__(self, error: str, cause: str = "") -> None:
        """`error` is such as ``States.Timeout`` or a function's errorType."""
        super().__init__(f"{error}: {cause}")
        self.error, self.cause = error, cause


class Interrupted(Exception):
    """The execution was stopped, has timed out, or a sibling branch has failed: no state may catch this."""
