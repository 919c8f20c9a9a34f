"""`!archive`: the chat stays in the Space and answers no more messages (contract K3)."""

from dataclasses import dataclass, replace
from typing import ClassVar

from machines.commands.base import Applied, Command, Place, only_answer
from machines.effects import Send
from machines.ids import TxnId
from machines.orders import StoreBinding


@dataclass(frozen=True, slots=True)
class Archive(Command):
    """Marks the chat archived; messages before it are still answered."""

    name: ClassVar[str] = "archive"
    waits: ClassVar[bool] = True
    chats_only: ClassVar[bool] = True

    def apply(self, place: Place) -> Applied:
        """Mark it here and on the homeserver."""
        speech, binding = place.world.speech, place.room.binding
        if binding is None or binding.archived:
            return only_answer(place, speech.already_archived())
        room = replace(place.room, binding=replace(binding, archived=True))
        order = StoreBinding(room.room_id, replace(binding, archived=True).content())
        keep = Send(order, TxnId(f"{place.event_id}.binding"))
        return Applied(room, (keep, place.answer(speech.archived_now())))
