"""What the twin refuses or puts right around stacks: unclassed types, and operations that a stop cut off."""

from typing import Any

from twin import fidelity, glue


def install() -> None:
    """Refuse types that the fidelity table lacks; end operations that were under way at a stop."""
    table = fidelity.load()
    for module in ("handlers", "changesets"):
        _refuse_unclassed_types(glue.internal(f"services.cloudformation.{module}"), table)
    _accept_changes_of_outputs_alone()
    glue.register_state("cloudformation_interrupted", _Interrupted())


def _refuse_unclassed_types(module: Any, table: fidelity.Table) -> None:
    original = module.validate_template_support

    def validate(template: dict[str, Any], *rest: Any, **more: Any) -> None:
        types = {r.get("Type", "") for r in (template.get("Resources") or {}).values() if isinstance(r, dict)}
        unclassed = sorted(name for name in types if not table.knows(name))
        if unclassed:
            raise ValueError(
                f"the local twin does not know the resource types [{', '.join(unclassed)}]: "
                f"class them in {fidelity.TABLE_PATH}"
            )
        original(template, *rest, **more)

    module.validate_template_support = validate


def _accept_changes_of_outputs_alone() -> None:
    """Let a change set be executed that changes no resource but the stack's outputs, as on AWS.

    Stacks that refer to each other by outputs get a new one without any resource being changed.
    """
    handlers = glue.internal("services.cloudformation.handlers")
    find = glue.internal("services.cloudformation.changesets")._find_change_set
    original = handlers._ACTION_HANDLERS["CreateChangeSet"]

    def create(params: dict[str, Any]) -> Any:
        answer = original(params)
        _, made = find(_one(params.get("ChangeSetName")), _one(params.get("StackName")))
        if made and made["Status"] == "FAILED" and not made["Changes"] and _changes_outputs(made):
            made.update(Status="CREATE_COMPLETE", ExecutionStatus="AVAILABLE", StatusReason="")
        return answer

    handlers._ACTION_HANDLERS["CreateChangeSet"] = create


def _changes_outputs(change_set: dict[str, Any]) -> bool:
    if "didn't contain changes" not in change_set["StatusReason"]:
        return False
    stack = glue.internal("services.cloudformation")._stacks.get(change_set["StackName"]) or {}
    deployed = (stack.get("_template") or {}).get("Outputs") or {}
    return bool(stack) and deployed != (change_set["_template"].get("Outputs") or {})


def _one(value: Any) -> str:
    """A parameter of the query protocol, which ministack keeps as text or as a list of texts."""
    return (value[0] if value else "") if isinstance(value, list) else str(value or "")


class _Interrupted:
    """Says so where a stack operation was under way when the twin stopped: nobody continues it."""

    def get_state(self) -> dict[str, bool]:
        return {"check": True}

    def load_persisted_state(self, _: Any, /) -> None:
        stacks = glue.internal("services.cloudformation")._stacks
        for _, stack in stacks.all_items():
            status = stack.get("StackStatus", "")
            if status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS":
                stack["StackStatus"] = f"{status.split('_', maxsplit=1)[0]}_FAILED"
                stack["StackStatusReason"] = "the twin was stopped during the operation"

    def reset(self) -> None:
        """Nothing is kept."""
