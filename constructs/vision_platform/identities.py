"""Who acts in an environment: the roles, made before anything that names them in a policy of its own."""

from __future__ import annotations

from typing import cast

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from constructs import Construct

from vision_platform.model_readers import EVALUATION, GATE, HOSTING, PROMOTION, reader_role
from vision_platform.permissions import AccountLevel, PlatformRole, allow, service_role

_GATEWAY_LOGGING = (
    "logs:CreateLogGroup",
    "logs:CreateLogStream",
    "logs:DescribeLogGroups",
    "logs:DescribeLogStreams",
    "logs:FilterLogEvents",
    "logs:GetLogEvents",
    "logs:PutLogEvents",
)


class Identities(Construct):
    """The roles of an environment's functions, jobs and workflow, and of its smoke tests.

    The smoke tests' role is called `smoke_role`, and only the role `trusted_role` of the account
    `trusted_account` may take it. What roles may do is granted where it is used: they stand in the foundation
    because buckets name them in their policies, and S3 accepts there only roles that exist.

    With `models_on_functions` models run in Lambda, else in SageMaker; the role is the same, so that one can
    follow the other in an environment that is there already.

    With `reader_prefix` the roles that read another environment's models have names that begin so: that
    environment's policies name them.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,
        *,
        smoke_role: str,
        trusted_account: str,
        trusted_role: str,
        reader_prefix: str | None = None,
        models_on_functions: bool = False,
    ) -> None:
        super().__init__(scope, id)
        self._reader_prefix = reader_prefix
        self._account_level = AccountLevel(self, "AccountLevel")
        # What functions need of the account is the same for all, and so with what runs in SageMaker.
        functions, jobs, workflows = "Functions", "Jobs", "Workflows"
        self.plan_dataset = self._role("PlanDataset", "lambda", "Plans a dataset's shards", functions)
        self.preprocess = self._role("Preprocess", "lambda", "Makes a dataset's shards")
        self.collect_dataset = self._role("CollectDataset", "lambda", "Checks a prepared dataset", functions)
        self.select_model = self._role("SelectModel", "lambda", "Selects a tuning's best model", functions)
        self.gate = self._role(
            "Gate", "lambda", "Decides whether a model is good enough", functions, reads=GATE
        )
        self.predict = self._role("Predict", "lambda", "Answers images with predictions", functions)
        self.requests = self._role(
            "Requests", "lambda", "Answers what is asked around predictions", functions
        )
        self.consume = self._role("Consume", "lambda", "Answers images of the burst path", functions)
        self.results_delivery = self._role("ResultsDelivery", "firehose", "Writes results into the lake")
        # It reads metrics, which the others do not.
        self.feedback = self._role("Feedback", "lambda", "Takes labels and measures models by them")
        self.training_job = self._role("TrainingJob", "sagemaker", "Training jobs", jobs)
        self.evaluation_job = self._role(
            "EvaluationJob", "sagemaker", "Evaluation jobs", jobs, reads=EVALUATION
        )
        if models_on_functions:
            # The endpoint of another hosting mode answers until those who ask are deployed anew.
            self.hosting = self._role(
                "Hosting",
                "lambda",
                "Models on functions",
                functions,
                reads=HOSTING,
                until_replaced="sagemaker.amazonaws.com",
            )
        else:
            self.hosting = self._role("Hosting", "sagemaker", "Model endpoints", jobs, reads=HOSTING)
        self.workflow = self._role("Workflow", "states", "Runs the training workflow", workflows)
        self.promotion = self._role(
            "Promotion", "states", "Runs the promotion workflow", workflows, reads=PROMOTION
        )
        self.aftermath = self._role("Aftermath", "states", "Clears up after stopped runs", workflows)
        self.smoke = PlatformRole(
            self,
            "Smoke",
            account_level=self._account_level,
            role_name=smoke_role,
            description="Smoke tests of this environment, run by the delivery pipeline",
            # The account and not the role: a policy that names a role breaks when the role is made anew.
            assumed_by=iam.PrincipalWithConditions(
                cast("iam.IPrincipal", iam.AccountPrincipal(trusted_account)),
                {"ArnEquals": {"aws:PrincipalArn": f"arn:aws:iam::{trusted_account}:role/{trusted_role}"}},
            ),
            max_session_duration=Duration.hours(2),
        )
        self._let_gateways_log()

    def _role(
        self,
        id: str,
        service: str,
        description: str,
        shared_policy: str | None = None,
        *,
        reads: str | None = None,
        until_replaced: str | None = None,
    ) -> PlatformRole:
        named = self._reader_prefix is not None and reads is not None
        return service_role(
            self,
            id,
            name=reader_role(str(self._reader_prefix), str(reads)) if named else None,
            service=f"{service}.amazonaws.com",
            description=description,
            account_level=self._account_level,
            shared_policy=shared_policy,
            until_replaced=until_replaced,
        )

    def _let_gateways_log(self) -> None:
        """The account has one role for the logs of all its APIs; it must not vanish with one of them."""
        role = self._role("ApiLogging", "apigateway", "Writes the logs of API Gateway")
        allow(
            role,
            _GATEWAY_LOGGING,
            ["*"],
            because="API Gateway: an account has one logging role, refused unless it may write all logs",
        )
        account = apigateway.CfnAccount(self, "ApiAccount", cloud_watch_role_arn=role.role_arn)
        account.node.add_dependency(self._account_level)
        account.apply_removal_policy(RemovalPolicy.RETAIN)
        role.apply_removal_policy(RemovalPolicy.RETAIN)
        self._account_level.policy(role).apply_removal_policy(RemovalPolicy.RETAIN)
