"""The command about the burst path: redrive."""

from __future__ import annotations

from dataclasses import asdict

import typer

from ops import options
from ops.models.commands import EnvironmentName, Region, opened
from ops.options import Json, Profiles, Role, faults_in_words
from ops.streaming import redrive as again
from ops.terminal import as_json, say, speak_to


def register(app: typer.Typer) -> None:
    """Add the command to the operator's command line."""
    app.command()(faults_in_words(redrive))


def redrive(
    *,
    environment: EnvironmentName = None,
    region: Region = None,
    profile: Profiles = None,
    role: Role = None,
    json: Json = False,
) -> None:
    """Put what the burst path gave up into its stream again, once; exit 1 when something could not be."""
    speak_to(machine=json)
    done = again.redrive(opened(profile, role, environment, region))
    if json:
        as_json(asdict(done))
    else:
        for line in again.summary(done):
            say(line)
    raise typer.Exit(0 if done.clean else options.FAILED)
