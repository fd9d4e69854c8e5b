"""The twin's command line: `python -m twin up | push | watch | approve | status | logs | down | ...`."""

import json
import os
import shlex
import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer
from botocore.exceptions import BotoCoreError, ClientError
from rich.console import Console

from twin import delivery_status, fault_commands, figures
from twin.client import DEFAULT_PORT, BusyPort, Twin, TwinError
from twin.console import commands as console_commands
from twin.delivery_view import DeliveryView
from twin.delivery_watch import Change, NoExecution, Watch

app = typer.Typer(add_completion=False, no_args_is_help=True, help="AWS on one machine, for this project.")
out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_INTERRUPTED = 130
Home = Annotated[Path | None, typer.Option(help="State, logs and work folders (default: build/twin).")]
ApprovalStage = Annotated[str | None, typer.Option("--stage", help="Stage, where several approvals wait.")]
ApprovalAction = Annotated[str | None, typer.Option("--action", help="Action, where a stage has several.")]
Plain = dict[str, Any]
P = ParamSpec("P")
R = TypeVar("R")


def faults_in_words(command: Callable[P, R]) -> Callable[P, R]:
    """Turn expected faults into one line and an exit code: 2 for a busy port, 130 for Ctrl-C, else 1."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except BusyPort as fault:
            err.print(f"twin: {fault}", markup=False, soft_wrap=True)
            raise typer.Exit(2) from None
        except (TwinError, NoExecution, ClientError, BotoCoreError) as fault:
            err.print(f"twin: {fault}", markup=False, soft_wrap=True)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            err.print("twin: stopped looking; what runs in the twin goes on (python -m twin watch)")
            raise typer.Exit(_INTERRUPTED) from None

    return run


@app.command()
@faults_in_words
def up(
    port: Annotated[int, typer.Option(help="Port of the twin's endpoint.")] = DEFAULT_PORT,
    home: Home = None,
    foreground: Annotated[bool, typer.Option("--foreground/--detach", help="Stay until Ctrl-C.")] = False,
) -> None:
    """Start the twin, with the state it had when it was stopped."""
    twin = Twin(home=home)
    if foreground:
        running = twin.health()
        if running is not None:
            raise TwinError(
                f"the twin is up already on port {running.port}: stop it with python -m twin down"
            )
        server = twin.server
        server.clean_up_after_a_kill()
        server.check_port(port)
        command = server.command(port)
        server.record(os.getpid(), port)  # the server takes this process over
        os.chdir(twin.project)
        os.execve(command[0], command, server.server_environment())  # noqa: S606
    running, started = twin.start(port)
    state = "is up" if started else "is up already"
    out.print(
        f"twin: {state} on http://127.0.0.1:{running.port} (pid {running.pid}, home {twin.home})",
        soft_wrap=True,
    )


@app.command()
@faults_in_words
def down(home: Home = None) -> None:
    """Stop the twin; its state stays."""
    stopped = Twin(home=home).stop()
    out.print("twin: is down" if stopped else "twin: was not running")


@app.command()
@faults_in_words
def reset(home: Home = None) -> None:
    """Empty the running twin: as if nothing had ever been deployed."""
    Twin(home=home).reset()
    out.print("twin: is empty")


@app.command()
@faults_in_words
def push(
    ref: Annotated[str, typer.Option(help="Commit, branch or tag to push.")] = "HEAD",
    force: Annotated[bool, typer.Option(help="Replace the branch, even if history was rewritten.")] = False,
    watch: Annotated[bool, typer.Option(help="Follow what the push does until it ends.")] = False,
    home: Home = None,
) -> None:
    """Push a commit to the repository behind the pipeline's connection."""
    twin = Twin(home=home)
    twin.need()
    left = twin.changed_files()
    commit = twin.push(ref, force=force)
    out.print(f"twin: pushed {commit[:12]}")
    if left:
        out.print(f"twin: {left} changed file(s) are not committed, and not in the push")
    taken = twin.taken_up(commit)
    if taken and not any(each["execution"] for each in taken):
        out.print("twin: no execution: filtered by the pipeline's triggers")
    elif watch:
        raise typer.Exit(_follow(twin, None, commit))


@app.command()
@faults_in_words
def watch(
    execution: Annotated[str | None, typer.Argument(help="Execution to watch (default: the newest).")] = None,
    home: Home = None,
) -> None:
    """Follow an execution of the pipeline until it ends; exit code 1 when it does not succeed."""
    raise typer.Exit(_follow(Twin(home=home), execution, None))


def _follow(twin: Twin, execution: str | None, commit: str | None) -> int:
    seen = Watch(twin.pipeline_api, twin.pipeline_name)
    if not seen.exists():
        raise NoExecution(f"pipeline {twin.pipeline_name} is not deployed yet")
    view = DeliveryView(out, seen.structure())
    last: Change | None = None
    with view.shown():
        for change in twin.watch(execution, commit=commit):
            if change.kind == "execution" and change.status == "InProgress":
                view.restructure(seen.structure())
            view.take(change)
            _announce_approval(twin, view, change)
            last = change
    if last is None or last.status == "Succeeded":
        out.print("Succeeded", style="bold green")
        return 0
    view.explain_failure(last)
    return 1


def _announce_approval(twin: Twin, view: DeliveryView, change: Change) -> None:
    if change.kind != "action" or change.status != "InProgress":
        return
    waiting = twin.approvals()
    for approval in waiting:
        if (approval.stage, approval.action) == (change.stage, change.action):
            choice = f" --stage {approval.stage} --action {approval.action}" if len(waiting) > 1 else ""
            view.show_approval(approval, f"python -m twin approve{choice} (or --reject)")


@app.command()
@faults_in_words
def approve(
    reject: Annotated[bool, typer.Option("--reject", help="Reject instead.")] = False,
    summary: Annotated[str, typer.Option(help="Why; it is kept with the execution.")] = "",
    stage: ApprovalStage = None,
    action: ApprovalAction = None,
    home: Home = None,
) -> None:
    """Decide the approval that waits."""
    said = summary or "decided at the terminal"
    decided = Twin(home=home).decide(approve=not reject, summary=said, stage=stage, action=action)
    out.print(f"twin: {'rejected' if reject else 'approved'} {decided.stage} / {decided.action}")


@app.command()
@faults_in_words
def expire(stage: ApprovalStage = None, action: ApprovalAction = None, home: Home = None) -> None:
    """Let the time of the approval that waits run out now (the twin's own: on AWS it takes days)."""
    expired = Twin(home=home).expire(stage, action)
    if not expired:
        raise TwinError("no approval waits for a decision")
    out.print(f"twin: expired {expired[0]}")


@app.command()
@faults_in_words
def status(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False, home: Home = None
) -> None:
    """Say whether the twin is up, how the pipeline stands and what waits."""
    twin = Twin(home=home)
    found = describe(twin)
    if as_json:
        print(json.dumps(found, indent=2, default=vars))
        return
    if not found["up"]:
        out.print("twin: is down (start it with python -m twin up)")
        return
    out.print(
        f"twin: is up on {found['endpoint']} (pid {found['pid']}, home {found['home']})", soft_wrap=True
    )
    fault_commands.show(out, found["faults"])
    if not found["pipeline"]["deployed"]:
        out.print(f"pipeline {found['pipeline']['name']} is not deployed yet")
        return
    delivery_status.show(out, found["pipeline"])
    figures.show(out, found["pipeline"]["figures"], [each["name"] for each in found["pipeline"]["stages"]])
    delivery_status.show_approvals(out, found["pipeline"])


def describe(twin: Twin) -> Plain:
    """Return the state of twin and pipeline as data."""
    running = twin.health()
    if running is None:
        return {"up": False, "home": str(twin.home)}
    pipeline = delivery_status.describe(twin.pipeline_api, twin.pipeline_name, twin.approvals)
    if pipeline["deployed"]:
        pipeline["figures"] = figures.read(
            twin.pipeline_client("cloudwatch"), twin.settings.get("figures", {})
        )
    endpoint = f"http://127.0.0.1:{running.port}"
    home = str(running.home)
    faults = fault_commands.active(twin)
    up = {"up": True, "endpoint": endpoint, "pid": running.pid, "home": home}
    return {**up, "faults": faults, "pipeline": pipeline}


@app.command()
@faults_in_words
def logs(
    action: Annotated[str, typer.Argument(help="Action, or Stage/Action.")],
    execution: Annotated[str | None, typer.Option(help="Execution (default: the newest).")] = None,
    home: Home = None,
) -> None:
    """Print the log of an action's build."""
    twin = Twin(home=home)
    seen = Watch(twin.pipeline_api, twin.pipeline_name)
    key = execution or seen.newest()
    runs = seen.actions(key) if key else []
    stage, _, name = action.rpartition("/")
    fitting = [r for r in runs if r["actionName"] == name and stage in ("", r["stageName"])]
    if not fitting:
        ran = ", ".join(f"{r['stageName']}/{r['actionName']}" for r in runs) or "none"
        raise TwinError(f"no action {action!r} has run in that execution (those that have: {ran})")
    url = fitting[-1]["output"].get("executionResult", {}).get("externalExecutionUrl", "")
    if not url.startswith("file://"):
        raise TwinError(f"action {action!r} is no build: it has no log")
    sys.stdout.write(Path(url.removeprefix("file://")).read_text(encoding="utf-8", errors="replace"))


@app.command("curl-env")
@faults_in_words
def curl_env(home: Home = None) -> None:
    """Print the variables with which curl and Python reach APIs in the twin under AWS's own URLs."""
    twin = Twin(home=home)
    port, facts = twin.need().port, twin.get("health")
    bundle = str(Path(facts["home"]) / "proxy" / "ca-bundle.pem")
    proxy = f"http://127.0.0.1:{facts['proxy_port']}"
    values = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "HTTPS_PROXY": proxy,
        "https_proxy": proxy,
        "NO_PROXY": "127.0.0.1,localhost",
        "CURL_CA_BUNDLE": bundle,
        "REQUESTS_CA_BUNDLE": bundle,
        "SSL_CERT_FILE": bundle,
    }
    for name, value in values.items():
        print(f"export {name}={shlex.quote(value)}")


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False
)
def fidelity(context: typer.Context) -> None:
    """Check or print what the twin does with every resource type and property (see --help of it)."""
    from twin import fidelity as table

    raise typer.Exit(table.main(list(context.args)) or 0)


fault_commands.add_to(app, out, faults_in_words)
console_commands.add_to(app, out, faults_in_words)


def main() -> None:
    """Run the command line."""
    app()
