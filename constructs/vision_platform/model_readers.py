"""Names of the roles by which one environment reads another's models: both sides must know them."""

from __future__ import annotations

# Who serves a model, compares with it, judges its evaluation, and looks its package up.
HOSTING, EVALUATION, GATE, PROMOTION = "hosting", "evaluation", "gate", "promotion"


def reader_role(prefix: str, kind: str) -> str:
    """The name of the role of one kind; `prefix` is the platform's name and the environment's label."""
    return f"{prefix}-{kind}"
