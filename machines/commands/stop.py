"""`!stop`: end the running answer at once (contract K9)."""

from dataclasses import dataclass
from typing import ClassVar

from machines.commands.base import Applied, Command, Place, only_answer


@dataclass(frozen=True, slots=True)
class Stop(Command):
    """Ends the turn in hand; its reply keeps what was said and is marked stopped."""

    name: ClassVar[str] = "stop"
    chats_only: ClassVar[bool] = True

    def apply(self, place: Place) -> Applied:
        """Stop, and say so."""
        catalog = place.world.catalog
        if place.turn is None:
            return only_answer(place, catalog.nothing_to_stop())
        return Applied(place.room, (place.answer(catalog.stop_done()),), stops_turn=True)
