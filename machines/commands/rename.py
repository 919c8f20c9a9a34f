"""`!rename <name>`: the room's name and the chat's (contract K3)."""

from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace

from machines.commands.base import Applied, Command, Place, only_answer
from machines.commands.naming import MAX_NAME_LENGTH, one_line
from machines.effects import Send
from machines.ids import TxnId
from machines.orders import NameRoom


@dataclass(frozen=True, slots=True)
class Rename(Command):
    """Gives the chat another name."""

    name: ClassVar[str] = "rename"
    chats_only: ClassVar[bool] = True

    def apply(self, place: Place) -> Applied:
        """Set both names in one step; the homeserver's follows through the outbox."""
        catalog, name = place.world.catalog, one_line(self.argument)
        if not name:
            return only_answer(place, catalog.rename_usage())
        if len(name) > MAX_NAME_LENGTH:
            return only_answer(place, catalog.name_too_long(MAX_NAME_LENGTH))
        order = Send(NameRoom(place.room.room_id, name), TxnId(f"{place.event_id}.name"))
        return Applied(replace(place.room, name=name), (order, place.answer(catalog.renamed(name))))
