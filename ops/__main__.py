"""The operator's command line: `python -m ops doctor | deploy | status | train | promote | ...`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from ops import deploy as first
from ops import options, planning_commands
from ops import rollback as back
from ops import status as stand
from ops.access import Access
from ops.approve import decide
from ops.deployment import ROOT
from ops.destroy import journey as end
from ops.doctor import report
from ops.doctor.bootstrap import POLICY
from ops.doctor.examination import examine
from ops.faults import OperatorFault
from ops.models import accuracy
from ops.models import commands as models
from ops.options import Json, Profiles, Role, Yes, faults_in_words
from ops.pipeline import Pipeline
from ops.streaming import commands as streaming
from ops.terminal import as_json, say, speak_to

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="What people do by hand: look, deploy, approve, train, promote, roll back, take away.",
)
models.register(app)
streaming.register(app)
accuracy.register(app)
planning_commands.register(app)


@app.command()
@faults_in_words
def doctor(profile: Profiles = None, role: Role = None, json: Json = False) -> None:
    """Look at everything that a delivery needs; exit 1 when something is wrong, with the cure for each."""
    profiles = options.mapping(profile)
    findings = examine(ROOT, lambda deployment: Access(deployment, profiles, role))
    (report.print_json if json else report.show)(findings)
    raise typer.Exit(options.FAILED if report.any_fault(findings) else 0)


@app.command()
@faults_in_words
def deploy(
    profile: Profiles = None,
    role: Role = None,
    execution_policy: Annotated[
        str, typer.Option(help="ARN of the policy that says what CloudFormation may do at most.")
    ] = POLICY,
    yes: Yes = False,
) -> None:
    """Deploy for the first time: look, bootstrap what is not, deploy the pipeline, say what is next."""
    deployment, access = options.opened(profile, role)
    findings = examine(ROOT, lambda _: access)
    first.run(ROOT, deployment, access, findings, policy=execution_policy, yes=yes)


@app.command()
@faults_in_words
def status(profile: Profiles = None, role: Role = None, json: Json = False) -> None:
    """Show the pipeline, what waits for approval, endpoints, alarms, and the last day's failed workflows."""
    deployment, access = options.opened(profile, role)
    told, waiting = stand.collect(deployment, access)
    if json:
        as_json(told)
    else:
        stand.show(told, waiting)


@app.command()
@faults_in_words
def approve(  # noqa: PLR0917  # each is an option of the command line
    profile: Profiles = None,
    role: Role = None,
    reject: Annotated[bool, typer.Option("--reject", help="Say no.")] = False,
    confirm_risks: Annotated[
        bool, typer.Option("--confirm-risks", help="Confirm the risks that the dossier names.")
    ] = False,
    stage: Annotated[str | None, typer.Option(help="Which stage, where several wait.")] = None,
    reason: Annotated[str, typer.Option(help="Kept with the decision.")] = "decided with ops",
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Approve (or reject) what waits, after showing what its dossier says."""
    speak_to(machine=json)
    deployment, access = options.opened(profile, role)
    done = decide(
        Pipeline(deployment, access),
        reject=reject,
        confirm_risks=confirm_risks,
        stage=stage,
        reason=reason,
        yes=yes,
    )
    _tell(done, json, f"{done['stage']} / {done['action']}: {done['status']}")


@app.command()
@faults_in_words
def rollback(  # noqa: PLR0917  # each is an option of the command line
    profile: Profiles = None,
    role: Role = None,
    environment: Annotated[
        str | None,
        typer.Option(help="Which environment (default: the last; with --model, the first)."),
    ] = None,
    model: Annotated[
        bool, typer.Option("--model", help="Take back the model that serves, and nothing else.")
    ] = False,
    region: models.Region = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Take an environment's stage back to what it ran before, or only its model; wait for the end."""
    speak_to(machine=json)
    if model:
        models.roll_back_model(models.opened(profile, role, environment, region), yes=yes, json=json)
    if region is not None:
        raise OperatorFault("--region goes with --model: a stage is taken back in all its regions")
    deployment, access = options.opened(profile, role)
    done = back.run(Pipeline(deployment, access), deployment, environment, yes=yes)
    _tell(done, json, f"{done['stage']}: {done['status']}")
    raise typer.Exit(0 if done["status"] == "Succeeded" else options.FAILED)


@app.command()
@faults_in_words
def destroy(  # noqa: PLR0917  # each is an option of the command line
    profile: Profiles = None,
    role: Role = None,
    environment: Annotated[str | None, typer.Option(help="Only this environment.")] = None,
    data_too: Annotated[
        list[str] | None,
        typer.Option(metavar="ENVIRONMENT", help="Delete the data of this protected environment too."),
    ] = None,
    with_bootstrap: Annotated[
        bool, typer.Option("--with-bootstrap", help="Take the CDK's bootstrap stacks and assets away too.")
    ] = False,
    yes_destroy: Annotated[
        str | None, typer.Option(metavar="NAME", help="The platform's name, instead of typing it.")
    ] = None,
    json: Json = False,
) -> None:
    """Take the platform away, in order; then list what is left, and why. Can be run again."""
    speak_to(machine=json)
    deployment, access = options.opened(profile, role)
    found = end.run(
        deployment,
        access,
        released=data_too or (),
        only=environment,
        with_bootstrap=with_bootstrap,
        typed=yes_destroy,
    )
    if json:
        as_json([asdict(each) for each in found])
    else:
        end.show(found)
    raise typer.Exit(0 if all(each.reason for each in found) else options.FAILED)


def _tell(done: dict[str, Any], json: bool, line: str) -> None:
    if json:
        as_json(done)
    else:
        say(line)


if __name__ == "__main__":
    app(prog_name="python -m ops")
