"""Bugs planted in the bot, to show what the simulation finds.

Each removes one guarantee, as a faulty change could. It is planted at a port of the bot, whose instances a history
creates (`Bug.journal`, `Bug.homeserver`, `Bug.backend`), or replaces a public function or method (`Bug.replace`);
none depends on the implementation behind these.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from matrix.http.backend import HttpBackend
from store import Journal
from store.database import Runner


def _homeserver_as_it_is(homeserver: Any, journal: Journal) -> Any:
    return homeserver


def _unchanged_backend(backend: HttpBackend) -> HttpBackend:
    return backend


def _nothing(stack: ExitStack) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Bug:
    """One planted bug.

    With `blind`, the checks of the bot's internals are left out, so that its effect on users must show the bug.
    """

    name: str
    journal: Callable[[Runner], Journal] = Journal
    """Creates the journal of each process."""
    homeserver: Callable[[Any, Journal], Any] = _homeserver_as_it_is
    """Wraps the homeserver's port."""
    backend: Callable[[HttpBackend], HttpBackend] = _unchanged_backend
    """Wraps the simulated HTTP backend."""
    replace: Callable[[ExitStack], None] = _nothing
    """Replaces public functions and methods while the stack is open."""
    blind: bool = True
    within: int = 250
    """The number of seeds within which it must be found."""


NONE = Bug("none")


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Apply the replacements of a bug while the block lasts."""
    with ExitStack() as stack:
        bug.replace(stack)
        yield


class Port:
    """Wraps a port and passes everything on that a subclass does not change."""

    def __init__(self, port: Any) -> None:
        self.port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)
