"""What the commands have in common: options for accounts, and faults turned into one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Annotated, ParamSpec, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError

from ops.access import Access
from ops.deployment import Deployment, read_deployment
from ops.faults import Cancelled, OperatorFault, in_words
from ops.terminal import complain

FAILED, CANCELLED, INTERRUPTED = 1, 3, 130
P = ParamSpec("P")
R = TypeVar("R")

Profiles = Annotated[
    list[str] | None,
    typer.Option(
        "--profile",
        envvar="OPS_PROFILES",
        metavar="ACCOUNT=PROFILE",
        help="AWS profile of an account: tooling=NAME, dev=NAME, or 222222222222=NAME. Repeat for each.",
    ),
]
Role = Annotated[
    str | None,
    typer.Option(envvar="OPS_ROLE", help="Name of a role to assume in accounts without a profile."),
]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def mapping(given: Sequence[str] | None) -> dict[str, str]:
    """`--profile dev=a --profile prod=b` as a mapping. Raises OperatorFault for another form."""
    found: dict[str, str] = {}
    for each in given or ():
        name, sign, profile = each.partition("=")
        if not (name and sign and profile):
            raise OperatorFault(f"--profile {each}: give ACCOUNT=PROFILE, such as tooling=my-profile")
        found[name] = profile
    return found


def opened(profiles: Sequence[str] | None, role: str | None) -> tuple[Deployment, Access]:
    """The deployment and the credentials for its accounts. Raises OperatorFault."""
    deployment = read_deployment()
    return deployment, Access(deployment, mapping(profiles), role)


def faults_in_words(command: Callable[P, R]) -> Callable[P, R]:
    """Turns expected faults into one line and an exit code: 1; 3 when not confirmed; 130 for Ctrl-C."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except Cancelled as fault:
            complain(str(fault))
            raise typer.Exit(CANCELLED) from None
        except OperatorFault as fault:
            complain(str(fault))
            raise typer.Exit(FAILED) from None
        except (ClientError, BotoCoreError) as fault:
            complain(in_words(fault))
            raise typer.Exit(FAILED) from None
        except KeyboardInterrupt:
            complain("stopped; the same command goes on from where it was")
            raise typer.Exit(INTERRUPTED) from None

    return run
