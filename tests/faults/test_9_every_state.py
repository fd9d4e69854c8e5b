"""No state of any workflow is without a fault: what calls a service was struck, the others were reached."""

from __future__ import annotations

from ops.permissions import comparison
from tests.faults.world import World
from tests.twin.conftest import ROOT

PERMISSIONS = ROOT / "build" / "faults" / "permissions.md"
# Ways that this environment cannot go, and the tests that go them.
_RUN = "tests/constructs/test_promotion_run.py::"
_FIRST = _RUN + "test_first_model_that_cannot_be_served_leaves_nothing"
_SHARED = _RUN + "test_package_of_another_environment_meets_the_thresholds_here"
_STOPPED = _RUN + "test_promotion_stopped_before_the_endpoint_changed_is_taken_apart"
# Waits that nobody has the patience for here: their ends are held to be reached and to end well.
_WAYS = "tests/constructs/test_promotion.py::test_every_state_is_reached_and_every_way_ends"
_OTHER_MODE = "tests/hosting/test_change_to_functions.py::"
ELSEWHERE: dict[str, str] = {
    # A run that is begun again after its tuning was done: here the look for it is what fails.
    "training / TuningFound": "tests/constructs/test_training_tuning.py::"
    "test_a_tuning_job_that_was_done_is_not_repeated",
    # Another hosting mode than the endpoint has.
    **dict.fromkeys(
        ("promotion / RemoveOtherKind", "promotion / BacklogAlarm", "promotion / RemoveBacklogAlarm"),
        _OTHER_MODE + "test_champion_goes_on_answering_and_the_endpoint_goes_with_the_next_promotion",
    ),
    # An endpoint that is not there yet would be nobody's to ask.
    "promotion / CreateEndpoint": _FIRST,
    "promotion / CreationRefused": _WAYS,
    "promotion / RemoveFailedEndpoint": _FIRST,
    "promotion / RemoveDeadEndpoint": _FIRST,
    "promotion / EndpointNeverThere": _FIRST,
    # Packages of another account.
    "promotion / JudgePackage": _SHARED,
    "promotion / PackageGoodEnough": _SHARED,
    "promotion / ThresholdsMissed": _SHARED,
    "promotion / RecordModel": _SHARED,
    "promotion / Stopped": _STOPPED,
    "promotion / Tidied": _STOPPED,
    "promotion / NothingToTidy": _RUN
    + "test_stopped_promotion_is_followed_to_the_end_that_sagemaker_gives_it",
    "promotion / DeploymentTimedOut": _RUN
    + "test_deployment_that_takes_too_long_is_given_up_and_can_be_gone_on_with",
    "promotion / PackageIncomplete": _WAYS,
    "promotion / EndpointBusy": _WAYS,
    "promotion / LineBusy": _WAYS,
    "promotion / OtherTakesTooLong": _WAYS,
    "promotion / ChampionChanged": _WAYS,
    "promotion / DeploymentFailed": _WAYS,
}


def test_every_state_has_met_a_fault(world: World) -> None:
    states, visited = world.states(), world.visited()
    struck = {row.state for row in world.rows}
    missing: list[str] = []
    for (machine, name), state in states.items():
        where = str(state)
        if where in struck:
            continue
        if not state.service and (machine, name) in visited:
            world.note(state, "those above", "gone through: it calls no service that could fail")
        elif where in ELSEWHERE:
            path, test = ELSEWHERE[where].split("::")
            assert f"def {test}(" in (ROOT / path).read_text(), ELSEWHERE[where]
            world.note(state, "elsewhere", ELSEWHERE[where])
        else:
            missing.append(where)
            how = "was not struck" if (machine, name) in visited else "was never reached"
            world.note(state, "none", how, good=False)
    assert missing == []


def test_no_role_holds_what_nothing_uses(world: World) -> None:
    """All of these runs together use what the roles hold; what they leave has a reason."""
    home = world.platform.home
    grants = comparison.compare(home)
    PERMISSIONS.parent.mkdir(parents=True, exist_ok=True)
    PERMISSIONS.write_text(comparison.page(home, grants), encoding="utf-8")
    assert [f"{each.role}: {each.action}" for each in grants if each.is_open] == []
