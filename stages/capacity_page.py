"""`python -m stages.capacity_page --write FILE`: the page about capacity, from planning and settings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from planning import measured, quotas
from planning.explained import shown
from planning.ladder import Breaking, Rung, breaking, rungs
from planning.measured import Figure
from planning.prices import REGION, all_prices
from planning.workload import short
from stages.capacity_simulated import kept, simulation, table
from stages.settings_workload import WorkloadSettings

WRITE = "python -m stages.capacity_page --write docs/capacity.md --readme README.md"
# Where the README shows the first rungs of the ladder.
README_MARKS = (
    "<!-- capacity: written by the command of docs/capacity.md -->",
    "<!-- end of capacity -->",
)
_IN_README = 3
_INTRO = f"""# Capacity and cost

What is provisioned follows from the **workload** in the settings: `planning/` turns images a day, peak and
goals into throttles, concurrency, instances, shards and alarms, names the quotas that they exceed, and
counts what they cost. A setting that somebody gives wins over the plan; the others are filled in at
synthesis. This page is written by `{WRITE}` (`make bench-capacity`), and a test holds it to the code.
**Nothing on it was measured on AWS**: the figures it rests on are below, each measured on our machine,
published by AWS, or assumed.

```bash
.venv/bin/python -m ops capacity                    # every number, its reason, and where settings differ
.venv/bin/python -m ops capacity --workload 50M     # for another amount of work
.venv/bin/python -m ops capacity --simulate         # does it hold the goals at the peak? three seeds
.venv/bin/python -m ops capacity --ladder           # the ladder below
.venv/bin/python -m ops cost                        # a month's bill by environment and component
```
"""
_BREAKS = """## Which limit breaks first

With the usual workload and more and more images, AWS's defaults are exceeded in this order. Synthesis stops
and names each quota, the need, the default and the command that asks for more; what the account has been
given goes into `workload.quotas`. Values of us-east-1.
"""
_SIMULATION = """## The simulation

`planning/simulation` (SimPy) lets callers arrive at random, at a rate that rises from the mean to the peak,
and now and then many in the same instant. Each passes the API's token bucket, an execution of the adapter
(a new environment starts cold), an instance of the endpoint at random (each vCPU answers one request after
the other; two attempts of 6 s) or an execution of the model, warm or cold (without instances; who finds none
asks once more within a second), and a write. Records go into lanes of a shard, by key and in order; one
batch in 200 has a record that comes again with all behind it. One image in 200 is the largest that the
rules allow. Target tracking looks once a minute, acts after three, and its instances take minutes to start;
instances can fail and models can be slow on request. A seed fixes every draw, and another capacity meets
the same load. What is too large is simulated as an equal part of it.

Not in it: networks between zones, the function that accepts submissions, idle environments that AWS takes
away, retries by callers, and the quotas above.
"""


def page(simulated: str) -> str:
    """The whole page around the simulation's figures."""
    ladder = rungs()
    usual = ladder[0]
    parts = [
        _INTRO,
        *_settings(),
        *_plan(usual),
        *_ladder(ladder),
        *_breaks(breaking()),
        _SIMULATION,
        simulated,
        *_bill(usual),
        *_figures(),
    ]
    return "\n".join(parts).rstrip() + "\n"


def _settings() -> Iterator[str]:
    yield "## Settings\n"
    yield "Group `workload` of `context.platform` in `cdk.json`; an environment may set any of them again.\n"
    rows = [
        [
            f"`workload.{name}`",
            "none" if (default := field.get_default(call_default_factory=True)) is None else f"`{default}`",
            field.description or "",
        ]
        for name, field in WorkloadSettings.model_fields.items()
    ]
    yield from table(["setting", "default", "meaning"], rows)
    yield ""


def _plan(usual: Rung) -> Iterator[str]:
    yield "## The usual workload, number by number\n"
    rows = [
        [f"{each.title}<br>`{each.key}`", f"{shown(each.value)} {each.unit}".strip(), each.in_words()]
        for each in usual.capacity.explained
    ]
    yield from table(["number", "plan", "why"], rows)
    yield ""
    yield "Where there is no setting of a key, the number is the plan's alone.\n"


def _ladder(ladder: Sequence[Rung]) -> Iterator[str]:
    yield "## The ladder\n"
    yield from table(LADDER_HEAD, [ladder_row(each) for each in ladder])
    yield ""


LADDER_HEAD = [
    "images a day",
    "peak",
    "API rate, burst",
    "adapter",
    "endpoint",
    "shards x consumers",
    "beyond AWS's defaults (worst first)",
    "a month",
    "per million",
]


def ladder_row(found: Rung) -> list[str]:
    """One rung as the table shows it."""
    plan = found.provision
    fleet = f"{plan.instances}" + (f" to {plan.most_instances}" if plan.scales else "")
    return [
        short(found.workload.images_per_day),
        f"{found.workload.peak_per_second:,.0f}/s",
        f"{plan.api_rate:,.0f}/s, {plan.api_burst:,}",
        f"{plan.predict_concurrency or 0:,} at once",
        f"{fleet} {plan.instance_type}",
        f"{'on demand' if plan.on_demand else plan.shards} x {plan.consumers_per_shard}",
        ", ".join(f"{each.quota.key} {each.share:.1f}x" for each in found.exceeded) or "none",
        f"${found.bill.total:,.0f}",
        f"${found.bill.per_million:,.2f}",
    ]


def _breaks(found: Sequence[Breaking]) -> Iterator[str]:
    yield _BREAKS
    rows = [
        [
            f"`{each.quota.key}`",
            each.quota.title,
            f"{each.quota.default or 0:,.0f} {each.quota.unit}",
            short(each.images_per_day),
            ("raise it; " if each.quota.adjustable else "cannot be raised: ") + each.quota.beyond,
            str(each.quota.source),
        ]
        for each in found
    ]
    yield from table(["name", "quota", "default", "breaks at", "what changes then", "source"], rows)
    yield ""
    yield f"`{quotas.ENDPOINT_INSTANCES.key}`: {quotas.ENDPOINT_INSTANCES.beyond}.\n"


def _bill(usual: Rung) -> Iterator[str]:
    yield f"## A month of {short(usual.workload.images_per_day)} images a day\n"
    rows = [[each.component, f"${each.usd:,.2f}", each.counted] for each in usual.bill.items]
    rows.append(["**total**", f"**${usual.bill.total:,.2f}**", f"${usual.bill.per_million:,.2f} per million"])
    yield from table(["component", "a month", "counted"], rows)
    dates = sorted({f"{each.source.on:%Y-%m-%d}" for each in all_prices().values()})
    yield ""
    yield (
        f"Prices: `planning/prices.py`, {REGION}, {', '.join(dates)}, without free tiers and discounts. "
        "Not in it: training (`training.max_cost_usd` limits a run), data transfer out, support. What is "
        "fixed, whatever comes: the endpoint, the network's interfaces (`network.vpc`), the web ACL "
        "(`safeguards.web_acl`).\n"
    )


def _figures() -> Iterator[str]:
    yield "## What all this rests on\n"
    found = [each for each in vars(measured).values() if isinstance(each, Figure)]
    rows = [
        [each.name, f"{each.value:g} {each.unit}", each.kind, f"{each.where} ({each.on:%Y-%m-%d})"]
        for each in found
    ]
    yield from table(["figure", "value", "", "where"], rows)


def with_head(readme: str, text: str) -> str:
    """README with the ladder's first rungs between its marks, from the page's text. Raises ValueError."""
    head = [
        "images a day",
        "peak",
        "endpoint",
        "a month",
        "per million",
        "p99 (simulated)",
        "beyond AWS's defaults",
    ]
    rows = list[list[str]]()
    for found in rungs()[:_IN_README]:
        images, peak, _, _, endpoint, _, beyond, month, million = ladder_row(found)
        rows.append([images, peak, endpoint, month, million, _simulated_p99(text, images), beyond])
    first, last = (readme.index(mark) for mark in README_MARKS)
    return readme[:first] + "\n".join([README_MARKS[0], "", *table(head, rows), "", readme[last:]])


def _simulated_p99(text: str, images: str) -> str:
    row = next(line for line in kept(text).splitlines() if line.startswith(f"| {images} |"))
    return row.split(" | ")[4]


def main() -> int:
    """Write the page, and the README's part of it; `--keep` keeps the simulation's figures that it has."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", type=Path, required=True)
    parser.add_argument("--readme", type=Path, help="the README, which shows the first rungs")
    parser.add_argument("--keep", action="store_true", help="keep the simulation's figures")
    arguments = parser.parse_args()
    target: Path = arguments.write
    simulated = kept(target.read_text()) if arguments.keep else simulation()
    text = page(simulated)
    target.write_text(text)
    if arguments.readme:
        arguments.readme.write_text(with_head(arguments.readme.read_text(), text))
    print(f"{target}: written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
