"""`!chats`: number, name, agent and state of each chat (contract K3)."""

from dataclasses import dataclass
from typing import ClassVar

from machines.commands.base import Applied, Command, Place
from machines.effects import Tell
from machines.happenings import ChatsAsked
from machines.ids import ActorKey


@dataclass(frozen=True, slots=True)
class Chats(Command):
    """Asks the user's actor, which knows all his chats."""

    name: ClassVar[str] = "chats"

    @property
    def shows_choices(self) -> bool:
        """They are named."""
        return True

    def apply(self, place: Place) -> Applied:
        """Pass it on."""
        return Applied(place.room, (Tell(ActorKey(place.sender), ChatsAsked(place.asked)),))
