"""Draws series as SVG: a time axis, up to two value axes, one line for each series, no scripts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

from twin.console.dashboards import Line, Panel

# Told apart by people with any colour vision (Okabe and Ito, 2008), dark enough for thin lines.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#444444")
_MARGIN_LEFT, _MARGIN_TOP, _MARGIN_BOTTOM = 52, 20, 22
# Half of the last time's width; or room for the values of a second axis.
_MARGIN_RIGHT, _MARGIN_RIGHT_OF_TWO = 28, 48
_BESIDE_AXIS = 6
_TICKS = 4
_POINT_RADIUS = 1.8
_MOST_POINTS_SHOWN = 120  # more would hide the line


@dataclass(frozen=True)
class _Frame:
    """Where times and values lie in the picture."""

    start: float
    end: float
    width: int
    height: int
    two_axes: bool

    @property
    def right(self) -> int:
        """Where the graph ends."""
        return self.width - (_MARGIN_RIGHT_OF_TWO if self.two_axes else _MARGIN_RIGHT)

    def x(self, time: float) -> float:
        inside = self.right - _MARGIN_LEFT
        return _MARGIN_LEFT + inside * (time - self.start) / max(self.end - self.start, 1e-9)

    def y(self, value: float, top: float) -> float:
        inside = self.height - _MARGIN_TOP - _MARGIN_BOTTOM
        return _MARGIN_TOP + inside * (1 - value / top)


def draw(panel: Panel, start: datetime, end: datetime, width: int, height: int) -> str:
    """Return the panel's graph as an SVG element of `width` x `height` px; a line says where nothing was."""
    two_axes = any(line.right for line in panel.lines)
    frame = _Frame(start.timestamp(), end.timestamp(), width, height, two_axes)
    parts = [
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(panel.title)}">'
    ]
    tops = {side: _top(panel, right=side) for side in (False, True)}
    parts += _axes(frame, tops[False], tops[True])
    parts += _units(frame, panel.units)
    for label, value in panel.marks:
        if value <= tops[False]:
            y = frame.y(value, tops[False])
            parts.append(
                f'<line class="mark" x1="{_MARGIN_LEFT}" x2="{frame.right}" y1="{y:.1f}" '
                f'y2="{y:.1f}"><title>{escape(label)}</title></line>'
            )
    for number, line in enumerate(panel.lines):
        parts += _drawn(frame, line, tops[line.right], COLOURS[number % len(COLOURS)])
    if not any(line.points for line in panel.lines):
        parts.append(f'<text class="none" x="{width / 2:.0f}" y="{height / 2:.0f}">no data</text>')
    parts.append("</svg>")
    return "".join(parts)


def short(value: float) -> str:
    """Write a value in few characters: 12.3k, 0.25, 4M."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.3g}"


def _top(panel: Panel, *, right: bool) -> float:
    """The value at the top of an axis: the next round number above all."""
    values = [value for line in panel.lines if line.right is right for _, value in line.points]
    values += [value for _, value in panel.marks] if not right and values else []
    highest = max(values, default=1.0)
    if highest <= 0:
        return 1.0
    size = 10 ** math.floor(math.log10(highest))
    return next(step * size for step in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if step * size >= highest * 0.999)


def _units(frame: _Frame, units: tuple[str, str]) -> list[str]:
    places = ((4, "start"), (frame.width - 4, "end"))
    return [
        f'<text class="unit" x="{x}" y="{_MARGIN_TOP - 9}" text-anchor="{anchor}">{escape(unit)}</text>'
        for unit, (x, anchor) in zip(units, places, strict=True)
        if unit
    ]


def _axes(frame: _Frame, top: float, top_right: float) -> list[str]:
    parts: list[str] = []
    for tick in range(_TICKS + 1):
        value = top * tick / _TICKS
        y = frame.y(value, top)
        parts.append(
            f'<line class="grid" x1="{_MARGIN_LEFT}" x2="{frame.right}" '
            f'y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="value" x="{_MARGIN_LEFT - _BESIDE_AXIS}" y="{y + 3.5:.1f}">{short(value)}</text>'
        )
        if frame.two_axes:
            told = short(top_right * tick / _TICKS)
            x = frame.right + _BESIDE_AXIS
            parts.append(f'<text class="value right" x="{x}" y="{y + 3.5:.1f}">{told}</text>')
    for tick in range(_TICKS + 1):
        time = frame.start + (frame.end - frame.start) * tick / _TICKS
        shown = datetime.fromtimestamp(time, UTC).strftime(
            "%H:%M:%S" if frame.end - frame.start < 1800 else "%H:%M"
        )
        parts.append(f'<text class="time" x="{frame.x(time):.1f}" y="{frame.height - 6}">{shown}</text>')
    return parts


def _drawn(frame: _Frame, line: Line, top: float, colour: str) -> list[str]:
    inside: Sequence[tuple[float, float]] = [
        (frame.x(time), frame.y(value, top))
        for time, value in line.points
        if frame.start <= time <= frame.end
    ]
    if not inside:
        return []
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in inside)
    dashes = ' stroke-dasharray="5 3"' if line.right else ""
    parts = [f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/>']
    if len(inside) <= _MOST_POINTS_SHOWN:
        parts += [
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{_POINT_RADIUS}" fill="{colour}"/>' for x, y in inside
        ]
    return parts
