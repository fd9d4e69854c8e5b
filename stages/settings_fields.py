"""What settings are made of: groups without unknown keys, and values that are checked by their form."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

AccountId = Annotated[str, Field(pattern=r"^\d{12}$")]
Region = Annotated[str, Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")]
Zone = Annotated[str, Field(pattern=r"^[a-f]$")]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$")]
# CloudWatch Logs accepts only these retention periods.
LogDays = Literal[1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 3653]
_GRAVITON = re.compile(r"^ml\.[a-z]+\d+g")


def _x86(instance_type: str) -> str:
    if _GRAVITON.match(instance_type):
        raise ValueError(
            "Graviton serves no jobs, and the serving image is the evaluation job's too: "
            "choose an x86 type such as ml.c7i.large"
        )
    return instance_type


InstanceType = Annotated[str, Field(pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9]+$"), AfterValidator(_x86)]


class Group(BaseModel):
    """A group of settings: fixed once read, and without keys that nobody reads."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class PlaceSettings(Group):
    """An AWS account and region."""

    account: AccountId
    region: Region
