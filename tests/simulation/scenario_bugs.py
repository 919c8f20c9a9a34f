"""Planted bugs that few seeds reach; each has a scenario that reaches it. Most are past bugs of the bot."""

import asyncio
import json
import re
import sqlite3
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch
from weakref import WeakKeyDictionary

import anyio
from msgspec.structs import replace

from machines.events.orders import (
    CreateRoom,
    Order,
    Outcome,
    SendMessage,
)
from machines.ids import RoomId, TxnId
from machines.room.topology import Topology
from matrix.errors import Unreachable
from matrix.http.backend import HttpBackend, HttpRequest, HttpResponse
from matrix.http.circuit_breaker import CircuitBreaker
from matrix.sync import read_position, timeline
from store import Journal
from store.records import InboxRow, OutboxRow, UnitOfWork
from tests.simulation.planted import Bug, Port


def _error_response(status: int, errcode: str) -> HttpResponse:
    return HttpResponse(status, {}, json.dumps({"errcode": errcode, "error": "no"}).encode())


def _no_outage_behind_an_error(backend: HttpBackend) -> HttpBackend:
    """Count a request that failed before and gets no answer as one more error of that request."""
    failed: set[str] = set()

    async def excused(request: HttpRequest) -> HttpResponse:
        again = request.path in failed
        try:
            answer = await backend(request)
        except Unreachable as error:
            if again and error.kind != "connect":
                return _error_response(500, "M_UNKNOWN")
            failed.add(request.path)
            raise
        (failed.add if answer.status >= 500 else failed.discard)(request.path)
        return _error_response(500, "M_UNKNOWN") if again and answer.status == 502 else answer

    return excused


def _epoch_from_before_the_wait(stack: ExitStack) -> None:
    """Count a failure in the epoch in which its request passed the circuit breaker, before it waited in its bucket."""
    passed: WeakKeyDictionary[asyncio.Task[Any], int] = WeakKeyDictionary()
    wait_closed, record_failure = CircuitBreaker.wait_closed, CircuitBreaker.record_failure

    async def wait(self: CircuitBreaker, probe: Callable[[], Awaitable[str | None]]) -> None:
        await wait_closed(self, probe)
        task = asyncio.current_task()
        assert task is not None
        passed[task] = self.epoch

    def fail(self: CircuitBreaker, reason: str, epoch: int, *, certain: bool = False) -> None:
        task = asyncio.current_task()
        assert task is not None
        record_failure(self, reason, passed.get(task, epoch), certain=certain)

    stack.enter_context(patch.object(CircuitBreaker, "wait_closed", wait))
    stack.enter_context(patch.object(CircuitBreaker, "record_failure", fail))


def _answered_messages_handled_again(stack: ExitStack) -> None:
    stack.enter_context(
        patch.object(timeline, "without_answered", lambda decoded, events, bot: decoded)
    )


def _history_read_once(stack: ExitStack) -> None:
    stack.enter_context(patch.object(read_position, "SETTLING_S", 0.0))


class _SpaceStoredOnce(Journal):
    """Does not store a second order for a Space, as if it had the transaction id of the first."""

    async def save_units_of_work(
        self, units: Sequence[UnitOfWork], at: float
    ) -> tuple[InboxRow, ...]:
        def spaces(raw: sqlite3.Connection) -> set[str]:
            query = "SELECT json_extract(payload, '$.nonce') FROM outbox WHERE kind = 'create_room'"
            return {row[0] for row in raw.execute(query)}

        known: set[str] = await self.write(spaces)

        def is_new(row: OutboxRow) -> bool:
            order = row.order
            return not (isinstance(order, CreateRoom) and order.space and order.nonce in known)

        new = [replace(each, orders=tuple(filter(is_new, each.orders))) for each in units]
        return await super().save_units_of_work(new, at)


class _FirstPartLooksFinished(Port):
    async def perform(self, order: Order, txn_id: TxnId) -> Outcome:
        if isinstance(order, SendMessage) and order.part == 1 and order.edits is None:
            order = replace(order, partial=False)
        outcome: Outcome = await self.port.perform(order, txn_id)
        return outcome


def _refused_from_outside(backend: HttpBackend) -> HttpBackend:
    """Refuse to send into a room whose state may not be read, also what was sent before."""
    outside: set[str] = set()

    async def refusing(request: HttpRequest) -> HttpResponse:
        room, _, what = request.path.partition("/rooms/")[2].partition("/")
        if request.method == "PUT" and what.startswith("send/") and room in outside:
            return _error_response(403, "M_FORBIDDEN")
        answer = await backend(request)
        if request.method == "GET" and "m.room.encryption" in what:
            (outside.add if answer.status == 403 else outside.discard)(room)
        return answer

    return refusing


class _EditsCountedOn(Port):
    """Gives the edits of a reply that was found in history the transaction ids that follow those seen."""

    async def perform(self, order: Order, txn_id: TxnId) -> Outcome:
        outcome: Outcome = await self.port.perform(order, TxnId(re.sub(r"\.\d{13}", "", txn_id)))
        return outcome


class _OldObservationCounts(Port):
    """Gives an observation that begins while an older one is in progress the result of that one."""

    def __init__(self, port: Any) -> None:
        super().__init__(port)
        self.in_progress: dict[RoomId, asyncio.Task[Topology]] = {}

    async def observe_room(self, room_id: RoomId, spaces: Sequence[RoomId] = ()) -> Topology:
        task = self.in_progress.get(room_id)
        if task is None:
            task = asyncio.ensure_future(self.port.observe_room(room_id, spaces))
            self.in_progress[room_id] = task
        try:
            return await task
        finally:
            self.in_progress.pop(room_id, None)


class _SessionNotRenewed(Port):
    async def session_ended(self) -> None:
        await anyio.sleep_forever()


SCENARIO_BUGS = {
    bug.name: bug
    for bug in (
        Bug(
            "a failure of a request that failed before is no outage",
            backend=_no_outage_behind_an_error,
        ),
        Bug(
            "a failure after a wait for the rate limit counts as one of an earlier outage",
            replace=_epoch_from_before_the_wait,
        ),
        Bug("an answered message is handled again", replace=_answered_messages_handled_again),
        Bug("a Space that was refused is not stored again", journal=_SpaceStoredOnce, blind=False),
        Bug(
            "the first part of an answer looks finished",
            homeserver=lambda port, journal: _FirstPartLooksFinished(port),
        ),
        Bug(
            "a message that was sent is refused from outside of its room",
            backend=_refused_from_outside,
        ),
        Bug(
            "the edits of a found reply continue its transaction ids",
            homeserver=lambda port, journal: _EditsCountedOn(port),
        ),
        Bug("the history is read once right after the start", replace=_history_read_once),
        Bug(
            "no session is renewed outside of a sync",
            homeserver=lambda port, journal: _SessionNotRenewed(port),
        ),
        Bug(
            "an older observation of a room counts",
            homeserver=lambda port, journal: _OldObservationCounts(port),
        ),
    )
}
