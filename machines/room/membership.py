"""The membership of a room: invitations, joins, removals and other members. Runs the room's machine."""

from typing import assert_never

from msgspec.structs import replace

from machines.events.effects import Enqueue, Log, RecordTransition
from machines.events.matrix import (
    BotRemoved,
    BotReturned,
    EncryptionEnabled,
    InviteArrived,
    MemberChanged,
    MembersCounted,
    Membership,
)
from machines.events.orders import Joined, RejectInvite
from machines.ids import UserId
from machines.room.binding import OwnerMembership
from machines.room.machine import ROOM, RoomMachineEvent, new_txn_id
from machines.room.step_draft import StepDraft
from machines.turn.driver import drop_turn

_MAX_DEPARTED = 100

MembershipEvent = (
    InviteArrived | BotReturned | BotRemoved | MemberChanged | MembersCounted | EncryptionEnabled
)


def step_room(draft: StepDraft, event: RoomMachineEvent, reason: str) -> None:
    """Run the room's machine and record the transition with its reason (contract R2)."""
    step = ROOM.step(draft.room, event, draft.context)
    draft.room = step.data
    if step.moved:
        transition = step.transition
        draft.room = replace(draft.room, since=draft.context.now, reason=reason)
        report = getattr(event, "report", None)
        draft.effects.append(
            RecordTransition(transition.event, transition.source, transition.target, reason, report)
        )
    draft.effects += step.effects


def handle_membership(draft: StepDraft, event: MembershipEvent, seq: int) -> None:
    """Handle a change of the room's members or of its encryption; `seq` is its inbox row."""
    match event:
        case InviteArrived():
            _answer_invite(draft, event)
        case BotReturned(room_id=room_id):
            step_room(draft, Joined(room_id, encrypted=False), "the bot came back")
        case BotRemoved(reason=reason):
            was_in = draft.room.state != "unregistered"
            step_room(draft, event, reason)
            if was_in:
                drop_turn(draft, "removed", "the bot was removed from the room")
        case MemberChanged(user_id=user_id, membership=membership):
            binding = draft.room.binding
            if binding is None or binding.room_type == "entry":
                _record_departure(draft, user_id, membership, seq)
            # The bot invites the owner before the room has its binding: only they can be meant then.
            if binding is None or binding.matrix_user_id == user_id:
                changed = owner_membership_after(draft.room.owner_membership, membership)
                draft.room = replace(draft.room, owner_membership=changed)
        case MembersCounted(others=others):
            # Chats and Spaces do not need the number: only the bot invites users there.
            if draft.room.binding is None or draft.room.binding.room_type == "entry":
                draft.room = replace(draft.room, others=others)
        case EncryptionEnabled():
            draft.room = replace(draft.room, encrypted=True)
        case _:
            assert_never(event)


def owner_membership_after(before: OwnerMembership, membership: Membership) -> OwnerMembership:
    """Return the owner's membership after a change: a `leave` after an invitation declines it."""
    match membership:
        case "join" | "invite":
            return membership
        case "leave" | "ban" | "knock":
            return "declined" if before in ("invite", "declined") else "leave"
        case _:
            assert_never(membership)


def record_presence(draft: StepDraft, user_id: UserId, seq: int) -> None:
    """Record that a user was in the room at this inbox row: one who left earlier is back."""
    if draft.room.chat_context.departed.get(user_id, seq) < seq:
        _store_departed(draft, user_id, None)


def _record_departure(draft: StepDraft, user_id: UserId, membership: Membership, seq: int) -> None:
    """Record who left an entry room: another member may be there instead (contract O5).

    It is stored, because an answer may still be on its way after a restart. Only users who may talk to the bot get one.
    """
    if membership == "join":
        record_presence(draft, user_id, seq)
    elif draft.context.access.allows(user_id):
        _store_departed(draft, user_id, seq)


def _store_departed(draft: StepDraft, user_id: UserId, seq: int | None) -> None:
    chat_context = draft.room.chat_context
    departed = {each: left for each, left in chat_context.departed.items() if each != user_id}
    if seq is not None:
        departed[user_id] = seq
    newest = dict(list(departed.items())[-_MAX_DEPARTED:])
    draft.room = replace(draft.room, chat_context=replace(chat_context, departed=newest))


def _answer_invite(draft: StepDraft, invite: InviteArrived) -> None:
    """Accept the invitation of a user who may talk to the bot; reject any other (contracts O1, O4)."""
    fields = {"room_id": invite.room_id, "sender": invite.sender}
    if draft.context.access.allows(invite.sender):
        draft.effects.append(Log("invite_accepted", fields))
        step_room(draft, invite, f"invited by {invite.sender}")
        return
    reason = "MATRIX_ALLOWED_USERS does not allow this user; add them there and restart"
    draft.effects.append(Log("invite_rejected", {**fields, "reason": reason}))
    txn_id = new_txn_id(invite.room_id, "reject", draft.context)
    # No stranger has chosen a language.
    order = RejectInvite(invite.room_id, draft.context.catalog.invite_refused())
    draft.effects.append(Enqueue(order, txn_id))
