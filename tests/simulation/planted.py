"""Bugs put into the bot on purpose: the simulation is worth what it finds of them.

Each takes one guarantee away, in the way somebody might while changing the code. Where `blind`, the checks of
what goes on inside are left out, and the bug has to show in what people see.
"""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import anyio
from msgspec.structs import replace

from actors.bot import Bot
from actors.crank import Crank
from actors.gaps import GapFiller
from actors.outbox import Outbox
from actors.outcomes import Outcomes
from actors.reconciler import Reconciler
from machines import dialogue
from matrix import decoding, history
from matrix.creating import RoomMaker
from matrix.gate import Gate
from matrix.homeserver import MatrixHomeserver
from matrix.performing import Performer
from matrix.transport import Transport
from store import Journal
from store.queries import SQL
from store.records import Writes


@dataclasses.dataclass(frozen=True, slots=True)
class Bug:
    """One planted bug. `plant` patches it in, for as long as the stack is open."""

    name: str
    plant: Callable[[ExitStack], None]
    blind: bool = True
    within: int = 250
    """In so many seeds it has to be found."""


def _replace(stack: ExitStack, owner: Any, name: str, made: Callable[[Any], Any]) -> None:
    """Replace an attribute by what `made` makes of the original."""
    stack.enter_context(patch.object(owner, name, made(getattr(owner, name))))


# -- the journal -----------------------------------------------------------------------------------


def _token_before_events(stack: ExitStack) -> None:
    def made(original: Any) -> Any:
        async def keep_batch(self: Journal, batch: Any, at: float) -> Any:
            await self.write(lambda raw: _run(raw, "set_sync_token", token=batch.token))
            return await original(self, batch, at)

        return keep_batch

    _replace(stack, Journal, "keep_batch", made)


def _message_done_before_its_turn(stack: ExitStack) -> None:
    def made(original: Any) -> Any:
        async def keep_visits(self: Journal, visits: Any, at: float) -> Any:
            await original(self, [Writes(finished=each.finished) for each in visits], at)
            return await original(self, visits, at)

        return keep_visits

    _replace(stack, Journal, "keep_visits", made)


def _events_taken_twice(stack: ExitStack) -> None:
    # What stands before its answer in one timeline never comes as far as the inbox.
    stack.enter_context(patch.object(decoding, "unanswered", lambda facts, events, bot: facts))
    without_event_id = SQL["put_inbox"].replace(":event_id", "NULL")
    stack.enter_context(patch.dict(SQL, put_inbox=without_event_id))


def _writers_out_of_order(stack: ExitStack) -> None:
    def made(original: Any) -> Any:
        async def write(self: Journal, unit: Any) -> Any:
            first = not self._writing
            result = await original(self, unit)
            # As if the first wrote for all who come later; there is no event to wait for.
            while first and self._writing:  # noqa: ASYNC110
                await anyio.sleep(0.001)
            return result

        return write

    _replace(stack, Journal, "write", made)


# -- the runtime -----------------------------------------------------------------------------------


def _send_before_commit(stack: ExitStack) -> None:
    def commit(original: Any) -> Any:
        async def _commit(self: Crank, visits: Any) -> Any:
            for visit in visits:
                self._send(visit.writes.orders, visit.writes.dropped_edits, visit.cell.key)
            return await original(self, visits)

        return _commit

    def release(original: Any) -> Any:
        def _release(self: Crank, visit: Any) -> None:
            with patch.object(self, "_send", lambda orders, dropped, actor: None):
                original(self, visit)

        return _release

    _replace(stack, Crank, "_commit", commit)
    _replace(stack, Crank, "_release", release)


def _order_done_before_answered(stack: ExitStack) -> None:
    def made(original: Any) -> Any:
        async def _perform(self: Outbox, row: Any) -> Any:
            done = {"status": "sent", "event_id": None, "reason": "", "txn_id": row.txn_id}
            await self._journal.write(lambda raw: _run(raw, "finish_outbox", **done))
            return await original(self, row)

        return _perform

    _replace(stack, Outbox, "_perform", made)


def _only_the_first_outcome_kept(stack: ExitStack) -> None:
    def made(original: Any) -> Any:
        async def _keep(self: Outcomes, finished: Any) -> Any:
            return await original(self, finished[:1])

        return _keep

    _replace(stack, Outcomes, "_keep", made)


def _lane_of_its_own(stack: ExitStack) -> None:
    def made(original: Any) -> Any:
        def send(self: Outbox, rows: Any, *dropped: Any) -> None:
            original(self, [replace(row, lane=row.txn_id) for row in rows], *dropped)

        return send

    _replace(stack, Outbox, "send", made)


def _turn_not_taken_up_again(stack: ExitStack) -> None:
    _replace(stack, dialogue, "resume", lambda original: lambda case: None)


def _late_rows_lost(stack: ExitStack) -> None:
    def made(original: Any) -> Any:
        def deliver(self: Crank, rows: Any) -> None:
            with patch.object(self, "_loading", {}):
                original(self, rows)

        return deliver

    _replace(stack, Crank, "deliver", made)


def _no_reconciliation(stack: ExitStack) -> None:
    async def nothing(self: Reconciler, topology: Any) -> dict[str, Any]:
        return {"rooms_recovered": 0, "rooms_unchanged": 0}

    stack.enter_context(patch.object(Reconciler, "reconcile_matrix_state", nothing))


def _gap_not_filled(stack: ExitStack) -> None:
    async def nothing(self: GapFiller, *rest: Any) -> None:
        pass

    stack.enter_context(patch.object(GapFiller, "_fill_one", nothing))


def _session_not_renewed(stack: ExitStack) -> None:
    async def nothing(self: Bot) -> None:
        await anyio.sleep_forever()

    stack.enter_context(patch.object(Bot, "_renew_session", nothing))


# -- towards the homeserver ------------------------------------------------------------------------


def _new_transaction_at_each_try(stack: ExitStack) -> None:
    numbers = itertools.count()

    def made(original: Any) -> Any:
        async def _once(self: Transport, request: Any, call: Any) -> Any:
            if "/send/" in request.path:
                request = replace(request, path=f"{request.path}.{next(numbers)}")
            return await original(self, request, call)

        return _once

    _replace(stack, Transport, "_once", made)


def _no_fence_at_join(stack: ExitStack) -> None:
    for module in (decoding, history):
        stack.enter_context(patch.object(module, "last_arrival", lambda *_, **__: -1))


def _nonce_not_looked_for(stack: ExitStack) -> None:
    async def nothing(self: RoomMaker, nonce: str) -> None:
        return None

    stack.enter_context(patch.object(RoomMaker, "_find", nothing))


def _encryption_overlooked(stack: ExitStack) -> None:
    async def no(self: Performer, room_id: Any) -> bool:
        return False

    stack.enter_context(patch.object(Performer, "_is_encrypted", no))


def _every_edit_may_be_dropped(stack: ExitStack) -> None:
    def made(original: Any) -> Any:
        async def _send(self: Performer, order: Any, txn_id: Any) -> Any:
            return await original(self, replace(order, droppable=True), txn_id)

        return _send

    _replace(stack, Performer, "_send", made)


def _sync_taken_for_current_state(stack: ExitStack) -> None:
    async def unchanged(self: MatrixHomeserver, topology: Any, doubts: Any) -> Any:
        return topology

    stack.enter_context(patch.object(MatrixHomeserver, "confirm", unchanged))


def _no_back_off(stack: ExitStack) -> None:
    stack.enter_context(patch.object(Gate, "back_off_s", lambda self, failures: 0.1))


def _run(raw: Any, statement: str, **values: Any) -> int:
    return int(raw.execute(SQL[statement], values).rowcount)


BUGS = {
    bug.name: bug
    for bug in (
        Bug("the token is committed before its events", _token_before_events),
        Bug("a message is done before its turn is stored", _message_done_before_its_turn),
        Bug("an event that comes again is taken again", _events_taken_twice),
        Bug("inbox rows are handed over out of order", _writers_out_of_order),
        Bug("an order is sent before its commit", _send_before_commit, blind=False),
        Bug("an order is done before it is answered", _order_done_before_answered),
        Bug("of the outcomes of a batch only the first is kept", _only_the_first_outcome_kept),
        Bug("the orders of a room are not sent one after the other", _lane_of_its_own),
        Bug("a restart does not take up the turn in hand", _turn_not_taken_up_again),
        Bug("rows that come while an actor is loaded are lost", _late_rows_lost),
        Bug("reconciliation is left out", _no_reconciliation),
        Bug("a gap is not filled", _gap_not_filled),
        Bug("nobody renews a session outside of a sync", _session_not_renewed, within=750),
        Bug("each try has a new transaction id", _new_transaction_at_each_try),
        Bug("there is no fence at the bot's join", _no_fence_at_join),
        Bug("a room's nonce is not looked for", _nonce_not_looked_for),
        Bug("a last edit may be dropped", _every_edit_may_be_dropped),
        Bug("an encrypted room is written to in plaintext", _encryption_overlooked),
        # The report of a start is what shows it: whoever writes in such a chat has it repaired at once.
        Bug(
            "the sync's state is taken for the current state",
            _sync_taken_for_current_state,
            blind=False,
        ),
        Bug("there is no back-off in an outage", _no_back_off),
    )
}


@contextmanager
def planted(name: str | None) -> Iterator[None]:
    """Have one of the bugs in the bot while the block lasts; none without a name."""
    with ExitStack() as stack:
        if name is not None:
            BUGS[name].plant(stack)
        yield
