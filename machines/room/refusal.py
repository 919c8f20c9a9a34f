"""Tells a user once that they may no longer talk to the bot (contract E3).

Only the user of the room is told: the owner of a chat, or who invited the bot to an entry room. Nobody else's messages
get any reaction. The row stores that the notice was sent, so a restart does not repeat it.
"""

from msgspec.structs import replace

from machines.ids import UserId
from machines.room.step_draft import StepDraft


def tell_once(draft: StepDraft, sender: UserId) -> None:
    """Send the notice if this is the room's user, and only the first time; not where other people read it."""
    if draft.context.access.allows(sender) or not _is_user_of_room(draft, sender):
        return
    room = draft.room
    # At a start the entry room of a user who may not talk to the bot is not bound again (contract O6).
    if (
        room.state not in ("bound", "failed")
        or room.has_other_readers
        or room.chat_context.refusal_told
    ):
        return
    _store(draft, told=True)
    draft.send_notice(draft.context.catalog_for(sender).no_longer_allowed(), "refusal")


def forget(draft: StepDraft, sender: UserId) -> None:
    """Store that this user may talk to the bot again: a later refusal is told again."""
    if draft.room.chat_context.refusal_told and _is_user_of_room(draft, sender):
        _store(draft, told=False)


def _is_user_of_room(draft: StepDraft, sender: UserId) -> bool:
    binding = draft.room.binding
    return binding is not None and binding.room_type != "space" and binding.matrix_user_id == sender


def _store(draft: StepDraft, *, told: bool) -> None:
    chat_context = replace(draft.room.chat_context, refusal_told=told)
    draft.room = replace(draft.room, chat_context=chat_context)
