"""`python -m twin dashboard`: a CloudWatch dashboard of an account in the twin, drawn as a page."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from twin.client import Twin, TwinError

Home = Annotated[Path | None, typer.Option(help="State, logs and work folders (default: build/twin).")]
_DEFAULT_REGION = "us-east-1"


def add_to(
    app: typer.Typer, out: Console, guarded: Callable[[Callable[..., None]], Callable[..., None]]
) -> None:
    """Add the command to the twin's command line; `guarded` words what goes wrong."""

    def dashboard(  # noqa: PLR0917  # Typer reads them by name
        name: Annotated[str, typer.Argument(help="The dashboard's name.")],
        account: Annotated[str, typer.Option(help="An alias of twin.toml, or 12 digits.")],
        region: Annotated[str, typer.Option(help="Where the dashboard is.")] = _DEFAULT_REGION,
        minutes: Annotated[float, typer.Option(min=0.1, help="How far back to look.")] = 60,
        period: Annotated[
            int, typer.Option(min=0, help="Seconds between points (0: as the widgets say).")
        ] = 0,
        write: Annotated[Path | None, typer.Option(help="File (default: <home>/<name>.html).")] = None,
        home: Home = None,
    ) -> None:
        """Draw a dashboard with the figures of the last minutes, as one HTML file."""
        from twin.console import dashboards, page

        twin = Twin(home=home)
        twin.need()
        end = datetime.now(UTC)
        start = end - timedelta(minutes=minutes)
        cloudwatch = twin.client("cloudwatch", account, region)
        try:
            panels = dashboards.read(cloudwatch, name, start, end, period=period or None)
        except dashboards.DashboardError as fault:
            raise TwinError(str(fault)) from None
        target = write or twin.home / f"{name}.html"
        target.parent.mkdir(parents=True, exist_ok=True)
        place = f"account {twin.account(account)}, {region}, in the local twin"
        target.write_text(page.render(name, panels, start, end, place=place), encoding="utf-8")
        out.print(f"twin: drew {name} into {target}", soft_wrap=True)

    app.command()(guarded(dashboard))
