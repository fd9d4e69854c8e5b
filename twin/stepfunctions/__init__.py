"""Step Functions in the twin: the States Language is walked here, and every call is made by the role."""

import json
from typing import Any

from twin import glue
from twin.glue import stepfunctions as seam
from twin.glue.resources import complete_cloudformation
from twin.stepfunctions import calls, executions, history


class _Executions:
    """Running executions are interrupted on reset; their records are the emulator's to keep."""

    def get_state(self) -> Any:
        """Nothing is kept beyond the records."""
        return None

    def load_persisted_state(self, data: Any) -> None:
        """Nothing is kept beyond the records."""

    def reset(self) -> None:
        """Interrupt what runs, and forget the roles' sessions."""
        executions.interrupt_all()
        calls.forget_sessions()


def _check_resource(arn: str, _properties: dict[str, Any]) -> None:
    machine = seam.machines().get(arn)
    if machine is None:
        return
    refusal = executions.fault_of(machine["definition"], machine["roleArn"], arn.split(":")[3])
    if refusal is not None:
        raise ValueError(json.loads(refusal[2])["message"])


def install() -> None:
    """Put the twin's engine in the place of the emulator's."""
    seam.install_engine(
        seam.Engine(
            run=executions.run,
            stopped=executions.stopped,
            ending=history.ENDING,
            check_machine=executions.check_machine,
            check_start=executions.check_start,
        )
    )
    seam.refuse_operation("TestState", "_test_state")
    seam.on_restored(executions.cut_off)
    complete_cloudformation("AWS::StepFunctions::StateMachine", _check_resource)
    glue.register_state("stepfunctions_runs", _Executions())
