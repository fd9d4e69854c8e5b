"""The evaluation as one page for people: style and pictures inside, no scripts, nothing fetched."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from report_figures import (
    bar,
    calibration_diagram,
    confused_pairs,
    heat_table,
    percent,
    picture,
    points,
    shown_classes,
    spread,
    spread_bar,
    table,
)
from report_gallery import Gallery, Mistake

CLASSES_SHOWN = 40  # rows of the table of classes; the others can be unfolded
STYLE = Path(__file__).with_name("report.css").read_text(encoding="utf-8")

Document = dict[str, Any]


def page(document: Document, baseline: Document, gallery: Gallery) -> str:
    """The whole HTML document, from evaluation.json, baseline.json and the pictures."""
    classes = list(document["per_class"])
    sections = [
        _header(document, len(classes)),
        _tiles(document, gallery),
        _champion(document, gallery, classes),
        _mistakes(gallery, classes),
        _confusion(document, classes),
        _calibration(document),
        _classes(document),
        _baseline(baseline),
    ]
    title = escape(f"Evaluation of {document['model']}, run {document['run'] or 'without a name'}")
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        # Were a label ever to slip through as markup, it could still load and run nothing.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n"
        + "\n".join(section for section in sections if section)
        + "\n</main>\n</body>\n</html>\n"
    )


def _header(document: Document, classes: int) -> str:
    facts = [
        f"Model <strong>{escape(document['model'])}</strong>",
        f"Run <strong>{escape(document['run'] or 'without a name')}</strong>",
        f"{_counted(document['count'], 'holdout image')}",
        f"{_counted(classes, 'class', 'classes')}",
    ]
    return (
        "<header><h1>Evaluation on the frozen holdout</h1>"
        f'<p class="lead">{_headline(document)}</p>'
        f'<p class="facts">{"".join(f"<span>{fact}</span>" for fact in facts)}</p>'
        '<p class="small">The gate decides from these figures. Its verdict, with reasons, is in the '
        "record of the run.</p></header>"
    )


def _headline(document: Document) -> str:
    right, count = round(document["accuracy"] * document["count"]), document["count"]
    words = f"{right:,} of {_counted(count, 'image')} answered rightly"
    champion = document["champion"]
    if champion and champion["comparable"]:
        gained, lost = champion["only_candidate"], champion["only_champion"]
        words += f"; against the champion {gained:,} gained and {lost:,} lost"
    return words + "."


def _tiles(document: Document, gallery: Gallery) -> str:
    seen = {label: each for label, each in document["per_class"].items() if each["support"]}
    lowest = min(seen, key=lambda label: seen[label]["recall"])
    latency, error = document["latency_ms"], document["calibration"]["ece"]
    tiles = [
        (percent(document["accuracy"], 2), "Accuracy", _counted(gallery.mistakes, "mistake")),
        (percent(document["macro_f1"], 2), "Macro F1", "mean over the classes"),
        (percent(seen[lowest]["recall"]), "Lowest recall", f"class {escape(lowest)}"),
        (percent(error, 2), "Calibration error", "ECE, 15 bins"),
        (f"{latency['p95']:.2f} ms", "Latency p95", f"p50 {latency['p50']:.2f} ms, one image at a time"),
    ]
    champion = document["champion"]
    if champion and champion["comparable"]:
        difference = document["accuracy"] - champion["accuracy"]
        tiles.append((points(difference), "Accuracy against champion", "percentage points"))
    items = "".join(
        f'<li><span class="value">{value}</span><span class="name">{name}</span>'
        f'<span class="note">{note}</span></li>'
        for value, name, note in tiles
    )
    return f'<section class="bare" aria-label="Figures"><ul class="tiles">{items}</ul></section>'


def _champion(document: Document, gallery: Gallery, classes: list[str]) -> str:
    champion = document["champion"]
    if champion is None:
        return _section("Against the champion", '<p class="empty">There is no champion yet.</p>')
    version = f'<p class="small wrap">Champion: <code>{escape(champion["version"])}</code></p>'
    if not champion["comparable"]:
        reason = escape(champion["reason"])
        return _section("Against the champion", f"{version}<p>It could not be asked: {reason}.</p>")
    rows = [
        (
            name,
            percent(document[field], 2),
            percent(champion[field], 2),
            points(document[field] - champion[field]),
        )
        for name, field in (("Accuracy", "accuracy"), ("Macro F1", "macro_f1"))
    ]
    quantiles = dict(map(tuple, champion["macro_f1_differences"]["quantiles"]))
    resamples = champion["macro_f1_differences"]["resamples"]
    note = (
        f'<p class="small">Difference in macro F1, in 90 % of {resamples:,} '
        f"resamples of the holdout: {points(quantiles[0.05])} to {points(quantiles[0.95])} points.</p>"
    )
    unknown = champion["unknown_classes"]
    if unknown:
        note += (
            f'<p class="small">{_counted(len(unknown), "class", "classes")} of this model the champion does '
            "not know; it is wrong on their images.</p>"
        )
    lost = ""
    if gallery.lost:
        lost = "<h3>Right by the champion, wrong by this model</h3>" + _pictures(gallery.lost, classes)
        lost += _more(champion["only_champion"], len(gallery.lost))
    heads = ("", "This model", "Champion", "Points")
    body = version + _paired(document["count"], champion) + table(heads, rows, "figures") + note + lost
    return _section("Against the champion", body)


def _paired(count: int, champion: Document) -> str:
    """The paired table as one bar: what both got right, what either gained, what neither knew."""
    parts = [
        ("both", "right by both", champion["both_right"]),
        ("gained", "only by this model", champion["only_candidate"]),
        ("lost", "only by the champion", champion["only_champion"]),
        ("neither", "by neither", champion["both_wrong"]),
    ]
    bars = "".join(
        f'<span class="{kind}" style="flex-grow:{number / count:.6f}"></span>'
        for kind, _, number in parts
        if number
    )
    legend = "".join(
        f'<li><span class="key {kind}"></span><strong>{number:,}</strong> {words}</li>'
        for kind, words, number in parts
    )
    return f'<div class="paired" aria-hidden="true">{bars}</div><ul class="legend">{legend}</ul>'


def _mistakes(gallery: Gallery, classes: list[str]) -> str:
    if not gallery.worst:
        return _section("Worst mistakes", '<p class="empty">There are none: every answer is right.</p>')
    note = (
        '<p class="small">The less probability the truth got, the earlier. Truth first, then the answer.</p>'
    )
    more = _more(gallery.mistakes, len(gallery.worst))
    return _section("Worst mistakes", note + _pictures(gallery.worst, classes) + more)


def _pictures(mistakes: list[Mistake], classes: list[str]) -> str:
    return f'<ul class="pictures">{"".join(_picture(each, classes) for each in mistakes)}</ul>'


def _picture(mistake: Mistake, classes: list[str]) -> str:
    truth, answer = escape(classes[mistake.truth]), escape(classes[mistake.answer])
    said = f"<b>{truth}</b> \N{RIGHTWARDS ARROW} <i>{answer}</i>"
    title = f"{escape(mistake.name)}: {truth} \N{RIGHTWARDS ARROW} {answer}"
    champion = ""
    if mistake.champion is not None:
        theirs = "another class" if mistake.champion < 0 else escape(classes[mistake.champion])
        right = " right" if mistake.champion == mistake.truth else ""
        champion = f'<span class="note{right}">champion: {theirs}</span>'
    return (
        f'<li title="{title}"><img alt="{truth}, answered as {answer}" loading="lazy" '
        f'src="{picture(mistake.image)}"><span class="said">{said}</span>'
        f'<span class="note">{percent(mistake.confidence)} sure</span>{champion}</li>'
    )


def _confusion(document: Document, classes: list[str]) -> str:
    matrix = np.asarray(document["confusion_matrix"])
    shown, note = shown_classes(matrix), ""
    if len(shown) < len(classes):
        note = (
            f'<p class="small">The {len(shown)} of {len(classes):,} classes that are confused most often, '
            "in the order of the model's classes. The last column holds the answers of all other classes.</p>"
        )
    pairs = [
        (
            f"{escape(classes[truth])} \N{RIGHTWARDS ARROW} {escape(classes[answer])}",
            f"{images:,}",
            percent(images / int(matrix[truth].sum())),
        )
        for truth, answer, images in confused_pairs(matrix)
    ]
    often = table(("Truth \N{RIGHTWARDS ARROW} answer", "Images", "Of the class"), pairs, "figures pairs")
    most = f"<div><h3>Most frequent mistakes</h3>{often}</div>" if pairs else ""
    figures = f'<div class="beside">{heat_table(matrix, classes)}{most}</div>'
    return _section("Confusion matrix", note + figures)


def _calibration(document: Document) -> str:
    bins = document["calibration"]["bins"]
    rows = [
        (
            f"{each['lower']:.2f} to {each['upper']:.2f}",
            f"{each['count']:,}",
            percent(each["confidence"]),
            percent(each["accuracy"]),
            points(each["accuracy"] - each["confidence"]),
        )
        for each in bins
        if each["count"]
    ]
    heads = ("Confidence", "Images", "Mean", "Accuracy", "Points")
    return _section(
        "Calibration",
        "<p>Of the answers given with 80 % confidence, 80 % should be right. "
        f"On average the two lie {document['calibration']['ece'] * 100:.2f} points apart (ECE).</p>"
        f'<div class="beside">{calibration_diagram(bins)}{table(heads, rows, "figures")}</div>'
        '<p class="small">The thick line of a bar is the accuracy, orange its distance from the mean '
        "confidence; grey below is how many images there are.</p>",
    )


def _classes(document: Document) -> str:
    ordered = sorted(document["per_class"].items(), key=lambda item: (item[1]["f1"], item[1]["recall"]))
    rows = [
        (
            escape(label),
            f"{each['support']:,}",
            bar(each["recall"]),
            bar(each["precision"]),
            bar(each["f1"]),
        )
        if each["support"]
        else (escape(label), "0", "none in the holdout", "", "")
        for label, each in ordered
    ]
    heads = ("Class", "Images", "Recall", "Precision", "F1")
    body = table(heads, rows[:CLASSES_SHOWN], "figures bars")
    if len(rows) > CLASSES_SHOWN:
        rest = len(rows) - CLASSES_SHOWN
        body = f'<p class="small">The {CLASSES_SHOWN} with the lowest F1 first.</p>{body}'
        body += f"<details><summary>The other {_counted(rest, 'class', 'classes')}</summary>"
        body += table(heads, rows[CLASSES_SHOWN:], "figures bars") + "</details>"
    return _section("Classes", body)


def _baseline(baseline: Document) -> str:
    rows: list[tuple[str, ...]] = []
    for name, feature in baseline["features"].items():
        if name.startswith("probability/"):
            continue
        values = spread(feature)
        rows.append((name.capitalize(), spread_bar(values), *(f"{value:.4g}" for value in values.values())))
    heads = ("", "", "Lowest", "5 %", "Middle", "95 %", "Highest")
    note = (
        f'<p class="small">What {_counted(baseline["images"], "image")} of the holdout look like to this '
        "model: drift is measured against these (baseline.json has the histograms). Entropy is in nats, "
        "image figures are in grey levels of the prepared image.</p>"
    )
    return _section("Baseline", note + table(heads, rows, "figures baseline"))


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _more(number: int, shown: int) -> str:
    return f'<p class="small">{number - shown:,} more are not shown.</p>' if number > shown else ""


def _counted(number: int, word: str, words: str | None = None) -> str:
    return f"{number:,} {word if number == 1 else words or word + 's'}"
