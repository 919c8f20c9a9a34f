"""Bugs put into the bot on purpose: the simulation is worth what it finds of them.

Each takes one guarantee away, in the way somebody might while changing the code. It is planted at a port of the
bot, of which a history makes the instances (`Bug.journal`, `Bug.homeserver`, `Bug.backend`), or in place of a
public function or method (`Bug.replace`); none depends on how the code behind these is written.
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

    Where `blind`, the checks of what goes on inside are left out, and the bug has to show in what people see.
    """

    name: str
    journal: Callable[[Runner], Journal] = Journal
    """Makes the journal of each process."""
    homeserver: Callable[[Any, Journal], Any] = _homeserver_as_it_is
    """Makes what stands in place of the homeserver's port, from the real one."""
    backend: Callable[[HttpBackend], HttpBackend] = _unchanged_backend
    """Makes what stands in place of the HTTP backend, from the simulated one."""
    replace: Callable[[ExitStack], None] = _nothing
    """Replaces public functions and methods, for as long as the stack is open."""
    blind: bool = True
    within: int = 250
    """In so many seeds it has to be found."""


NONE = Bug("none")


@contextmanager
def planted(bug: Bug) -> Iterator[None]:
    """Have what a bug replaces in place while the block lasts."""
    with ExitStack() as stack:
        bug.replace(stack)
        yield


class Port:
    """Stands in place of a port and passes everything on that a subclass does not change."""

    def __init__(self, port: Any) -> None:
        self.port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self.port, name)
