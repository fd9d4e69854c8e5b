"""Renders a dashboard as one HTML file: style and drawings inside, no scripts, no network."""

from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from twin.console import charts
from twin.console.dashboards import Panel

_COLUMN, _ROW = 40, 36  # px of the drawing for each column and row of the dashboard's grid


def render(name: str, panels: list[Panel], start: datetime, end: datetime, *, place: str = "") -> str:
    """Return the page; `place` says where the figures are from."""

    def draw(panel: Panel) -> Markup:
        return Markup(  # noqa: S704 - the drawing escapes what it writes
            charts.draw(panel, start, end, panel.width * _COLUMN, panel.height * _ROW)
        )

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(("j2",), default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    page = environment.get_template("dashboard.html.j2")
    tools = {"draw": draw, "short": charts.short, "colours": charts.COLOURS}
    return page.render(name=name, panels=panels, start=start, end=end, place=place, **tools)
