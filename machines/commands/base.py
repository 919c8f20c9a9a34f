"""What every command is and has: its place in the queue, where it was written, and how it is answered."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from msgspec import Struct

from machines.effects import Effect, Send
from machines.facts import BegunPart
from machines.happenings import Asked
from machines.ids import EventId, TxnId, UserId
from machines.orders import SendMessage
from machines.preferences import Preferences
from machines.room import Room
from machines.talk import ConfirmationAnswer, ContextOrder
from machines.turn_state import Turn
from machines.world import World


class Place(Struct, frozen=True):
    """Where a command was written: the room, the turn in hand there, who wrote it, and the answer it gets.

    `begun` is what the room shows of that answer already (contract D12). `seq` is the inbox row of the command: what
    has a lower number stood in the room before it was written.
    """

    room: Room
    turn: Turn | None
    sender: UserId
    event_id: EventId
    thread_root: EventId | None
    world: World
    seq: int
    begun: tuple[BegunPart, ...] = ()

    @property
    def asked(self) -> Asked:
        """The place as other actors know it."""
        return Asked(self.room.room_id, self.event_id, self.thread_root, self.begun)

    @property
    def is_chat(self) -> bool:
        """Whether this is a chat rather than an entry room."""
        return self.room.binding is not None and self.room.binding.room_type == "chat"

    @property
    def preferences(self) -> Preferences:
        """The choices of whoever wrote it."""
        return self.world.preferences(self.sender)

    def answer(self, text: str) -> Send:
        """Return the one direct answer (contracts D2, K1)."""
        return answer(self.asked, text)


class Wish(Struct, frozen=True):
    """What a command asks this chat's agent; the agent's answer is the command's."""

    text: str
    confirmation: ConfirmationAnswer | None = None
    context: ContextOrder | None = None


class Applied(Struct, frozen=True):
    """What a command did: the room as it is now, the effects, and what becomes of the agent.

    `stops_turn` ends the turn in hand; `asks` begins one, and then there is no other answer.
    """

    room: Room
    effects: tuple[Effect, ...] = ()
    stops_turn: bool = False
    asks: Wish | None = None


@dataclass(frozen=True, slots=True)
class Command(ABC):
    """A parsed command.

    One that `waits` keeps its place behind the messages before it, because it changes what later
    messages mean; every other acts the moment it arrives.
    """

    argument: str

    name: ClassVar[str] = ""
    chats_only: ClassVar[bool] = False

    @property
    def waits(self) -> bool:
        """Whether it keeps its place."""
        return False

    @property
    def shows_choices(self) -> bool:
        """Whether its answer shows what belongs to the user: no such thing is shown to others (contract O5)."""
        return False

    @abstractmethod
    def apply(self, place: Place) -> Applied:
        """Say what it does. Pure."""


def answer(asked: Asked, text: str, step: str = "answer") -> Send:
    """Return a notice that answers the message it was asked with, in its thread; a long one is sent in parts."""
    message = SendMessage(
        asked.room_id, text, notice=True, answers=asked.event_id, thread_root=asked.thread_root
    )
    return Send(message, TxnId(f"{asked.event_id}.{step}"), begun=asked.begun)


def misused(place: Place, command: Command) -> Applied:
    """Return what a command does whose argument makes no sense: it says how it is written."""
    return only_answer(place, place.world.speech.wrong_usage(command.name))


def only_answer(place: Place, text: str) -> Applied:
    """Return what a command does that only answers."""
    return Applied(place.room, (place.answer(text),))
