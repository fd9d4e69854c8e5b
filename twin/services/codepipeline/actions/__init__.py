"""What each kind of action does."""

from collections.abc import Callable

from twin.services.codepipeline.actions import approval, build, lambda_invoke, source, stack
from twin.services.codepipeline.context import ActionContext, Result

# (category, provider), as in `definition.PROVIDERS`
EXECUTORS: dict[tuple[str, str], Callable[[ActionContext], Result]] = {
    ("Source", "CodeStarSourceConnection"): source.from_connection,
    ("Source", "S3"): source.from_bucket,
    ("Build", "CodeBuild"): build.run,
    ("Test", "CodeBuild"): build.run,
    ("Deploy", "CloudFormation"): stack.deploy,
    ("Approval", "Manual"): approval.wait,
    ("Invoke", "Lambda"): lambda_invoke.invoke,
}
