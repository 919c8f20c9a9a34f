"""`!context`, `!save [name]` and `!load`: the context of this chat and of no other (contract K7)."""

import re
from dataclasses import dataclass
from itertools import count
from typing import ClassVar

from msgspec.structs import replace

from machines.commands.base import Applied, Command, Place, Wish, only_answer
from machines.commands.naming import MAX_NAME_LENGTH, one_line
from machines.i18n import Catalog
from machines.talk import ContextOrder

_NUMBER = re.compile(r"[0-9]{1,4}")


@dataclass(frozen=True, slots=True)
class Context(Command):
    """Shows the context's name, what it has used, and the saves; the agent is not asked."""

    name: ClassVar[str] = "context"
    chats_only: ClassVar[bool] = True

    def apply(self, place: Place) -> Applied:
        """Answer with the page."""
        memory = place.room.memory
        page = place.world.catalog.context_page(memory.context_name, memory.tokens, memory.saves)
        return only_answer(place, page)


@dataclass(frozen=True, slots=True)
class Save(Command):
    """Asks the agent to keep the context under a name, one of its own where none is given."""

    name: ClassVar[str] = "save"
    chats_only: ClassVar[bool] = True

    @property
    def waits(self) -> bool:
        """What was said before it belongs into the save."""
        return True

    def apply(self, place: Place) -> Applied:
        """Ask the agent, in words and in a field; the save is listed once the agent has answered."""
        catalog = place.world.catalog
        name = one_line(self.argument) or _free_name(catalog, place.room.memory.saves)
        if len(name) > MAX_NAME_LENGTH:
            return only_answer(place, catalog.name_too_long(MAX_NAME_LENGTH))
        wish = Wish(catalog.please_save(name), context=ContextOrder("save", name))
        return Applied(place.room, asks=wish)


@dataclass(frozen=True, slots=True)
class Load(Command):
    """Opens the list of saves; the next plain number picks one."""

    name: ClassVar[str] = "load"
    chats_only: ClassVar[bool] = True

    @property
    def waits(self) -> bool:
        """A number written before it picks nothing."""
        return True

    def apply(self, place: Place) -> Applied:
        """Show the list, and leave it open."""
        catalog, memory = place.world.catalog, place.room.memory
        if not memory.saves:
            return only_answer(place, catalog.load_none())
        room = replace(place.room, memory=replace(memory, picking=True))
        return Applied(room, (place.answer(catalog.load_list(memory.saves)),))


@dataclass(frozen=True, slots=True)
class Pick(Command):
    """A plain number while the list is open; it has no name, and is no command at any other time."""

    chats_only: ClassVar[bool] = True

    @property
    def waits(self) -> bool:
        """It picks from the list that was open before it."""
        return True

    def apply(self, place: Place) -> Applied:
        """Ask the agent to go back to the save; `0` leaves the list, any other number keeps it open."""
        catalog, memory = place.world.catalog, place.room.memory
        number = int(self.argument)
        closed = replace(place.room, memory=replace(memory, picking=False))
        if number == 0:
            return Applied(closed, (place.answer(catalog.load_left()),))
        if number > len(memory.saves):
            return only_answer(place, catalog.load_invalid(len(memory.saves)))
        name = memory.saves[number - 1]
        wish = Wish(catalog.please_load(name), context=ContextOrder("load", name))
        return Applied(closed, asks=wish)


def _free_name(catalog: Catalog, saves: tuple[str, ...]) -> str:
    """Return a name that takes the place of no save, whatever names were given to those."""
    numbered = (catalog.save_name(number) for number in count(len(saves) + 1))
    return next(name for name in numbered if name not in saves)


def parse_pick(body: str) -> Pick | None:
    """Return the pick that a message is while a list is open, or `None` when it is plain text."""
    number = body.strip()
    return Pick(number) if _NUMBER.fullmatch(number) else None
