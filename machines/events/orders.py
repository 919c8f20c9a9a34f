"""Orders to the homeserver, kept in the outbox, and their outcomes.

Every order is safe to repeat: messages by their transaction id, rooms by their nonce, everything else because it
sets a value. Therefore a committed order takes effect exactly once (contract D1). `matrix` performs them.
"""

from typing import Any, Literal

from msgspec import Struct

from machines.ids import EventId, RoomId, TxnId, UserId


class SendMessage(Struct, frozen=True, tag="send_message"):
    """Send, or edit, one message.

    `body` is Markdown and is rendered at the edge. `edits` names the transaction id of the message
    to replace; the runtime resolves it to `edits_event_id` just before performing. `droppable`
    marks an intermediate edit that a newer one may overtake (contract D8). `shows_question` names the
    open question that the room shows once this stands in it (contract K8).
    """

    room_id: RoomId
    body: str
    notice: bool = False
    answers: EventId | None = None
    part: int | None = None
    partial: bool = False
    thread_root: EventId | None = None
    edits: TxnId | None = None
    edits_event_id: EventId | None = None
    droppable: bool = False
    shows_question: EventId | None = None


class RedactMessage(Struct, frozen=True, tag="redact_message"):
    """Redact one of the bot's own messages, named by the transaction id it was sent with."""

    room_id: RoomId
    redacts: TxnId
    redacts_event_id: EventId | None = None


class JoinRoom(Struct, frozen=True, tag="join_room"):
    """Accept an invitation. Outcome: `Joined`."""

    room_id: RoomId


class RejectInvite(Struct, frozen=True, tag="reject_invite"):
    """Reject an invitation (contract O4)."""

    room_id: RoomId


class LookUpName(Struct, frozen=True, tag="look_up_name"):
    """Find a user's display name; the localpart where none is set. Outcome: `NameFound`."""

    user_id: UserId


class CreateRoom(Struct, frozen=True, tag="create_room"):
    """Create a private room or Space that only the bot may change (contract O1). Outcome: `RoomCreated`.

    `nonce` stands in the room's `m.room.create` content as `org.lambda.surfaces.nonce`: a room the
    bot is already joined to with this nonce *is* the ordered one (contract O3). `parent` is the Space that a chat
    names in `m.space.parent`. `repeated` is set by the runtime: a process that was killed may have sent this order, and
    the homeserver may still be performing it.
    """

    nonce: str
    name: str
    invite: UserId
    space: bool = False
    parent: RoomId | None = None
    repeated: bool = False


class LinkChild(Struct, frozen=True, tag="link_child"):
    """Set `m.space.child` in the Space, with the bot's own server as `via`."""

    space_id: RoomId
    room_id: RoomId


class EnsureInvited(Struct, frozen=True, tag="ensure_invited"):
    """Invite a user unless they are joined or invited already (contract O2)."""

    room_id: RoomId
    user_id: UserId


class NameRoom(Struct, frozen=True, tag="name_room"):
    """Set `m.room.name` (contract K3)."""

    room_id: RoomId
    name: str


class StoreBinding(Struct, frozen=True, tag="store_binding"):
    """Keep a binding as room account data `org.lambda.surfaces.room` (contract R4)."""

    room_id: RoomId
    content: dict[str, Any]


Order = (
    SendMessage
    | RedactMessage
    | JoinRoom
    | RejectInvite
    | LookUpName
    | CreateRoom
    | LinkChild
    | EnsureInvited
    | NameRoom
    | StoreBinding
)


class Done(Struct, frozen=True, tag="done"):
    """The homeserver performed the order; `event_id` is the event it made, if any."""

    event_id: EventId | None = None


class Joined(Struct, frozen=True, tag="joined"):
    """The bot is in the room; `encrypted` says whether the room's state has `m.room.encryption`."""

    room_id: RoomId
    encrypted: bool


class NameFound(Struct, frozen=True, tag="name_found"):
    """A user's display name."""

    name: str


class RoomCreated(Struct, frozen=True, tag="room_created"):
    """The room exists: created now, or found by its nonce."""

    room_id: RoomId


class Refused(Struct, frozen=True, tag="refused"):
    """The homeserver refuses the order for good.

    `kind` is `forbidden` (403 and kin), `too_large`, `unsendable` (this body breaks the server) or
    `encrypted` (the room takes no plaintext and the bot can't encrypt yet).
    """

    kind: Literal["forbidden", "not_found", "too_large", "unsendable", "encrypted", "invalid"]
    errcode: str
    reason: str


Outcome = Done | Joined | NameFound | RoomCreated | Refused
