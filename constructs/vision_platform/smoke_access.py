"""What smoke tests may do in an environment: a role for the pipeline's smoke step, kept to the smoke line."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_s3 as s3
from constructs import Construct

from vision_platform import data_lake
from vision_platform.encryption import PlatformKey
from vision_platform.lineage import LineageTable
from vision_platform.model_lines import CHAMPION, SMOKE, ModelLines
from vision_platform.permissions import PlatformRole, allow

_SMOKE_PREFIXES = (
    "prepared/smoke/",
    "quarantine/smoke/",
    "checkpoints/smoke/",
    "models/smoke/",
    "evaluations/smoke/",
    "asynchronous/smoke/",
)
_BY_RUN = "Smoke tests key their objects by run; the prefix is theirs alone"


def smoke_role_name(prefix: str) -> str:
    """The role's name, which the pipeline must know before the environment exists."""
    return f"{prefix}-smoke"


class SmokeAccess(Construct):
    """What `role` may do. Of the champion it sees whether its endpoint has changed."""

    def __init__(self, scope: Construct, id: str, *, role: PlatformRole, lines: ModelLines) -> None:
        super().__init__(scope, id)
        self._lines, self.role = lines, role
        role.grant_from(self)
        self._allow_line()

    def allow_workflow(self, machine_arn: str, execution_arn: str) -> None:
        """Let smoke tests start the workflow and follow it."""
        allow(self.role, ["states:StartExecution"], [machine_arn])
        self.allow_following(machine_arn, execution_arn)

    def allow_following(self, machine_arn: str, execution_arn: str) -> None:
        """Let smoke tests look at the executions of a workflow, and stop them."""
        allow(self.role, ["states:ListExecutions"], [machine_arn])
        allow(
            self.role,
            ["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"],
            [execution_arn],
            because="An execution is named when it starts; the pattern is this state machine's executions",
            by_name=True,
        )

    def allow_data(self, datasets: s3.IBucket, artifacts: s3.IBucket, key: PlatformKey) -> None:
        """Let smoke tests bring sample data, read what the run made of it, and remove both, all versions."""
        data_lake.allow_writing(self.role, datasets, ["smoke/"], because=_BY_RUN)
        data_lake.allow_listing(self.role, datasets, ["smoke/"])
        data_lake.allow_reading(self.role, artifacts, _SMOKE_PREFIXES, because=_BY_RUN)
        for bucket, prefixes in ((datasets, ["smoke/"]), (artifacts, _SMOKE_PREFIXES)):
            data_lake.allow_removing(self.role, bucket, prefixes, because=_BY_RUN)
        key.allow_use(self.role)

    def allow_submissions(self, uploads: s3.IBucket) -> None:
        """Let smoke tests remove the images that they have handed in, all versions."""
        data_lake.allow_removing(self.role, uploads, ["smoke/"], because=_BY_RUN)
        data_lake.allow_listing(self.role, uploads, ["smoke/"])

    def allow_api(self, smoke_arns: Sequence[str]) -> None:
        """Let smoke tests ask the smoke model over the API."""
        named = [arn for arn in smoke_arns if not arn.endswith("*")]
        allow(self.role, ["execute-api:Invoke"], named)
        allow(
            self.role,
            ["execute-api:Invoke"],
            [arn for arn in smoke_arns if arn not in named],
            because="A prediction's id is given when its image is submitted; the path is the smoke model's",
        )

    def allow_function(self, arn: str) -> None:
        """Let smoke tests ask the function that serves their model, without the API in front of it."""
        allow(self.role, ["lambda:InvokeFunction"], [arn])

    def allow_lineage(self, table: LineageTable) -> None:
        """Let smoke tests read the lineage of their run."""
        table.allow_queries(self.role)

    def allow_watching(self, *log_group_arns: str, job_log_arns: Sequence[str]) -> None:
        """Let smoke tests find their run in these logs, in its jobs' logs, in metrics and in traces.

        Without `job_log_arns` the jobs' log groups belong to another environment of the account.
        """
        allow(self.role, ["logs:FilterLogEvents"], list(log_group_arns))
        streams = ["logs:DescribeLogStreams", "logs:GetLogEvents"]
        if job_log_arns:
            allow(self.role, streams, job_log_arns)
        else:
            groups = ("/aws/sagemaker/TrainingJobs", "/aws/sagemaker/ProcessingJobs")
            allow(
                self.role,
                streams,
                [self._log_arn(f"{group}:*") for group in groups],
                because="SageMaker has one log group for all jobs of an account; streams are named by job",
            )
        allow(
            self.role,
            ["cloudwatch:GetMetricData"],
            ["*"],
            because="CloudWatch: GetMetricData has no resource to name; metrics hold numbers only",
        )
        allow(
            self.role,
            ["xray:BatchGetTraces"],
            ["*"],
            because="X-Ray: BatchGetTraces has no resource; a trace is asked for by its id",
        )

    def _log_arn(self, name: str) -> str:
        return Stack.of(self).format_arn(
            service="logs", resource="log-group", resource_name=name, arn_format=ArnFormat.COLON_RESOURCE_NAME
        )

    def _allow_line(self) -> None:
        """Let smoke tests look at and remove what a run makes in SageMaker for the smoke line."""
        name = self._lines.endpoint(SMOKE)
        arn = self._lines.arn
        # Looking at the champion proves that the run left it alone.
        allow(
            self.role,
            ["sagemaker:DescribeEndpoint"],
            [arn(self, "endpoint", self._lines.endpoint(CHAMPION))],
        )
        allow(
            self.role,
            ["sagemaker:ListEndpointConfigs", "sagemaker:ListModels", "sagemaker:ListModelPackages"],
            ["*"],
            because="SageMaker: lists have no resource; they show names and no content",
        )
        allow(
            self.role,
            ["sagemaker:DescribeEndpoint", "sagemaker:DeleteEndpoint", "sagemaker:InvokeEndpoint"],
            [arn(self, "endpoint", name)],
        )
        allow(
            self.role,
            [
                "sagemaker:DescribeEndpointConfig",
                "sagemaker:DeleteEndpointConfig",
                "sagemaker:DescribeModel",
                "sagemaker:DeleteModel",
                "sagemaker:DescribeModelPackage",
                "sagemaker:DeleteModelPackage",
                "sagemaker:DescribeTrainingJob",
            ],
            [self._lines.of_runs(self, name)],
            because="What the smoke line has in SageMaker is named after runs that are yet to come; each "
            "action fixes the kind of resource, and the pattern admits that line's names only",
        )
