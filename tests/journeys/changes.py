"""The changes that travel: small edits of the product, some of them faults, each at one place in one file."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Change:
    """What a commit changes, and how; `make` gets the folder of the sources."""

    title: str
    make: Callable[[Path], None]


def settings(title: str, change: Callable[[dict[str, Any]], None]) -> Change:
    """A change of the platform's settings."""

    def make(root: Path) -> None:
        path = root / "cdk.json"
        app = json.loads(path.read_text())
        change(app["context"]["platform"])
        path.write_text(json.dumps(app, indent=2) + "\n")

    return Change(title, make)


def edits(title: str, name: str, *pairs: tuple[str, str]) -> Change:
    """A change of one file: each first text of `pairs`, which must be there once, becomes the second."""

    def make(root: Path) -> None:
        path = root / name
        text = path.read_text()
        for old, new in pairs:
            assert text.count(old) == 1, f"{name} has changed; teach this test its new form of: {old}"
            text = text.replace(old, new)
        path.write_text(text)

    return Change(title, make)


SLOWEST_ALLOWED_MS = 2750


def _other_threshold(platform: dict[str, Any]) -> None:
    platform.setdefault("monitoring", {})["api_p99_latency_ms"] = SLOWEST_ALLOWED_MS


def _learns_nothing(platform: dict[str, Any]) -> None:
    platform["training"]["hyperparameters"] |= {"epochs": 1, "learning-rate": 1e-7}


ALARM_THRESHOLD = settings("An alarm's other threshold", _other_threshold)

NEW_STACK = edits(
    "Another stack",
    "stages/platform_stage.py",
    (
        "from aws_cdk import CfnOutput, Environment, Stage\n",
        "from aws_cdk import CfnOutput, Environment, Stack, Stage\n",
    ),
    (
        "from vision_platform.model_lines import SMOKE, ModelLines\n",
        "from vision_platform.model_lines import SMOKE, ModelLines\n"
        "from vision_platform.monitoring import AlertTopic\n",
    ),
    (
        "        self.smoke_outputs: ",
        '        notices = Stack(self, "Notices", **named("notices"))\n'
        '        AlertTopic(notices, "Notices", key=foundation.key.key, emails=[])\n'
        "        self.smoke_outputs: ",
    ),
)

FAILING_UNIT_TEST = edits(
    "A gate that is upside down",
    "lambda_src/gate/decision.py",
    ("evaluation.accuracy < thresholds.min_accuracy", "evaluation.accuracy > thresholds.min_accuracy"),
)

UNACKNOWLEDGED_FINDING = edits(
    "A topic without TLS",
    "stages/monitoring.py",
    (
        "from aws_cdk import aws_cloudwatch as cloudwatch\n",
        "from aws_cdk import aws_cloudwatch as cloudwatch\nfrom aws_cdk import aws_sns as sns\n",
    ),
    (
        "        goals, quality = environment.monitoring, environment.quality\n",
        '        sns.Topic(self, "Bare")\n'
        "        goals, quality = environment.monitoring, environment.quality\n",
    ),
)

MODEL_THAT_MISSES_THE_GATE = settings("A model that learns nothing", _learns_nothing)

IMAGES_AS_TEXT = edits(
    "PNG files pass the gateway as text",
    "constructs/vision_platform/prediction_api.py",
    ('_IMAGE_TYPES = ["image/jpeg", "image/png", ', '_IMAGE_TYPES = ["image/jpeg", '),
)

MISSING_GRANT = edits(
    "Preprocessing may not read datasets",
    "stages/training_functions.py",
    (
        '        data_lake.allow_reading(role, lake.datasets, ["datasets/", "smoke/"], because=_BY_KEY)\n'
        '        data_lake.allow_reading(role, lake.artifacts, ["prepared/"], because=_BY_KEY)\n'
        '        data_lake.allow_writing(role, lake.artifacts, ["prepared/"], because=_BY_KEY)\n',
        '        data_lake.allow_reading(role, lake.artifacts, ["prepared/"], because=_BY_KEY)\n'
        '        data_lake.allow_writing(role, lake.artifacts, ["prepared/"], because=_BY_KEY)\n',
    ),
)

TAKEN_NAME = "taken-by-another-team"


def _name_is_taken(stack: str, imported: str, line: str) -> Callable[[Path], None]:
    """A resource whose name somebody else has: templates are right, and its creation fails."""
    return edits(
        "",
        stack,
        (imported, f"{imported}from aws_cdk import aws_events as taken\n"),
        (line, f'        taken.CfnEventBus(self, "Taken", name="{TAKEN_NAME}")\n{line}'),
    ).make


OTHER_DESCRIPTION = edits(
    "A function's other description",
    "stages/inference_functions.py",
    ('"Answers images with predictions"', '"Answers with predictions"'),
)


def _fails_in_the_middle(root: Path) -> None:
    OTHER_DESCRIPTION.make(root)
    _name_is_taken(
        "stages/monitoring.py",
        "from aws_cdk import aws_cloudwatch as cloudwatch\n",
        "        goals, quality = environment.monitoring, environment.quality\n",
    )(root)


STACK_THAT_FAILS = Change("A stack that fails after others have changed", _fails_in_the_middle)

PIPELINE_THAT_FAILS = Change(
    "A pipeline that cannot be updated",
    _name_is_taken(
        "delivery/delivery_stack.py",
        "from aws_cdk import aws_codepipeline as codepipeline\n",
        "        self._source = self._source_step(settings.source)\n",
    ),
)
