"""Carries out the runtime's orders, each with one or a few requests, so that repeating an order changes nothing.

Messages are idempotent by their transaction id (fact 7), rooms by their nonce, and the other orders by themselves. A
definite refusal of the homeserver is an outcome (`Refused`); retries are made in the transport.
"""

from collections.abc import Iterable, Mapping
from typing import Any, assert_never

import anyio
import anyio.to_thread

from machines.events.matrix import EncryptionEnabled, MatrixEvent
from machines.events.orders import (
    CompleteRoom,
    CreateRoom,
    Done,
    EnsureInvited,
    Joined,
    JoinRoom,
    LinkChild,
    LookUpName,
    NameFound,
    NameRoom,
    Order,
    Outcome,
    RedactMessage,
    Refused,
    RejectInvite,
    RoomCreated,
    SendMessage,
    StoreBinding,
)
from machines.ids import RoomId, TxnId, UserId, server_of
from machines.room.topology import Topology
from matrix.errors import Dropped, RequestRefused, refusal_of
from matrix.http.cleaning import clean_text
from matrix.http.parsing import gc_paused
from matrix.http.request import Request, client_path
from matrix.http.transport import ANY_STATUS, Transport
from matrix.keys import BINDING_TYPE
from matrix.raw_events import as_dict, as_event_id
from matrix.rooms.create import RoomCreator
from matrix.rooms.initial_state import complete_room, ensure_invited
from matrix.rooms.render import message_content

# Joining a room on another homeserver may take long.
JOIN_TIMEOUT_S = 60.0

# The densest markup takes about 10 µs a character to render.
_RENDERED_AT_ONCE_CHARS = 500

_NO_PLAINTEXT = Refused(
    kind="encrypted",
    errcode="M_FORBIDDEN",
    reason="the room is encrypted, and nothing is written there in plaintext",
)


class OrderPerformer:
    """Carries out the orders of one bot."""

    def __init__(self, transport: Transport, creator: RoomCreator, bot: UserId) -> None:
        self._transport = transport
        self._creator = creator
        self._bot = bot
        self._encrypted: dict[RoomId, bool] = {}
        self._renderer = anyio.Lock()

    def record_encryption(self, decoded: Iterable[MatrixEvent]) -> None:
        """Record which rooms have become encrypted."""
        for event in decoded:
            if isinstance(event, EncryptionEnabled):
                self._encrypted[event.room_id] = True

    def record(self, topology: Topology) -> None:
        """Record which of the observed rooms are encrypted.

        Encryption can't be turned off again. For the other rooms nothing is recorded: before the first message the
        current state is read (contract L3).
        """
        for room in topology.rooms.values():
            if room.encrypted:
                self._encrypted[room.room_id] = True

    async def perform(self, order: Order, txn_id: TxnId) -> Outcome:
        """Carry out one order; idempotent for the same `txn_id`.

        A droppable message that was left out under pressure is `Done` without an event.
        """
        try:
            return await self._dispatch(order, txn_id)
        except Dropped:
            return Done()
        except RequestRefused as refused:
            return refusal_of(refused)

    async def _dispatch(self, order: Order, txn_id: TxnId) -> Outcome:
        match order:
            case SendMessage():
                return await self._send(order, txn_id)
            case RedactMessage():
                return await self._redact(order, txn_id)
            case JoinRoom(room_id=room_id):
                return await self._join(room_id)
            case RejectInvite(room_id=room_id, reason=reason):
                return await self._reject(room_id, reason)
            case LookUpName(user_id=user_id):
                return await self._look_up_name(user_id)
            case CreateRoom():
                return RoomCreated(await self._creator.create(order))
            case LinkChild(space_id=space_id, room_id=room_id):
                content = {"via": [server_of(self._bot)]}
                return await self._set_state(space_id, "m.space.child", room_id, content)
            case EnsureInvited(room_id=room_id, user_id=user_id, reason=reason):
                await ensure_invited(self._transport, room_id, user_id, reason)
                return Done()
            case NameRoom(room_id=room_id, name=name):
                return await self._set_state(room_id, "m.room.name", "", {"name": name})
            case CompleteRoom():
                await complete_room(self._transport, order)
                return Done()
            case StoreBinding(room_id=room_id, content=content):
                return await self._store_binding(room_id, content)
            case _:
                assert_never(order)

    async def _send(self, order: SendMessage, txn_id: TxnId) -> Outcome:
        if await self._must_not_write(order.room_id):
            return _NO_PLAINTEXT
        if order.edits is not None and order.edits_event_id is None:
            return Refused("invalid", "M_NOT_FOUND", "the message to edit was never sent")
        content = await self._content(order)
        path = client_path("rooms", order.room_id, "send", "m.room.message", txn_id)
        return await self._write(path, content, droppable=order.droppable)

    async def _content(self, order: SendMessage) -> Mapping[str, Any]:
        """Render a message; a long one in a thread, because it may take some tenths of a second.

        The parser is Python, so the thread shares the interpreter with the event loop, which gets it back within 5 ms
        (`sys.getswitchinterval`). One text is rendered at a time, so that the loop waits for only one thread.
        """
        if len(order.body) <= _RENDERED_AT_ONCE_CHARS:
            return message_content(order)
        async with self._renderer:
            with gc_paused():
                return await anyio.to_thread.run_sync(message_content, order)

    async def _redact(self, order: RedactMessage, txn_id: TxnId) -> Outcome:
        if order.redacts_event_id is None:
            return Refused("invalid", "M_NOT_FOUND", "the message to redact was never sent")
        path = client_path("rooms", order.room_id, "redact", order.redacts_event_id, txn_id)
        return await self._write(path, {})

    async def _set_state(
        self, room_id: RoomId, kind: str, key: str, content: Mapping[str, Any]
    ) -> Outcome:
        """Set room state; for the same content the homeserver creates no second event."""
        return await self._write(client_path("rooms", room_id, "state", kind, key), content)

    async def _write(
        self, path: str, content: Mapping[str, Any], *, droppable: bool = False
    ) -> Outcome:
        answer = await self._transport.request(
            Request("PUT", path, body=content, bucket="send", droppable=droppable)
        )
        return Done(as_event_id(as_dict(answer).get("event_id")))

    async def _join(self, room_id: RoomId) -> Outcome:
        path = client_path("rooms", room_id, "join")
        await self._transport.request(
            Request("POST", path, body={}, bucket="join", timeout_s=JOIN_TIMEOUT_S)
        )
        # Known encryption may be from before the bot was in the room.
        self._encrypted.pop(room_id, None)
        return Joined(room_id, await self._is_encrypted(room_id))

    async def _reject(self, room_id: RoomId, reason: str) -> Outcome:
        """Reject an invitation and forget the room, so that nothing of it is stored (contract O4)."""
        bodies = {"leave": {"reason": reason} if reason else {}, "forget": {}}
        for step, body in bodies.items():
            path = client_path("rooms", room_id, step)
            try:
                await self._transport.request(Request("POST", path, body=body, bucket="join"))
            except RequestRefused as refused:
                # Not invited any more, or already left: the order is fulfilled.
                if refused.status not in (400, 403, 404):
                    raise
        return Done()

    async def _look_up_name(self, user_id: UserId) -> Outcome:
        # There may be no profile, a private one, or one on a homeserver that does not respond.
        profile = await self._transport.get("profile", user_id, "displayname", absent=ANY_STATUS)
        name = as_dict(profile).get("displayname")
        shown = " ".join(clean_text(name).split()) if isinstance(name, str) else ""
        return NameFound(shown or user_id[1:].partition(":")[0])

    async def _store_binding(self, room_id: RoomId, content: Mapping[str, Any]) -> Outcome:
        path = client_path("user", self._bot, "rooms", room_id, "account_data", BINDING_TYPE)
        await self._transport.request(Request("PUT", path, body=content, bucket="send"))
        return Done()

    async def _must_not_write(self, room_id: RoomId) -> bool:
        """Whether the room is encrypted; where the bot is not in the room, false, because the homeserver decides.

        It refuses a new message there, and recognises one that was sent while the bot was in the room (fact 7).
        """
        try:
            return await self._is_encrypted(room_id)
        except RequestRefused as refused:
            if refused.status != 403:
                raise
            return False

    async def _is_encrypted(self, room_id: RoomId) -> bool:
        """Whether a room is encrypted; the homeserver is asked once, where it is not known."""
        known = self._encrypted.get(room_id)
        if known is None:
            path = ("rooms", room_id, "state", "m.room.encryption", "")
            known = await self._transport.get(*path, absent=(404,)) is not None
            self._encrypted[room_id] = known
        return known
