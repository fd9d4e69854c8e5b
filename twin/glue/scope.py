"""Account and region of the work at hand, carried into threads, and stores that are kept apart by them."""

import contextlib
import contextvars
import copy
import threading
from collections.abc import Callable, Generator, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeVar

from twin.glue.internals import internal

T = TypeVar("T")
_responses = internal("core.responses")


@dataclass(frozen=True)
class Scope:
    """The account (12 digits) and region that a piece of work belongs to."""

    account: str
    region: str


def current_scope() -> Scope:
    """Return the scope of the request or thread that is running."""
    return Scope(_responses.get_account_id(), _responses.get_region())


@contextlib.contextmanager
def scope(account: str, region: str) -> Generator[Scope]:
    """Run the body in `account` and `region`, then restore the scope from before."""
    with _responses.request_scope(account, region):
        yield Scope(account, region)


def run_in_scope(account: str, region: str, function: Callable[..., T], *args: Any) -> T:
    """Call `function(*args)` in `account` and `region` and return its result."""
    with scope(account, region):
        return function(*args)


def spawn(function: Callable[..., Any], *args: Any, name: str = "twin") -> threading.Thread:
    """Start `function(*args)` in a daemon thread that keeps the caller's scope; its faults go to the log."""
    return internal("core.concurrency").spawn_background(function, *args, thread_name=name)


async def run_blocking(function: Callable[..., T], *args: Any) -> T:
    """Await blocking work off the event loop, in its own thread: it may call back into the twin."""
    return await internal("core.concurrency").run_reentrant(function, *args)


def keep_scope(function: Callable[..., T]) -> Callable[..., T]:
    """Bind `function` to the caller's scope, for thread pools and timers that would lose it."""
    context = contextvars.copy_context()
    return lambda *args, **kwargs: context.copy().run(function, *args, **kwargs)


class ScopedStore(MutableMapping[str, Any]):
    """A dict whose keys belong to the current account and region; values must be JSON-able to be persisted.

    `everywhere()` walks all scopes. `state`, `restore` and `reset` serve `register_service(state=...)`.
    """

    def __init__(self) -> None:
        """Start empty."""
        self._data: dict[tuple[str, str, str], Any] = {}
        self.lock = threading.RLock()

    @staticmethod
    def _key(key: str) -> tuple[str, str, str]:
        here = current_scope()
        return (here.account, here.region, key)

    def __getitem__(self, key: str) -> Any:
        try:
            return self._data[self._key(key)]
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key: str, value: Any) -> None:
        with self.lock:
            self._data[self._key(key)] = value

    def __delitem__(self, key: str) -> None:
        with self.lock:
            try:
                del self._data[self._key(key)]
            except KeyError:
                raise KeyError(key) from None

    def __iter__(self) -> Iterator[str]:
        here = current_scope()
        return iter(
            [
                key
                for account, region, key in list(self._data)
                if (account, region) == (here.account, here.region)
            ]
        )

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def everywhere(self) -> list[tuple[Scope, str, Any]]:
        """Return (scope, key, value) of every entry in every account and region."""
        return [
            (Scope(account, region), key, value) for (account, region, key), value in list(self._data.items())
        ]

    def state(self) -> list[list[Any]]:
        """Return a copy of the whole store, as a JSON-able list of [account, region, key, value]."""
        with self.lock:
            return copy.deepcopy([[*key, value] for key, value in self._data.items()])

    def restore(self, rows: list[list[Any]]) -> None:
        """Replace the content by what `state` returned."""
        with self.lock:
            self._data = {(account, region, key): value for account, region, key, value in rows}

    def reset(self) -> None:
        """Forget everything, in every account and region."""
        with self.lock:
            self._data.clear()
