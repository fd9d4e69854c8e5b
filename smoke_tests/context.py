"""What the steps of one smoke run share: its settings, its clients, its time, and what it has seen so far."""

from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from secrets import token_hex

from smoke_tests import endpoints, functions
from smoke_tests.api import Api
from smoke_tests.budget import Budget
from smoke_tests.dataset import Dataset
from smoke_tests.endpoints import EndpointState
from smoke_tests.evidence import Evidence
from smoke_tests.journal import Journal
from smoke_tests.leftovers import SmokeLine
from smoke_tests.lineage import Lineage
from smoke_tests.sdk import DirectAnswer, Sdk
from smoke_tests.session import Aws
from smoke_tests.settings import Settings
from smoke_tests.training import Outcome, execution_arn, running, running_promotions

RUN_PREFIX = "smoke-"


def new_run_id() -> str:
    """An identity for a run that starts now; at most 25 characters, as the workflow allows."""
    return f"{RUN_PREFIX}{datetime.now(UTC):%y%m%d%H%M%S}-{token_hex(2)}"


@dataclass
class Context:
    """One smoke run under way."""

    settings: Settings
    aws: Aws
    api: Api
    journal: Journal
    budget: Budget
    run_id: str
    sample_data: Path  # the script that makes the sample images
    evidence: Evidence = field(default_factory=Evidence)
    making: "Future[Dataset] | None" = None  # the sample data, being made meanwhile
    data: Dataset | None = None
    manifest_uri: str = ""

    @property
    def execution_arn(self) -> str:
        """The ARN of this run's execution of the workflow, started or not."""
        return execution_arn(self.settings.state_machine_arn, self.run_id)

    def executions(self, prefix: str) -> list[str]:
        """ARNs of what runs for runs whose id begins with `prefix`: training first, then promotions."""
        settings, states = self.settings, self.aws.states
        return [
            *running(states, settings.state_machine_arn, prefix=prefix),
            *running_promotions(states, settings.promotion_machine_arn, prefix=prefix),
        ]

    @cached_property
    def lineage(self) -> Lineage:
        """The environment's lineage."""
        return Lineage(self.aws.dynamodb, self.settings.lineage_table)

    def serves(self, endpoint: str) -> EndpointState:
        """What the line of that name serves now: its endpoint, or what requests to its function name."""
        if not self.settings.model_function:
            return endpoints.look(self.aws.sagemaker, endpoint)
        return functions.state(self.lineage.target(endpoint.rpartition("-")[2]), endpoint)

    def ask_directly(self, pixels: bytes) -> DirectAnswer:
        """What the smoke model says of an image, as it takes it, without the API in front of it."""
        function = self.settings.model_function
        if not function:
            return self.sdk.ask(self.settings.endpoint_name, pixels)
        return functions.ask(
            self.aws.session.client("lambda"), function, self.lineage.target("smoke"), pixels
        )

    @cached_property
    def sdk(self) -> Sdk:
        """SageMaker's SDK, acting as the smoke role."""
        return Sdk(self.aws.session)

    @property
    def began_ms(self) -> int:
        """When the run began, in milliseconds as CloudWatch Logs counts them."""
        return int(self.journal.started_at.timestamp() * 1000)

    @cached_property
    def line(self) -> SmokeLine:
        """What this run makes in the environment."""
        return SmokeLine(self.aws, self.settings, self.run_id)

    @property
    def dataset(self) -> Dataset:
        """The sample data; only steps that need `sample-data` may ask."""
        if self.data is None:
            raise LookupError("this step asks for the sample data without needing it")
        return self.data

    @property
    def outcome(self) -> Outcome:
        """The result of the training run; only steps that need `training` may ask."""
        if self.evidence.outcome is None:
            raise LookupError("this step asks for the training result without needing it")
        return self.evidence.outcome
