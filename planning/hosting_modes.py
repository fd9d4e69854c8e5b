"""What each hosting mode costs at how many images a day, and from where on another one is cheaper.

`python -m planning.hosting_modes --write docs/hosting.md` writes the table there; a test holds it current.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from planning.prices import (
    LAMBDA_GB_SECONDS,
    LAMBDA_REQUESTS,
    S3_GETS,
    S3_PUTS,
    SERVERLESS_DATA_GB,
    SERVERLESS_GB_SECONDS,
    hourly_usd,
)
from planning.quotas import LAMBDA_CONCURRENCY
from planning.sizing_functions import request_seconds

DAYS, HOURS_A_DAY, SECONDS_A_DAY = 30.4, 24, 86_400
BEGIN, END = "<!-- computed: begin -->", "<!-- computed: end -->"


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked of the models: images a day, the busiest hour's share of them, what one image takes."""

    images_per_day: float
    # A tenth of the day in its busiest hour: a day has about ten such hours.
    peak_hour_share: float = 0.1
    # ResNet-18 at 224 x 224 in ONNX Runtime, measured on one core.
    core_seconds: float = 0.042
    # uint8, 224 x 224 x 3.
    image_bytes: int = 150_528
    instance_type: str = "ml.c7i.large"
    cores: int = 2
    # Beyond this share of the cores requests wait for each other.
    utilisation: float = 0.6
    serverless_memory_mb: int = 2048
    lambda_memory_mb: int = 1769
    models: int = 10

    @property
    def images_per_month(self) -> float:
        """In a month of 30.4 days."""
        return self.images_per_day * DAYS

    @property
    def active_hours(self) -> float:
        """Hours of a day in which anything comes at all, as the busiest hour's share says."""
        return min(float(HOURS_A_DAY), 1 / self.peak_hour_share)

    @property
    def instances(self) -> int:
        """Instances that the busiest hour needs; no fewer than two, for another to take over from one."""
        rate = self.images_per_day * self.peak_hour_share / 3600
        return max(2, math.ceil(rate * self.core_seconds / (self.cores * self.utilisation)))


def real_time(load: Load) -> float:
    """US dollars a month: two instances all day, and what the active hours need beyond."""
    hour = hourly_usd(load.instance_type)
    return DAYS * hour * (2 * HOURS_A_DAY + (load.instances - 2) * load.active_hours)


def serverless(load: Load) -> float:
    """US dollars a month: seconds by memory, and the images' bytes."""
    return serverless_usd(
        load.images_per_month, load.core_seconds, load.serverless_memory_mb, load.image_bytes
    )


def serverless_usd(images: float, core_seconds: float, memory_mb: int, image_bytes: int) -> float:
    """US dollars for so many images, each of so many bytes and so many seconds of one core."""
    compute = request_seconds(core_seconds, memory_mb) * memory_mb / 1024 * SERVERLESS_GB_SECONDS.first
    return images * (compute + image_bytes / 1e9 * SERVERLESS_DATA_GB.first)


def on_functions(load: Load) -> float:
    """US dollars a month: seconds by memory, and requests. The adapter waits as long in every mode."""
    return functions_usd(load.images_per_month, load.core_seconds, load.lambda_memory_mb)


def functions_usd(images: float, core_seconds: float, memory_mb: int) -> float:
    """US dollars for so many images, each of so many seconds of one core and a request of its own."""
    gb_seconds = images * request_seconds(core_seconds, memory_mb) * memory_mb / 1024
    return LAMBDA_GB_SECONDS.of(gb_seconds) + LAMBDA_REQUESTS.of(images / 1e6)


def executions(load: Load) -> int:
    """How many of the function's environments work at once in the busiest hour, on average and no less."""
    rate = load.images_per_day * load.peak_hour_share / 3600
    return math.ceil(rate * request_seconds(load.core_seconds, load.lambda_memory_mb))


def asynchronous(load: Load) -> float:
    """US dollars a month: instances in the active hours only, and the way of each image through S3."""
    hours = hours_awake(load.images_per_day, load.core_seconds, load.cores * load.utilisation)
    return through_storage_usd(load.images_per_month) + DAYS * hourly_usd(load.instance_type) * hours


def hours_awake(images_per_day: float, core_seconds: float, cores: float) -> float:
    """Hours of instances in a day, where the fleet rests at zero; `cores` may be used of each instance."""
    # One hour at a time: an instance that has come stays for a while.
    return max(images_per_day * core_seconds / cores / 3600, 1.0)


def through_storage_usd(images: float) -> float:
    """US dollars for the way of images and answers through S3: written twice, read three times."""
    return images * (2 * S3_PUTS.first + 3 * S3_GETS.first) / 1e6


def multi_model(load: Load) -> float:
    """US dollars a month for one of several models that share a fleet, all asked together as `load` says."""
    return real_time(load) / load.models


MODES: dict[str, Callable[[Load], float]] = {
    "real-time": real_time,
    "serverless": serverless,
    "asynchronous": asynchronous,
    "multi-model": multi_model,
    "lambda": on_functions,
}
_ROWS = (1_000, 10_000, 100_000, 500_000, 2_000_000, 10_000_000)
_FEWEST, _MOST = 100, 100_000_000


def crossing(one: str, other: str) -> int | None:
    """From how many images a day on mode `one` is dearer than `other`; None if it never is."""
    images = float(_FEWEST)
    while images <= _MOST:
        load = Load(images_per_day=images)
        if MODES[one](load) > MODES[other](load):
            return _rounded(images)
        images *= 1.02
    return None


def _rounded(images: float) -> int:
    """To two digits: the prices are not known better."""
    unit = 10 ** (int(math.log10(images)) - 1)
    return round(images / unit) * unit


def table() -> str:
    """The table and the crossing points, as Markdown."""
    load = Load(images_per_day=1)
    names = [name if name != "multi-model" else f"multi-model, of {load.models}" for name in MODES]
    lines = [
        f"US dollars a month for hosting alone: {load.instance_type}, {load.core_seconds * 1000:g} ms of one "
        f"core an image, {load.image_bytes // 1000} kB each, serverless with {load.serverless_memory_mb} MB, "
        f"lambda with {load.lambda_memory_mb} MB.",
        "",
        f"| images a day | {' | '.join(names)} |",
        f"|---|{'---|' * len(names)}",
    ]
    for images in _ROWS:
        costs = [each(Load(images_per_day=images)) for each in MODES.values()]
        lines.append(f"| {images:,} | {' | '.join(f'{cost:,.0f}' for cost in costs)} |")
    lines.append("")
    for one, other in (
        ("serverless", "real-time"),
        ("serverless", "asynchronous"),
        ("asynchronous", "real-time"),
        ("lambda", "real-time"),
        ("lambda", "asynchronous"),
        ("lambda", "serverless"),
    ):
        found = crossing(one, other)
        where = f"from about {found:,} images a day on" if found else "never"
        lines.append(f"- `{one}` is dearer than `{other}` {where}.")
    busy = Load(images_per_day=_ROWS[-1])
    lines.append(
        f"- `lambda` needs {executions(busy)} executions at once in the busiest hour of {_ROWS[-1]:,} images "
        f"a day; an account has {LAMBDA_CONCURRENCY.default:,.0f} for all of its functions."
    )
    return "\n".join(lines)


def written_into(page: str) -> str:
    """The page with the table of now between its marks. Raises ValueError when it has no such marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the page has no place for the table: write {BEGIN} and {END} into it")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    """Command line: print the table, or write it into a page."""
    parser = argparse.ArgumentParser(description="What hosting costs by mode.")
    parser.add_argument("--write", type=Path, help="the page that the table stands in")
    page = parser.parse_args().write
    if page is None:
        print(table())
    else:
        page.write_text(written_into(page.read_text()))


if __name__ == "__main__":
    main()
