"""What starts pipelines by itself: pushes behind connections, new objects for S3 sources."""

import logging
import threading
from collections import deque
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError

from twin import endpoints, git_remote, glue
from twin.globs import matches
from twin.services.codepipeline.definition import actions
from twin.services.codepipeline.service import CodePipeline

log = logging.getLogger("twin.codepipeline")
_PUSHES_KEPT = 1000
_POLL_SECONDS = 1.0  # CodePipeline takes about a minute


class Triggers:
    """Watches the sources of all pipelines."""

    def __init__(self, service: CodePipeline) -> None:
        """`service` starts the executions."""
        self._service = service
        self.pushes = git_remote.PushWatch(self.pushed)
        service.notice_pushes = self.pushes.look
        self._objects: dict[str, str] = {}
        self._taken: deque[dict[str, Any]] = deque(maxlen=_PUSHES_KEPT)

    def start(self) -> None:
        """Make the repositories, and begin to watch."""
        git_remote.prepare_all()
        self.pushes.start()
        threading.Thread(target=self._poll, name="s3-poll", daemon=True).start()

    # ---- state: the commits last seen, so that pushes to a stopped twin are noticed at its next start

    def get_state(self) -> dict[str, dict[str, str]]:
        """Return the references last seen."""
        return self.pushes.known()

    def load_persisted_state(self, data: dict[str, dict[str, str]]) -> None:
        """Take up the references last seen."""
        self.pushes.remember(data)

    def reset(self) -> None:
        """Empty the repositories."""
        self._objects.clear()
        self._taken.clear()
        git_remote.empty_all()
        self.pushes.remember({})

    # ---- git

    def pushed(self, push: git_remote.Push) -> None:
        """Start every pipeline whose source this push moves and whose filters it passes."""
        for where, name, record in self._service.pipelines.store.everywhere():
            declaration = record["declaration"]
            for _, action in actions(declaration):
                if (
                    not _is_connection(action)
                    or action["configuration"]["FullRepositoryId"] != push.repository
                ):
                    continue
                started = None
                if wanted(declaration, action, push):
                    with glue.scope(where.account, where.region):
                        started = self._service.executions.start(
                            name,
                            "WebhookV2",
                            f"push to {push.repository} {push.kind} {push.name}",
                            revisions={action["name"]: push.new},
                            branches={action["name"]: push.name} if push.kind == "branch" else {},
                        )
                self._taken.append(
                    {
                        "commit": push.new,
                        "pipeline": name,
                        "account": where.account,
                        "execution": started.id if started else None,
                    }
                )

    def of_push(self, request: endpoints.Request) -> list[dict[str, Any]]:
        """Tell what the pipelines made of a pushed commit (query `commit`): an execution, or None.

        It is the twin's own call: AWS tells nobody of a push that starts nothing.
        """
        if "commit" not in request.query:
            raise endpoints.BadRequest("say which commit: ?commit=ID")
        self.pushes.look()
        return [taken for taken in list(self._taken) if taken["commit"] == request.query["commit"]]

    # ---- S3

    def _poll(self) -> None:
        closed = threading.Event()
        while not closed.wait(_POLL_SECONDS):
            try:
                self.look_at_objects()
            except Exception:
                log.exception("cannot look at S3 sources")

    def look_at_objects(self) -> None:
        """Start the pipelines whose S3 source has changed since the last look."""
        for where, name, record in self._service.pipelines.store.everywhere():
            for _, action in actions(record["declaration"]):
                settings = action.get("configuration", {})
                if (
                    action["actionTypeId"]["provider"] != "S3"
                    or settings.get("PollForSourceChanges") == "false"
                ):
                    continue
                key = f"{where.account}/{where.region}/{name}/{action['name']}"
                version = _object_version(settings, where)
                before = self._objects.get(key)
                self._objects[key] = version
                if before is not None and version and version != before:
                    with glue.scope(where.account, where.region):
                        self._service.executions.start(
                            name, "PollForSourceChanges", f"{settings['S3Bucket']}/{settings['S3ObjectKey']}"
                        )


def _object_version(settings: Mapping[str, str], where: glue.Scope) -> str:
    client = glue.client("s3", glue.root_credentials(where.account), where.region)
    try:
        return client.head_object(Bucket=settings["S3Bucket"], Key=settings["S3ObjectKey"])["ETag"]
    except ClientError:
        return ""


def _is_connection(action: Mapping[str, Any]) -> bool:
    return action["actionTypeId"]["provider"] == "CodeStarSourceConnection"


def wanted(declaration: Mapping[str, Any], action: Mapping[str, Any], push: git_remote.Push) -> bool:
    """Whether a push starts the pipeline: by the triggers' filters, else by the source action's branch."""
    filters = [
        one
        for trigger in declaration.get("triggers", [])
        if trigger["gitConfiguration"]["sourceActionName"] == action["name"]
        for one in trigger["gitConfiguration"].get("push", [])
    ]
    settings = action["configuration"]
    if filters:
        return any(_passes(one, settings["BranchName"], push) for one in filters)
    if settings.get("DetectChanges", "true").lower() == "false":
        return False
    return push.kind == "branch" and push.name == settings["BranchName"]


def _passes(one: Mapping[str, Any], branch: str, push: git_remote.Push) -> bool:
    if push.kind == "tag":
        return "tags" in one and _fits(one["tags"], [push.name])
    if "tags" in one:
        return False
    if "branches" in one and not _fits(one["branches"], [push.name]):
        return False
    if "branches" not in one and push.name != branch:
        return False
    if "filePaths" not in one:
        return True
    return _fits(one["filePaths"], git_remote.changed_files(push.repository, push.old, push.new))


def _fits(criteria: Mapping[str, list[str]], names: list[str]) -> bool:
    """Whether any name is included and not excluded; an exclusion wins, as on AWS."""
    includes, excludes = criteria.get("includes") or ["**"], criteria.get("excludes") or []
    return any(
        any(matches(p, name) for p in includes) and not any(matches(p, name) for p in excludes)
        for name in names
    )
