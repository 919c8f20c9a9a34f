"""`!clear`, also `!reset`: the agent forgets this chat, and no other (contract K6)."""

from dataclasses import dataclass
from typing import ClassVar

from msgspec.structs import replace

from machines.commands.base import Applied, Command, Place, only_answer
from machines.effects import Send, TookPlatformChatId
from machines.ids import TxnId
from machines.memory import Memory
from machines.orders import StoreBinding


@dataclass(frozen=True, slots=True)
class Clear(Command):
    """Gives the chat a fresh context and hangs up the old one, which may be at work."""

    name: ClassVar[str] = "clear"
    chats_only: ClassVar[bool] = True

    def apply(self, place: Place) -> Applied:
        """Take the next context id; the old one is never used again."""
        catalog, binding = place.world.catalog, place.room.binding
        if binding is None:
            return only_answer(place, catalog.only_in_chat(self.name))
        fresh = place.world.next_platform_chat_id
        room = replace(
            place.room,
            binding=replace(binding, platform_chat_id=fresh),
            memory=Memory(saves=place.room.memory.saves),
        )
        order = StoreBinding(room.room_id, replace(binding, platform_chat_id=fresh).content())
        keep = Send(order, TxnId(f"{place.event_id}.binding"))
        effects = (TookPlatformChatId(fresh), keep, place.answer(catalog.context_cleared()))
        return Applied(room, effects, stops_turn=True)
