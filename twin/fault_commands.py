"""Trouble on demand at the command line: `python -m twin faults add | list | clear` and `interrupt`."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote, urlencode

import typer
from rich.console import Console

from twin.client import Twin

Home = Annotated[Path | None, typer.Option(help="State, logs and work folders (default: build/twin).")]
Account = Annotated[str, typer.Option(help="Only there: an alias of twin.toml, or 12 digits.")]
Fault = dict[str, Any]


def active(twin: Twin) -> list[Fault]:
    """Return the faults that still strike; raises `TwinError`."""
    return [fault for fault in twin.get("faults")["faults"] if fault["left"]]


def show(out: Console, faults: list[Fault]) -> None:
    """Print faults, one in a line; nothing where there are none."""
    for fault in faults:
        parts = [f"fault {fault['id']}: {fault['error']} on {fault['service']}:{fault['operation']}"]
        parts += [f"{name} {fault[name]}" for name in ("match", "account") if fault.get(name)]
        parts.append(f"{fault['hits']} of {fault['times']} times so far")
        out.print(", ".join(parts), style="yellow", soft_wrap=True)


def add_to(
    app: typer.Typer, out: Console, guarded: Callable[[Callable[..., None]], Callable[..., None]]
) -> None:
    """Add the commands to the twin's command line; `guarded` words what goes wrong."""
    group = typer.Typer(no_args_is_help=True, help="Let calls of AWS services fail on purpose.")
    app.add_typer(group, name="faults")

    def add(  # noqa: PLR0917  # Typer reads them by name
        service: Annotated[str, typer.Argument(help="As IAM names it: sagemaker, lambda, dynamodb, ...")],
        operation: Annotated[str, typer.Argument(help="CreateTrainingJob, Invoke, PutItem, ... or *")],
        error: Annotated[
            str,
            typer.Argument(
                help="throttle, denied, unavailable, connection, timeout, crash, or an AWS error code"
            ),
        ],
        times: Annotated[int, typer.Option(min=1, help="How many calls fail.")] = 1,
        match: Annotated[str, typer.Option(help="Text that the path, query or body contains.")] = "",
        account: Account = "",
        status: Annotated[int | None, typer.Option(help="HTTP status of an error code.")] = None,
        message: Annotated[str, typer.Option(help="Message of the error.")] = "",
        home: Home = None,
    ) -> None:
        """Let the next calls of an operation fail."""
        wanted = {
            "service": service,
            "operation": operation,
            "error": error,
            "times": times,
            "status": status,
        }
        texts = {"match": match, "account": account, "message": message}
        show(out, [Twin(home=home).post("faults", wanted | {k: v for k, v in texts.items() if v})])

    def list_all(home: Home = None) -> None:
        """List the faults that were set, with how often they have struck."""
        found = Twin(home=home).get("faults")["faults"]
        show(out, found)
        if not found:
            out.print("twin: no faults are set")

    def clear(
        fault: Annotated[str | None, typer.Argument(help="Its number (default: all).")] = None,
        home: Home = None,
    ) -> None:
        """Take faults back."""
        gone = Twin(home=home).delete(f"faults?{urlencode({'id': fault})}" if fault else "faults")["cleared"]
        out.print(f"twin: {gone} fault(s) taken back")

    def interrupt(
        job: Annotated[str, typer.Argument(help="Name of a training job on managed spot capacity.")],
        seconds: Annotated[float, typer.Option(min=0, help="How long there is no capacity.")] = 1.0,
        account: Account = "",
        region: Annotated[str, typer.Option(help="Where the job runs.")] = "us-east-1",
        home: Home = None,
    ) -> None:
        """Take the spot capacity of a training job away: it goes on from its checkpoints later."""
        twin = Twin(home=home)
        query = {"seconds": seconds, "region": region, **({"account": account} if account else {})}
        twin.post(f"interrupt/{quote(job)}?{urlencode(query)}")
        out.print(f"twin: {job} is interrupted")

    for name, command in (("add", add), ("list", list_all), ("clear", clear)):
        group.command(name)(guarded(command))
    app.command("interrupt")(guarded(interrupt))
