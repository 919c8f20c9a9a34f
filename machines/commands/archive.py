"""`!archive`: the chat stays in the Space and answers no more messages (contract K3)."""

from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace

from machines.commands.base import Applied, Command, Place, only_answer
from machines.effects import Send
from machines.ids import TxnId
from machines.orders import StoreBinding


@dataclass(frozen=True, slots=True)
class Archive(Command):
    """Marks the chat archived."""

    name: ClassVar[str] = "archive"
    chats_only: ClassVar[bool] = True

    @property
    def waits(self) -> bool:
        """Messages before it are answered."""
        return True

    def apply(self, place: Place) -> Applied:
        """Mark it here and on the homeserver."""
        catalog, binding = place.world.catalog, place.room.binding
        if binding is None or binding.archived:
            return only_answer(place, catalog.already_archived())
        room = replace(place.room, binding=replace(binding, archived=True))
        order = StoreBinding(room.room_id, replace(binding, archived=True).content())
        keep = Send(order, TxnId(f"{place.event_id}.binding"))
        return Applied(room, (keep, place.answer(catalog.archived_now())))
