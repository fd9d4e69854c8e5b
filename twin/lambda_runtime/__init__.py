"""Lambda in the twin: functions run in processes of their own, with the interpreter that they need."""

from typing import Any

from twin import glue
from twin.glue import lambdas
from twin.lambda_runtime import invocation, package, resources
from twin.lambda_runtime.execution import execute, pool, throttled


class _Environments:
    """Execution environments are ended on reset; nothing of them outlives the twin."""

    def get_state(self) -> Any:
        """Nothing is kept."""
        return None

    def load_persisted_state(self, data: Any) -> None:
        """Nothing is kept."""

    def reset(self) -> None:
        """End every execution environment, and remove what was unpacked."""
        pool.clear()
        package.remove_all()


def _forget(name: str) -> None:
    here = glue.current_scope()
    pool.forget(here.account, here.region, name)


def install() -> None:
    """Take over the execution of functions, their aliases and the permission to invoke them."""
    lambdas.install_executor(execute, throttled)
    lambdas.install_invoke(invocation.before_invoke)
    lambdas.install_lookup(invocation.choose_version)
    lambdas.install_event_sources(invocation.deliver)
    lambdas.on_change(_forget)
    resources.install()
    glue.register_state("lambda_environments", _Environments())
    package.remove_leftovers()
    pool.watch()
