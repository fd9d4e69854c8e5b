"""What the dossier step is told by its environment variables, typed, each wrong one named with its cure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

_ROLE = r"^arn:aws[a-z-]*:iam::[0-9]{12}:role/.+$"
_REGION = r"^[a-z]{2}(-[a-z]+)+-\d$"
_ENVIRONMENT = r"^[a-z][a-z0-9-]{0,30}$"


class SettingsError(ValueError):
    """One or more variables are missing or wrong; `str()` is the list to show, one line each."""


def _listed(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Settings(BaseModel):
    """Everything one dossier needs to know; the alias of a field is its environment variable."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    pipeline: Annotated[str, Field(pattern=r"^[A-Za-z0-9.@_-]{1,100}$")] = Field(
        alias="PIPELINE_NAME", description="the delivery pipeline's name"
    )
    execution: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = Field(
        alias="PIPELINE_EXECUTION_ID", description="the pipeline execution that asks for the approval"
    )
    environment: Annotated[str, Field(pattern=_ENVIRONMENT)] = Field(
        alias="ENVIRONMENT", description="the environment to be deployed, as in the settings, such as prod"
    )
    account: Annotated[str, Field(pattern=r"^[0-9]{12}$")] = Field(
        alias="TARGET_ACCOUNT", description="the environment's account, 12 digits"
    )
    regions: Annotated[
        tuple[Annotated[str, Field(pattern=_REGION)], ...], BeforeValidator(_listed), Field(min_length=1)
    ] = Field(alias="TARGET_REGIONS", description="the environment's regions, comma separated, home first")
    assembly: Path = Field(
        alias="ASSEMBLY", description="the folder of the cloud assembly that the build step wrote"
    )
    reports_bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] = Field(
        alias="REPORTS_BUCKET", description="where the dossier is kept, and the smoke reports are"
    )
    lookup_role: Annotated[str, Field(pattern=_ROLE)] = Field(
        alias="LOOKUP_ROLE_ARN", description="the CDK's lookup role in the environment's account"
    )
    dossier_role: Annotated[str, Field(pattern=_ROLE)] = Field(
        alias="DOSSIER_ROLE_ARN", description="the role there that makes and deletes change sets"
    )
    before: Annotated[str, Field(pattern=r"^([a-z][a-z0-9-]{0,30})?$")] = Field(
        "", alias="BEFORE", description="the environment before, whose smoke results are shown; may be empty"
    )
    pipeline_stage: str = Field(
        "",
        alias="PIPELINE_STAGE",
        description="the pipeline's stage that deploys the environment; default: its name, capitalised",
    )

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings from `environ`; empty variables count as missing.

        Raises:
            SettingsError: naming every missing or wrong variable with its cure.
        """
        given: dict[str, Any] = {name: value.strip() for name, value in environ.items() if value.strip()}
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            lines = dict.fromkeys(
                cls._explain(str(item["loc"][0]), item["type"], item["msg"]) for item in error.errors()
            )
            raise SettingsError("\n".join(lines)) from None

    @classmethod
    def variables(cls) -> list[tuple[str, bool, str]]:
        """Every variable as (name, required, meaning), in the order of declaration."""
        return [
            (str(field.alias), field.is_required(), field.description or "")
            for field in cls.model_fields.values()
        ]

    @classmethod
    def _explain(cls, name: str, kind: str, message: str) -> str:
        meaning = next((text for variable, _, text in cls.variables() if variable == name), "")
        if kind == "missing":
            return f"{name} is not set: {meaning}"
        return f"{name} is wrong: {re.sub('^Value error, ', '', message)} ({meaning})"

    @property
    def stage(self) -> str:
        """The pipeline's stage whose last success says what is deployed now."""
        return self.pipeline_stage or self.environment.capitalize()

    @property
    def prefix(self) -> str:
        """Key prefix under which this dossier is kept."""
        return prefix_of(self.execution, self.environment)

    @property
    def url(self) -> str:
        """Where the page will lie."""
        return f"s3://{self.reports_bucket}/{self.prefix}index.html"


def prefix_of(execution: str, environment: str) -> str:
    """Key prefix under which the dossier of an execution for an environment is kept."""
    return f"dossier/{execution}/{environment}/"
