"""What others may see of an execution in between: an end with all of it, a token that can be used."""

from types import SimpleNamespace
from typing import Any

from twin.services.codepipeline.actions import approval
from twin.services.codepipeline.approvals import Approvals
from twin.services.codepipeline.records import FAILED, ActionRun, Execution


class Watched(Execution):
    """Notes in which order its members are changed."""

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__.setdefault("changed", []).append(name)
        super().__setattr__(name, value)


def test_the_status_of_an_end_is_seen_last() -> None:
    execution = Watched(pipeline="p", version=1, mode="QUEUED", trigger={})
    execution.__dict__["changed"].clear()
    execution.set(status=FAILED, summary="why")
    assert execution.__dict__["changed"] == ["updated", "summary", "status"]


class DecidedAtOnce(ActionRun):
    """An approval that somebody decides in the moment in which its token is seen."""

    approvals: Approvals

    def set(self, **values: Any) -> None:
        super().set(**values)
        if values.get("token"):
            decision = self.approvals.find(values["token"])
            assert decision is not None, "the token is seen, and cannot be used"
            decision.status, decision.by, decision.summary = "Approved", "somebody", "fine"
            decision.made.set()


def test_an_approval_can_be_decided_as_soon_as_its_token_is_seen() -> None:
    run = DecidedAtOnce(stage="s", action="a", run_order=1, type_id={}, version=1)
    run.approvals = Approvals()
    context = SimpleNamespace(
        run=run,
        action={},
        configuration={},
        approvals=run.approvals,
        execution=SimpleNamespace(pipeline="p"),
        pause=lambda _: None,
    )
    result = approval.wait(context)  # pyright: ignore[reportArgumentType] - what it looks at, and no more
    assert (result.summary, run.updated_by, run.token) == ("fine", "somebody", None)
