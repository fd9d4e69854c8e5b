"""Makes the state that is saved on stop whole, while jobs and workflows still change it."""

import time
from collections.abc import Callable
from typing import Any

from twin.glue.internals import internal

_TRIES, _PAUSE_SECONDS = 100, 0.02
GetState = Callable[[], Any]


def install_saving() -> None:
    """Have ministack read states by `steady`."""
    app = internal("app")
    original = app._build_persistence_save_dict

    def build() -> dict[str, GetState]:
        return {name: steady(get_state) for name, get_state in original().items()}

    app._build_persistence_save_dict = build


def steady(get_state: GetState) -> GetState:
    """Read a state again when it was changed meanwhile, which Python tells by a RuntimeError.

    Ministack copies its dictionaries without a lock, and would leave out the whole service.
    """

    def read() -> Any:
        for _ in range(_TRIES - 1):
            try:
                return get_state()
            except RuntimeError:
                time.sleep(_PAUSE_SECONDS)
        return get_state()

    return read
