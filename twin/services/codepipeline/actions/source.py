"""Source actions: a commit from behind a connection, or an object from S3."""

from botocore.exceptions import ClientError

from twin import git_remote
from twin.services import permissions
from twin.services.codepipeline.context import ActionContext, Result
from twin.services.codepipeline.errors import ActionFailed, from_client_error

_FORMATS = ("CODE_ZIP", "CODEBUILD_CLONE_REF")
_SUMMARY_LIMIT = 500  # characters of a commit message shown as summary


def from_connection(context: ActionContext) -> Result:
    """Bring the commit that started the execution, or else the tip of the branch."""
    settings, name = context.configuration, context.action["name"]
    _may_use(context, settings["ConnectionArn"])
    wanted_format = settings.get("OutputArtifactFormat", "CODE_ZIP")
    if wanted_format not in _FORMATS:
        raise ActionFailed(
            "ConfigurationError", f"OutputArtifactFormat {wanted_format!r} is none of {_FORMATS}"
        )
    repository = settings["FullRepositoryId"]
    branch = context.execution.wanted_branches.get(name, settings["BranchName"])
    try:
        wanted = context.execution.wanted_revisions.get(name) or git_remote.head(repository, branch)
        commit = git_remote.describe(repository, wanted)
        if wanted_format == "CODE_ZIP":
            content = git_remote.archive(repository, commit.id)
        else:
            content = git_remote.clone_reference(repository, commit.id, branch)
    except git_remote.GitError as fault:
        raise ActionFailed("RevisionUnavailable", str(fault)) from fault
    output = context.outputs()[0]
    context.upload(output, content)
    context.run.set(external_id=commit.id)
    subject = commit.message.splitlines()[0] if commit.message else ""
    return Result(
        variables={
            "AuthorDate": commit.date,
            "AuthorDisplayName": commit.author,
            "BranchName": branch,
            "CommitId": commit.id,
            "CommitMessage": commit.message,
            "ConnectionArn": settings["ConnectionArn"],
            "FullRepositoryName": repository,
            "ProviderType": "GitHub",
        },
        summary=subject[:_SUMMARY_LIMIT],
        revisions=[
            {
                "name": output,
                "revisionId": commit.id,
                "revisionSummary": subject[:_SUMMARY_LIMIT],
                "actionName": name,
            }
        ],
    )


def _may_use(context: ActionContext, connection: str) -> None:
    """Check the permission that using a connection takes; both of the service's names are in use for it."""
    refused: permissions.PermissionDenied | None = None
    for service in ("codeconnections", "codestar-connections"):
        try:
            permissions.require(context.credentials, f"{service}:UseConnection", connection, context.region)
        except permissions.PermissionDenied as fault:
            refused = fault
        else:
            return
    raise ActionFailed("PermissionError", f"Unable to use Connection: {connection}. {refused}")


def from_bucket(context: ActionContext) -> Result:
    """Bring the newest version of the object, or the version that the execution was started with."""
    settings, name = context.configuration, context.action["name"]
    bucket, key = settings["S3Bucket"], settings["S3ObjectKey"]
    version = context.execution.wanted_revisions.get(name)
    try:
        found = context.client("s3").get_object(
            Bucket=bucket, Key=key, **({"VersionId": version} if version else {})
        )
        content = found["Body"].read()
    except ClientError as fault:
        raise from_client_error(fault, f"cannot read s3://{bucket}/{key}") from fault
    output = context.outputs()[0]
    context.upload(output, content)
    etag = found["ETag"].strip('"')
    revision = found.get("VersionId") or etag
    summary = f"Amazon S3 version id: {revision}"
    return Result(
        variables={
            "BucketName": bucket,
            "ObjectKey": key,
            "ETag": etag,
            "VersionId": found.get("VersionId", ""),
        },
        summary=summary,
        revisions=[{"name": output, "revisionId": revision, "revisionSummary": summary, "actionName": name}],
    )
