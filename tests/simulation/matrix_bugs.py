"""Planted bugs towards the homeserver: transactions, rooms that are created, encryption, retries."""

import itertools
import json
from collections.abc import Callable
from contextlib import ExitStack
from unittest.mock import patch

from msgspec.structs import replace

from machines.events.orders import Order, Outcome, SendMessage
from machines.ids import TxnId
from machines.room.topology import Topology
from machines.room.unconfirmed import Unconfirmed
from matrix.http.backend import HttpBackend, HttpRequest, HttpResponse
from matrix.http.circuit_breaker import CircuitBreaker
from matrix.sync import history, timeline
from tests.simulation.planted import Bug, Port

_NOT_FOUND = HttpResponse(404, {}, json.dumps({"errcode": "M_NOT_FOUND", "error": "no"}).encode())


def _new_transaction_at_each_try(backend: HttpBackend) -> HttpBackend:
    numbers = itertools.count()

    async def numbered(request: HttpRequest) -> HttpResponse:
        if "/send/" in request.path:
            request = replace(request, path=f"{request.path}.{next(numbers)}")
        return await backend(request)

    return numbered


def _without_state_event(part: str) -> Callable[[HttpBackend], HttpBackend]:
    """Return a wrapper that answers requests for this state event as if there were none."""

    def replacement(backend: HttpBackend) -> HttpBackend:
        async def without(request: HttpRequest) -> HttpResponse:
            asks = request.method == "GET" and f"/state/{part}/" in request.path
            if asks and request.query.get("format") != "event":
                return _NOT_FOUND
            return await backend(request)

        return without

    return replacement


class _EveryEditMayBeDropped(Port):
    async def perform(self, order: Order, txn_id: TxnId) -> Outcome:
        if isinstance(order, SendMessage):
            order = replace(order, droppable=True)
        outcome: Outcome = await self.port.perform(order, txn_id)
        return outcome


class _SyncIsCurrentState(Port):
    async def confirm(self, topology: Topology, unconfirmed: Unconfirmed) -> Topology:
        return topology


def _messages_before_join_read(stack: ExitStack) -> None:
    for module in (timeline, history):
        stack.enter_context(patch.object(module, "last_join_index", lambda *_, **__: -1))


def _no_back_off(stack: ExitStack) -> None:
    stack.enter_context(patch.object(CircuitBreaker, "backoff_s", lambda self, failures: 0.1))


MATRIX_BUGS = (
    Bug("each try has a new transaction id", backend=_new_transaction_at_each_try),
    Bug("messages before the bot's join are read", replace=_messages_before_join_read),
    Bug("the nonce of a room is not searched for", backend=_without_state_event("m.room.create")),
    Bug(
        "a last edit may be dropped",
        homeserver=lambda port, journal: _EveryEditMayBeDropped(port),
    ),
    Bug(
        "an encrypted room is written to in plaintext",
        backend=_without_state_event("m.room.encryption"),
        within=1600,
    ),
    # Only the report of a start shows it: a message in such a chat has it repaired at once.
    Bug(
        "the sync's state is treated as the current state",
        homeserver=lambda port, journal: _SyncIsCurrentState(port),
        blind=False,
    ),
    Bug("there is no back-off in an outage", replace=_no_back_off),
)
