"""Figures of the evaluation's page as HTML and SVG; every text that comes from outside is escaped here."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape
from typing import Any

import numpy as np
from PIL import Image

MATRIX_CLASSES = 20  # wider than that nobody reads it
PAIRS = 12
PICTURE_SIDE = 160  # px; larger images are made smaller for the page
PLOT = 300  # units of the calibration diagram's sides

Array = np.ndarray[Any, Any]


def percent(share: float, digits: int = 1) -> str:
    """A share as people read it; what is not quite all or nothing never looks like it."""
    text = f"{share * 100:.{digits}f}"
    edge = 10**-digits
    if share < 1 and float(text) >= 100:
        return f"{100 - edge:.{digits}f} %"
    if share > 0 and float(text) <= 0:
        return f"{edge:.{digits}f} %"
    return f"{text} %"


def points(difference: float) -> str:
    """A difference of two shares, signed, in percentage points."""
    return f"{difference * 100:+.2f}".replace("-", "\N{MINUS SIGN}")


def picture(image: Array) -> str:
    """An image as a data URI: PNG, at most PICTURE_SIDE pixels long."""
    drawn = Image.fromarray(image[..., 0] if image.shape[2] == 1 else image)
    drawn.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    buffer = io.BytesIO()
    drawn.save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def bar(share: float) -> str:
    """A horizontal bar for a share from 0 to 1, and the share in figures."""
    drawn = f'<span class="track"><span class="bar" style="width:{share * 100:.1f}%"></span></span>'
    return f'{drawn}<span class="share">{percent(share)}</span>'


def table(heads: Iterable[str], rows: Iterable[Iterable[str]], kind: str) -> str:
    """A table of cells that are HTML already; every column but the first holds numbers."""
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="{kind}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def shown_classes(matrix: Array) -> list[int]:
    """The classes of the matrix that the page shows: all, or those confused most often, in their order."""
    if len(matrix) <= MATRIX_CLASSES:
        return list(range(len(matrix)))
    shown = list[int]()
    for truth, answer, _ in confused_pairs(matrix, MATRIX_CLASSES):
        shown += [each for each in (truth, answer) if each not in shown]
    return sorted((shown or list(range(len(matrix))))[:MATRIX_CLASSES])


def heat_table(matrix: Array, classes: list[str]) -> str:
    """The confusion matrix; a cell's depth of colour is its share of the class's images."""
    shown = shown_classes(matrix)
    rest = len(shown) < len(classes)
    # Long labels stand upright over their columns.
    narrow = " upright" if rest or max(len(classes[each]) for each in shown) > 3 else ""
    columns = "".join(
        f'<th scope="col" title="{escape(classes[each])}"><span>{escape(classes[each])}</span></th>'
        for each in shown
    )
    rows: list[str] = []
    for truth in shown:
        total = int(matrix[truth].sum())
        cells = [_cell(int(matrix[truth, answer]), total, truth == answer) for answer in shown]
        if rest:
            cells.append(_cell(total - int(matrix[truth, shown].sum()), total, False))
        label = escape(classes[truth])
        rows.append(f'<tr><th scope="row" title="{label}"><span>{label}</span></th>{"".join(cells)}</tr>')
    other = '<th scope="col"><span>all others</span></th>' if rest else ""
    return (
        f'<div class="scroll"><table class="matrix{narrow}"><thead><tr>'
        f'<td class="corner">truth \N{RIGHTWARDS ARROW} answer</td>'
        f"{columns}{other}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(count: int, total: int, right: bool) -> str:
    if not count:
        return '<td class="none">\N{MIDDLE DOT}</td>'
    share = count / total
    return f'<td class="{"hit" if right else "miss"}" style="--share:{share:.3f}">{count}</td>'


def confused_pairs(matrix: Array, most: int = PAIRS) -> list[tuple[int, int, int]]:
    """The most frequent mistakes as (truth, answer, images), so many at most."""
    mistakes = matrix.copy()
    np.fill_diagonal(mistakes, 0)
    order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
    places = (
        (int(row), int(column)) for row, column in zip(*np.unravel_index(order, matrix.shape), strict=True)
    )
    return [(row, column, int(mistakes[row, column])) for row, column in places if mistakes[row, column]]


def calibration_diagram(bins: list[dict[str, Any]]) -> str:
    """Accuracy over confidence: bars on the dashed line keep what the confidence promises."""
    side, foot = PLOT, 46
    most = max(each["count"] for each in bins)
    parts: list[str] = []
    for tick in (0, 0.25, 0.5, 0.75, 1):
        at = side * tick
        parts.append(
            f'<line class="grid" x1="0" x2="{side}" y1="{side - at:g}" y2="{side - at:g}"/>'
            f'<text x="-8" y="{side - at + 4:g}" text-anchor="end">{tick:.0%}</text>'
            f'<text x="{at:g}" y="{side + foot + 26}" text-anchor="middle">{tick:.0%}</text>'
        )
    for each in bins:
        if not each["count"]:
            continue
        left, width = each["lower"] * side + 1, (each["upper"] - each["lower"]) * side - 2
        reached = each["accuracy"] * side
        low, high = sorted((reached, each["confidence"] * side))
        tall = max(each["count"] / most * (foot - 6), 1)
        parts.append(
            f"<g><title>confidence {each['lower']:.2f} to {each['upper']:.2f}: {each['count']} images, "
            f"mean confidence {each['confidence']:.3f}, accuracy {each['accuracy']:.3f}</title>"
            f'<rect class="accuracy" x="{left:.1f}" width="{width:.1f}" y="{side - low:.1f}" '
            f'height="{low:.1f}"/>'
            f'<rect class="gap" x="{left:.1f}" width="{width:.1f}" y="{side - high:.1f}" '
            f'height="{high - low:.1f}"/>'
            f'<rect class="reached" x="{left:.1f}" width="{width:.1f}" y="{side - reached:.1f}" height="3"/>'
            f'<rect class="images" x="{left:.1f}" width="{width:.1f}" y="{side + foot + 8 - tall:.1f}" '
            f'height="{tall:.1f}"/></g>'
        )
    return (
        f'<svg class="diagram" viewBox="-46 -30 {side + 62} {side + foot + 84}" role="img" '
        'aria-label="Accuracy over confidence; the table has the figures">'
        f"{''.join(parts)}"
        f'<line class="promise" x1="0" y1="{side}" x2="{side}" y2="0"/>'
        f'<text x="{side / 2:g}" y="{side + foot + 46}" text-anchor="middle">confidence</text>'
        f'<text x="-40" y="-16">accuracy</text></svg>'
    )


def spread(feature: dict[str, Any]) -> dict[str, float]:
    """Lowest, 5 %, middle, 95 % and highest value of a baseline's histogram, as its bins tell them."""
    reached = np.cumsum(feature["counts"]) / sum(feature["counts"])
    edges = [*feature["edges"], feature["max"]]
    found = {f"{share:.0%}": edges[int(np.searchsorted(reached, share))] for share in (0.05, 0.5, 0.95)}
    return {"lowest": feature["min"], **found, "highest": feature["max"]}


def spread_bar(values: dict[str, float]) -> str:
    """The middle 90 % as a band between the lowest and the highest value, with a tick at the middle."""
    low, width = values["lowest"], values["highest"] - values["lowest"] or 1.0
    left, middle, right = ((values[each] - low) / width * 100 for each in ("5%", "50%", "95%"))
    return (
        f'<span class="spread"><span class="band" style="left:{left:.1f}%;width:{right - left:.1f}%"></span>'
        f'<span class="tick" style="left:{middle:.1f}%"></span></span>'
    )
