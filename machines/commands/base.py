"""What every command is and has: its place in the queue, where it was written, and how it is answered."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

from machines.effects import Effect, Send
from machines.ids import EventId, TxnId, UserId
from machines.orders import SendMessage
from machines.room import Room
from machines.turn import Turn
from machines.user import Asked
from machines.world import World


@dataclass(frozen=True, slots=True)
class Place:
    """Where a command was written: the room, the turn in hand there, who wrote it, and the answer it gets."""

    room: Room
    turn: Turn | None
    sender: UserId
    event_id: EventId
    thread_root: EventId | None
    world: World

    @property
    def asked(self) -> Asked:
        """The place as other actors know it."""
        return Asked(self.room.room_id, self.event_id, self.thread_root)

    @property
    def is_chat(self) -> bool:
        """Whether this is a chat rather than an entry room."""
        return self.room.binding is not None and self.room.binding.room_type == "chat"

    def answer(self, text: str) -> Send:
        """Return the one direct answer (contracts D2, K1)."""
        return answer(self.asked, text)


@dataclass(frozen=True, slots=True)
class Applied:
    """What a command did: the room as it is now, whether the turn in hand ends, and the effects."""

    room: Room
    effects: tuple[Effect, ...]
    stops_turn: bool = False


@dataclass(frozen=True, slots=True)
class Command(ABC):
    """A parsed command.

    One with `waits` keeps its place behind the messages before it, because it changes what later
    messages mean; every other acts the moment it arrives.
    """

    argument: str

    name: ClassVar[str] = ""
    waits: ClassVar[bool] = False
    chats_only: ClassVar[bool] = False

    @abstractmethod
    def apply(self, place: Place) -> Applied:
        """Say what it does. Pure."""


def answer(asked: Asked, text: str, step: str = "answer") -> Send:
    """Return a notice that answers the message it was asked with, in its thread."""
    message = SendMessage(
        asked.room_id, text, notice=True, answers=asked.event_id, thread_root=asked.thread_root
    )
    return Send(message, TxnId(f"{asked.event_id}.{step}"))


def only_answer(place: Place, text: str) -> Applied:
    """Return what a command does that only answers."""
    return Applied(place.room, (place.answer(text),))


def rename_chat(room: Room, name: str) -> Room:
    """Return the room under another name."""
    return replace(room, name=name)
