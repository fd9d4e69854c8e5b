"""Settings of the delivery: what starts it, who approves and is told, and what a smoke test may cost."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from stages.settings_fields import Email, Group

# CodePipeline takes at most eight patterns of a kind.
Patterns = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(max_length=8)]


class TriggerSettings(Group):
    """Which pushes start the pipeline: to which branches, and with changes to which files."""

    branches: Annotated[
        Patterns,
        Field(description="Branches whose pushes start the pipeline, as patterns; without any: the source's"),
    ] = ()
    include_paths: Annotated[
        Patterns,
        Field(description="Only a push that changes one of these starts it; without any: every file"),
    ] = ()
    exclude_paths: Annotated[
        Patterns,
        Field(description="A push that changes nothing but these files does not start the pipeline"),
        # The pattern with a folder may leave out files that lie in none.
    ] = ("docs/**", "*.md", "**/*.md")


class SourceSettings(Group):
    """Where commits come from: a CodeConnections connection to a git host, or a zip in S3."""

    kind: Literal["connection", "s3"] = "connection"
    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    branch: str = "main"
    connection_arn: (
        Annotated[
            str, Field(pattern=r"^arn:aws[\w-]*:code(star-)?connections:[\w-]+:\d{12}:connection/[\w-]+$")
        ]
        | None
    ) = None
    bucket: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None = None
    key: Annotated[str, Field(min_length=1)] | None = None
    triggers: Annotated[
        TriggerSettings, Field(description="Filters of the pushes that start the pipeline")
    ] = TriggerSettings()

    @model_validator(mode="after")
    def _names_what_its_kind_needs(self) -> SourceSettings:
        wanted = ("repository", "connection_arn") if self.kind == "connection" else ("bucket", "key")
        missing = [name for name in wanted if getattr(self, name) is None]
        if missing:
            raise ValueError(f"kind '{self.kind}' needs {' and '.join(missing)}")
        if self.kind == "s3" and "triggers" in self.model_fields_set:
            raise ValueError(
                "kind 's3' has no triggers: every new version of the zip is delivered; take them out"
            )
        return self


class DeliverySettings(Group):
    """Who is told what the pipeline does, and how long it waits for a person."""

    emails: Annotated[
        tuple[Email, ...],
        Field(
            description="Who is told of failures, waiting approvals, rollbacks and successes; "
            "each address confirms its subscription once"
        ),
    ] = ()
    # CodePipeline allows 60 days. What waits keeps everything behind it waiting as well.
    approval_timeout_hours: Annotated[
        int, Field(ge=1, le=1440, description="An approval that nobody gives within so many hours fails")
    ] = 72


class SmokeSettings(Group):
    """The smoke test's budget of time and money, and how much it trains on."""

    # Its role in the environment may be held for two hours, clean-up included.
    timeout_seconds: Annotated[
        int, Field(ge=60, le=6600, description="A smoke test that takes longer fails, and cleans up")
    ] = 3600
    max_cost_usd: Annotated[
        float, Field(gt=0, description="What the jobs of one smoke test may cost at most, in US dollars")
    ] = 2.0
    images: Annotated[
        int,
        Field(
            ge=100,
            le=100_000,
            description="How many sample images the training run gets; with few it fails the gate",
        ),
    ] = 1000
