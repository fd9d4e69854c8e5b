"""The search space of a tuning job: its ranges, and the way between a text and a coordinate."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from twin.json_service import ServiceError
from twin.services.sagemaker.records import Record
from twin.services.sagemaker.refusal import refuse_members

# A coordinate is a share of a range from 0 to 1, or the position of a categorical value.
Point = Mapping[str, float]
_MOST_PARAMETERS = 30
# From this ratio of its bounds on, a range without a scaling of its own is searched by orders of magnitude.
_LOGARITHMIC_FROM = 100
_SCALES: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "Linear": (lambda value: value, lambda scaled: scaled),
    "Logarithmic": (math.log, math.exp),
    "ReverseLogarithmic": (lambda value: -math.log1p(-value), lambda scaled: -math.expm1(-scaled)),
}


@dataclass(frozen=True)
class Range:
    """A continuous or integer range."""

    name: str
    low: float
    high: float
    scaling: str
    is_integer: bool

    def text(self, share: float) -> str:
        """Return the value at a share of the range."""
        low, high = self._ends()
        value = _SCALES[self.scaling][1](low + share * (high - low))
        value = min(max(round(value) if self.is_integer else value, self.low), self.high)
        return str(int(value)) if self.is_integer else repr(value)

    def share(self, text: str) -> float | None:
        """Return where a value lies in the range, None when it does not."""
        try:
            value = float(text)
        except ValueError:
            return None
        if not self.low <= value <= self.high:
            return None
        low, high = self._ends()
        return (_SCALES[self.scaling][0](value) - low) / (high - low)

    def _ends(self) -> tuple[float, float]:
        """Return the scaled bounds; every whole number has a part of the range of its own, the bounds too."""
        forward, _ = _SCALES[self.scaling]
        margin = 0.5 if self.is_integer else 0.0
        return forward(self.low - margin), forward(self.high + margin)


@dataclass(frozen=True)
class Choice:
    """A categorical range."""

    name: str
    values: tuple[str, ...]

    def text(self, position: float) -> str:
        """Return the value at a position."""
        return self.values[int(position)]

    def share(self, text: str) -> float | None:
        """Return the position of a value, None when it is none of the range."""
        return self.values.index(text) if text in self.values else None


class Space:
    """All ranges of a tuning job."""

    def __init__(self, ranges: Record, static: Mapping[str, str]) -> None:
        """Read `ParameterRanges`; raises `ServiceError` for what AWS or the twin does not take."""
        refuse_members(ranges, ["AutoParameters"], "ParameterRanges")
        categorical = ranges.get("CategoricalParameterRanges", [])
        self.parameters: list[Range | Choice] = [
            *(_range(one, is_integer=False) for one in ranges.get("ContinuousParameterRanges", [])),
            *(_range(one, is_integer=True) for one in ranges.get("IntegerParameterRanges", [])),
            *(Choice(one["Name"], tuple(one["Values"])) for one in categorical),
        ]
        names = [parameter.name for parameter in self.parameters]
        if not names:
            raise _invalid("ParameterRanges must have at least one range.")
        if len(names) > _MOST_PARAMETERS:
            raise _invalid(f"ParameterRanges has {len(names)} ranges; {_MOST_PARAMETERS} are the most.")
        for name in names:
            if names.count(name) > 1 or name in static:
                raise _invalid(f"The hyperparameter {name!r} is given more than once, or is static as well.")

    @property
    def choices(self) -> list[Choice]:
        """The categorical ranges."""
        return [parameter for parameter in self.parameters if isinstance(parameter, Choice)]

    def texts(self, point: Point) -> dict[str, str]:
        """Return the hyperparameters at a point."""
        return {parameter.name: parameter.text(point[parameter.name]) for parameter in self.parameters}

    def point(self, texts: Mapping[str, str]) -> dict[str, float] | None:
        """Return the point of hyperparameters, None when one is missing or lies outside."""
        found = {p.name: p.share(texts[p.name]) for p in self.parameters if p.name in texts}
        known = {name: share for name, share in found.items() if share is not None}
        return known if len(known) == len(self.parameters) else None


def _range(one: Mapping[str, Any], *, is_integer: bool) -> Range:
    name, scaling = one["Name"], one.get("ScalingType", "Auto")
    try:
        low, high = float(one["MinValue"]), float(one["MaxValue"])
    except ValueError as fault:
        raise _invalid(f"MinValue and MaxValue of {name!r} must be numbers: {fault}.") from fault
    if is_integer and not (low.is_integer() and high.is_integer()):
        raise _invalid(f"MinValue and MaxValue of the integer range {name!r} must be whole numbers.")
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise _invalid(f"MaxValue of {name!r} must be greater than its MinValue.")
    if scaling == "Logarithmic" and low <= 0:
        raise _invalid(f"{name!r} has logarithmic scaling: all its values must be greater than 0.")
    if scaling == "ReverseLogarithmic" and (is_integer or low < 0 or high >= 1):
        raise _invalid(f"{name!r} has reverse logarithmic scaling: it must be continuous, from 0 to below 1.")
    if scaling == "Auto":
        scaling = "Logarithmic" if low > 0 and high / low >= _LOGARITHMIC_FROM else "Linear"
    return Range(name, low, high, scaling, is_integer)


def _invalid(text: str) -> ServiceError:
    return ServiceError("ValidationException", text)
