"""What an edit does to a message whose turn has not begun (contract D17)."""

from msgspec.structs import replace

from machines.commands import parse
from machines.commands.confirm import No, Yes
from machines.events.matrix import FileArrived, MessageArrived, MessageEdited
from machines.room.step_draft import Message


def revise(message: Message, edit: MessageEdited) -> Message:
    """Return the message with the text or the caption of an edit, or unchanged where the edit does not count.

    An edit counts if the author of the message sent it (fact 15), unless a newer one was applied before. A command
    keeps its text, because no command comes from an edit. `!yes` and `!no` do not: their author changed their mind, so
    they must not count as an answer to the agent's question (contract K8).
    """
    if not isinstance(message, FileArrived if edit.is_file else MessageArrived):
        return message
    if (message.room_id, message.event_id) != (edit.room_id, edit.target):
        return message
    if message.sender != edit.sender or edit.sent_at_ms < (message.edited_at_ms or 0):
        return message
    if isinstance(message, FileArrived):
        return replace(message, caption=edit.body, edited_at_ms=edit.sent_at_ms)
    command = parse(message.body) if message.edited_at_ms is None else None
    if command is not None and not isinstance(command, Yes | No):
        return message
    return replace(message, body=edit.body, edited_at_ms=edit.sent_at_ms, emote=edit.emote)
