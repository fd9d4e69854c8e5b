"""The commands about models: train, watch, runs, promote, lineage and drill; the rollback of a model too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ops import options
from ops.faults import OperatorFault
from ops.models import drill, lineage, listing, outcome, promotion, start
from ops.models.execution import Execution
from ops.models.home import Home, find
from ops.options import Json, Profiles, Role, Yes, faults_in_words
from ops.permissions import comparison
from ops.terminal import as_json, say, show, speak_to

EnvironmentName = Annotated[
    str | None, typer.Option("--environment", help="Which environment (default: the first of the settings).")
]
Region = Annotated[str | None, typer.Option(help="Which of its regions (default: its home).")]


def register(app: typer.Typer) -> None:
    """Add the commands to the operator's command line."""
    app.command()(faults_in_words(train))
    app.command()(faults_in_words(watch))
    app.command()(faults_in_words(runs))
    app.command()(faults_in_words(promote))
    app.command()(faults_in_words(permissions))
    trees = typer.Typer(no_args_is_help=True, help="What came from what.")
    trees.command("show")(faults_in_words(lineage_show))
    # With a callback, a group of one command stays a group.
    trees.callback()(_group)
    app.add_typer(trees, name="lineage")
    drills = typer.Typer(no_args_is_help=True, help="Trying out what should never be needed.")
    drills.command("rollback")(faults_in_words(drill_rollback))
    drills.callback()(_group)
    app.add_typer(drills, name="drill")


def opened(profile: list[str] | None, role: str | None, environment: str | None, region: str | None) -> Home:
    """The environment that a command is about. Raises OperatorFault."""
    deployment, access = options.opened(profile, role)
    return find(deployment, access, environment, region)


def _group() -> None:
    """Nothing to do before the command."""


def train(
    *,
    dataset: Annotated[
        Path | None, typer.Option(help="Folder of a dataset: its images and its manifest.json.")
    ] = None,
    manifest: Annotated[
        str | None, typer.Option(metavar="S3URI", help="Manifest that lies in the environment already.")
    ] = None,
    again: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with this run, where it stopped.")
    ] = None,
    tune: Annotated[bool, typer.Option("--tune", help="Search hyperparameters by the settings.")] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="A hyperparameter of this run. Repeat for each."),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(help="A name for the run: also for what has been trained before.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow the run until it ends.")] = False,
    environment: EnvironmentName = None,
    region: Region = None,
    profile: Profiles = None,
    role: Role = None,
    json: Json = False,
) -> None:
    """Train on a folder's dataset, on a manifest, or on the newest dataset; exit 1 when the run fails."""
    speak_to(machine=json)
    _at_most_one({"--dataset": dataset, "--manifest": manifest, "--again": again})
    wished = start.wish(tune=tune, given=set_ or (), run_id=run_id)
    if again and not wished.is_plain:
        raise OperatorFault("--again goes on with a run as it was: leave out --tune, --set and --run-id")
    home = opened(profile, role, environment, region)
    if dataset is not None:
        execution = start.with_folder(home, dataset, wished)
    elif manifest is not None:
        execution = start.with_manifest(home, manifest, wished)
    elif again is not None:
        execution = start.once_more(home, again)
    else:
        execution = start.with_newest(home, wished)
    _report(home, execution, follow=watch, json=json)


def watch(
    run: Annotated[str, typer.Argument(help="A run's id, or an execution's name or ARN.")],
    *,
    environment: EnvironmentName = None,
    region: Region = None,
    profile: Profiles = None,
    role: Role = None,
    json: Json = False,
) -> None:
    """Follow a run (or a promotion) until it ends; exit 1 when it fails."""
    speak_to(machine=json)
    home = opened(profile, role, environment, region)
    execution = outcome.find(home, run)
    if execution.is_of("promotion"):
        _conclude(promotion.finish(home, execution), json, lambda told: promotion.show(home, told))
    _report(home, execution, follow=True, json=json)


def runs(
    *,
    most: Annotated[int, typer.Option("--most", min=1, max=100, help="How many, newest first.")] = 15,
    environment: EnvironmentName = None,
    region: Region = None,
    profile: Profiles = None,
    role: Role = None,
    json: Json = False,
) -> None:
    """List the newest training runs with their status and metrics."""
    speak_to(machine=json)
    home = opened(profile, role, environment, region)
    found = listing.newest(home, most)
    if json:
        as_json(found)
    elif found:
        show(listing.table(home, found), broken=False)
    else:
        say(f"{home} has had no training run yet: python -m ops train --dataset FOLDER {home.option}")


def promote(
    *,
    to: Annotated[str, typer.Option("--to", metavar="ENVIRONMENT", help="Where it shall serve.")],
    package: Annotated[
        str | None,
        typer.Option(
            metavar="ARN", help="Which package (default: the newest approved of `models_from`, or its own)."
        ),
    ] = None,
    region: Region = None,
    profile: Profiles = None,
    role: Role = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Promote an approved model package to an environment, by that environment's own thresholds."""
    speak_to(machine=json)
    home = opened(profile, role, to, region)
    told = promotion.run(home, promotion.plan(home, package), reason="package", yes=yes)
    _conclude(told, json, lambda told: promotion.show(home, told))


def permissions(
    *,
    everything: Annotated[bool, typer.Option("--all", help="Show what is used as well.")] = False,
    write: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the page as Markdown.")] = None,
    environment: EnvironmentName = None,
    region: Region = None,
    profile: Profiles = None,
    role: Role = None,
    json: Json = False,
) -> None:
    """Compare what roles may do with what they have done; exit 1 when some is unused without a reason."""
    speak_to(machine=json)
    home = opened(profile, role, environment, region)
    grants = comparison.compare(home)
    if json:
        as_json(comparison.as_records(grants))
    else:
        show(comparison.table(home, grants, everything=everything), broken=False)
    if write is not None:
        write.write_text(comparison.page(home, grants), encoding="utf-8")
    unused = [each for each in grants if each.used is None]
    left = sum(each.is_open for each in grants)
    say(f"{len(grants)} actions, {len(grants) - len(unused)} used; {left} unused without a reason")
    raise typer.Exit(options.FAILED if left else 0)


def roll_back_model(home: Home, *, yes: bool, json: bool) -> None:
    """Promote the package that served before; for `rollback --model`."""
    told = promotion.run(home, promotion.plan_back(home), reason="rollback", yes=yes)
    _conclude(told, json, lambda told: promotion.show(home, told))


def lineage_show(
    what: Annotated[
        str,
        typer.Argument(metavar="RUN|REQUEST|DATASET|MODEL", help="DATASET is NAME#VERSION, MODEL an ARN."),
    ],
    *,
    predictions: Annotated[
        int, typer.Option(min=0, max=10_000, help="How many answered requests to show of each model.")
    ] = 5,
    environment: EnvironmentName = None,
    region: Region = None,
    profile: Profiles = None,
    role: Role = None,
    json: Json = False,
) -> None:
    """Draw what something was made of, and what was made of it."""
    speak_to(machine=json)
    home = opened(profile, role, environment, region)
    # One more than is shown tells whether there are more.
    tree = lineage.of(home, what, predictions=predictions + 1)
    if json:
        as_json(tree.as_dict())
    else:
        show(lineage.drawn(tree, most=predictions), broken=False)


def drill_rollback(
    *,
    images: Annotated[
        Path | None, typer.Option(help="Folder of images to send (default: the champion's own dataset).")
    ] = None,
    rate: Annotated[float, typer.Option(min=0.2, max=50, help="Requests per second.")] = 4.0,
    yes_really: Annotated[
        str | None,
        typer.Option(metavar="ENVIRONMENT", help="The name of a protected environment, if you mean it."),
    ] = None,
    environment: EnvironmentName = None,
    region: Region = None,
    profile: Profiles = None,
    role: Role = None,
    json: Json = False,
) -> None:
    """Promote a deliberately bad model, and see that the alarm takes it back and no request fails."""
    speak_to(machine=json)
    home = opened(profile, role, environment, region)
    told = drill.run(home, images=images, rate=rate, yes_really=yes_really)
    if json:
        as_json(told)
    else:
        drill.show(home, told)
    raise typer.Exit(0 if told["passed"] else options.FAILED)


def _report(home: Home, execution: Execution, *, follow: bool, json: bool) -> None:
    """Says which run it is; follows it where that is asked for, and exits as it ends."""
    start.wait_until_known(home, execution)
    if not follow:
        told = outcome.result(execution)
        if json:
            as_json(told)
        else:
            say(f"run {execution.run_id or execution.name} has been started in {home}")
            say(f"  watch it: {outcome.again(home, execution)}")
        return
    say(f"run {execution.run_id or execution.name} in {home}", style="bold")
    _conclude(outcome.watch(home, execution), json, lambda told: outcome.show(home, told))


def _conclude(told: dict[str, Any], json: bool, show_it: Callable[[dict[str, Any]], None]) -> None:
    """Shows a result and exits with it."""
    if json:
        as_json(told)
    else:
        show_it(told)
    raise typer.Exit(0 if told["status"] == "SUCCEEDED" else options.FAILED)


def _at_most_one(given: dict[str, object]) -> None:
    named = [name for name, value in given.items() if value is not None]
    if len(named) > 1:
        raise OperatorFault(f"{' and '.join(named)} name different things to train on: give one of them")
