"""Metrics of invocations, counted in place: one data point per second, metric and value."""

import math

from twin import glue

_NAMESPACE = "AWS/SageMaker"
_STEPS_PER_DOUBLING = 32  # latencies are kept to about 2 %, so that percentiles can be had of few points


class Counts:
    """What one variant's invocations are counted in."""

    def __init__(self, endpoint: str, variant: str, instances: int) -> None:
        """`instances` serve the variant now."""
        self._dimensions = {"EndpointName": endpoint, "VariantName": variant}
        self._share = 1 / max(instances, 1)

    def answered(self, status: int) -> None:
        """Count an invocation that was answered with an HTTP status."""
        for name, value in (
            ("Invocations", 1.0),
            ("Invocation4XXErrors", float(400 <= status < 500)),
            ("Invocation5XXErrors", float(status >= 500)),
            ("InvocationModelErrors", float(status >= 400)),
            ("InvocationsPerInstance", self._share),
        ):
            self._count(name, value, "None")

    def took(self, model_seconds: float, overhead_seconds: float) -> None:
        """Count how long the model took to answer, and how long everything else did."""
        self._count("ModelLatency", _rounded(model_seconds * 1e6), "Microseconds")
        self._count("OverheadLatency", _rounded(max(overhead_seconds, 0) * 1e6), "Microseconds")

    def _count(self, name: str, value: float, unit: str) -> None:
        glue.count_metric(_NAMESPACE, name, value, unit, self._dimensions)


def of(endpoint: str, variant: str, instances: int) -> Counts:
    """Return what the invocations of a variant of the current scope are counted in."""
    return Counts(endpoint, variant, instances)


def _rounded(microseconds: float) -> float:
    if microseconds <= 1:
        return 1.0
    steps = round(math.log2(microseconds) * _STEPS_PER_DOUBLING)
    return round(2 ** (steps / _STEPS_PER_DOUBLING), 1)
