"""Orders to the homeserver, which wait in the outbox, and their outcomes. The package `matrix` performs them.

Every order is idempotent: messages by their transaction id, rooms by their nonce, the others because they set a value.
Therefore an order that is committed takes effect exactly once (contract D1).
"""

from typing import Any, Literal

from msgspec import Struct

from machines.ids import EventId, RoomId, TxnId, UserId


class SendMessage(Struct, frozen=True, tag="send_message"):
    """Send or edit one message.

    `body` is Markdown, which `matrix` renders. `answers` is the message that it replies to. A `partial` message will be
    edited again, because its reply is not complete. `edits` is the transaction id of the message to replace; the outbox
    resolves it to `edits_event_id` before it performs the order. A newer edit may replace a `droppable` one (contract
    D8). `shows_question` is the open question that this message contains (contract K8). `as_reply` shows it as a rich
    reply to `answers` (contract D18).
    A `quiet` message shows no text of the agent yet; the interval of edits does not count from it (contract D6).
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
    as_reply: bool = False
    quiet: bool = False


class RedactMessage(Struct, frozen=True, tag="redact_message"):
    """Redact a message of the bot; `redacts` is the transaction id that it was sent with."""

    room_id: RoomId
    redacts: TxnId
    redacts_event_id: EventId | None = None


class JoinRoom(Struct, frozen=True, tag="join_room"):
    """Accept an invitation. Outcome: `Joined`."""

    room_id: RoomId


class RejectInvite(Struct, frozen=True, tag="reject_invite", omit_defaults=True):
    """Reject an invitation (contract O4); `reason` is a sentence for the user who sent it."""

    room_id: RoomId
    reason: str = ""


class LookUpName(Struct, frozen=True, tag="look_up_name"):
    """Read a user's display name, or the localpart if none is set. Outcome: `NameFound`."""

    user_id: UserId


class CreateRoom(Struct, frozen=True, tag="create_room"):
    """Create a private room or Space that only the bot may change (contract O1). Outcome: `RoomCreated`.

    `nonce` is stored in `m.room.create` as `org.lambda.surfaces.nonce`: if the bot is already in a room with this
    nonce, that room is the ordered one (contract O3). `parent` is the Space in `m.space.parent` of a chat. The runtime
    sets `repeated` if a process that was killed may have sent this order: the homeserver may still be performing it.
    `topic` is the room's topic, `reason` the reason of the invitation; both may be empty.
    """

    nonce: str
    name: str
    invite: UserId
    space: bool = False
    parent: RoomId | None = None
    repeated: bool = False
    topic: str = ""
    reason: str = ""


class LinkChild(Struct, frozen=True, tag="link_child"):
    """Set `m.space.child` in a Space, with the bot's server as `via`."""

    space_id: RoomId
    room_id: RoomId


class EnsureInvited(Struct, frozen=True, tag="ensure_invited"):
    """Invite a user, with a reason, unless they are joined or invited already (contracts O1, O2)."""

    room_id: RoomId
    user_id: UserId
    reason: str = ""


class NameRoom(Struct, frozen=True, tag="name_room"):
    """Set `m.room.name` (contract K3)."""

    room_id: RoomId
    name: str


class CompleteRoom(Struct, frozen=True, tag="complete_room"):
    """Give a chat of an earlier version what new ones have: the join rule `restricted`, and a topic (contract O1).

    Only the join rule `invite` is replaced, and only a missing topic is set, so that the order undoes no change of an
    operator.
    """

    room_id: RoomId
    space_id: RoomId
    topic: str


class StoreBinding(Struct, frozen=True, tag="store_binding"):
    """Store a binding in the room account data `org.lambda.surfaces.room` (contract R4)."""

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
    | CompleteRoom
    | StoreBinding
)


class Done(Struct, frozen=True, tag="done"):
    """The homeserver performed the order; `event_id` is the event that was created, if any."""

    event_id: EventId | None = None


class Joined(Struct, frozen=True, tag="joined"):
    """The bot is in the room; `encrypted` is whether its state has `m.room.encryption`."""

    room_id: RoomId
    encrypted: bool


class NameFound(Struct, frozen=True, tag="name_found"):
    """The display name of a user."""

    name: str


class RoomCreated(Struct, frozen=True, tag="room_created"):
    """The room exists: it was created now, or found by its nonce."""

    room_id: RoomId


class Refused(Struct, frozen=True, tag="refused"):
    """The homeserver refuses the order, and a retry would not help.

    `unsendable` means that this body causes an error in the server, `encrypted` that the room accepts no plaintext and
    the bot cannot encrypt.
    """

    kind: Literal["forbidden", "not_found", "too_large", "unsendable", "encrypted", "invalid"]
    errcode: str
    reason: str


Outcome = Done | Joined | NameFound | RoomCreated | Refused
