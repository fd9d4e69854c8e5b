"""The part that every step's event of the training workflow has, and how a wrong event names its field."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError


class EventError(ValueError):
    """The workflow called a step with an event that it does not take; the message names the field."""


class RunEvent(BaseModel):
    """Which run of which model line a step works for."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_id: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,24}$")]
    line: Literal["champion", "smoke"]


Event = TypeVar("Event", bound=RunEvent)


def read_event(model: type[Event], event: dict[str, Any]) -> Event:
    """The typed event. Raises EventError naming each wrong field."""
    try:
        return model.model_validate(event)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise EventError("; ".join(faults)) from error
