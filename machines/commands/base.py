"""The base class of all commands, with their context and their result."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

from msgspec import Struct
from msgspec.structs import replace

from machines.context import StepContext
from machines.events.agent import ConfirmationAnswer, ContextRequest
from machines.events.effects import Effect, Enqueue
from machines.events.internal import ReplyTarget
from machines.events.matrix import BegunPart
from machines.events.orders import SendMessage, StoreBinding
from machines.i18n import Catalog
from machines.ids import EventId, TxnId, UserId
from machines.room.binding import Binding, chat_number
from machines.room.state import Room
from machines.turn.state import Turn
from machines.user.preferences import Preferences

HelpGroup = Literal["chat", "chats", "settings", "agent"]
"""The groups of `!help`, in their order: this chat, all chats of the user, settings, questions of the agent."""


class AgentPrompt(Struct, frozen=True):
    """A request to the agent of this chat; the answer of the agent is the answer to the command.

    `note` is a sentence of the bot below that answer. `quoted_event` is the event that a message replies to; a command
    quotes nothing.
    """

    text: str
    confirmation: ConfirmationAnswer | None = None
    context: ContextRequest | None = None
    note: str = ""
    quoted_event: EventId | None = None


class Applied(Struct, frozen=True):
    """The result of a command: the changed room, the effects, and the consequence for the turn.

    `stops_turn` ends the current turn. `prompt` begins a turn, whose reply is the only answer.
    """

    room: Room
    effects: tuple[Effect, ...] = ()
    stops_turn: bool = False
    prompt: AgentPrompt | None = None


class CommandContext(Struct, frozen=True):
    """The arguments of a command: the room, the current turn, and the message that contains the command.

    `begun` are the parts of the answer that are in the room already (contract D12). `seq` is the inbox row of the
    command; an event with a lower number was in the room before the command. `others_wait` is whether messages wait.
    """

    room: Room
    turn: Turn | None
    sender: UserId
    event_id: EventId
    thread_root: EventId | None
    step: StepContext
    seq: int
    begun: tuple[BegunPart, ...] = ()
    others_wait: bool = False

    @property
    def reply_to(self) -> ReplyTarget:
        """The message to answer."""
        return ReplyTarget(self.room.room_id, self.event_id, self.thread_root, self.begun)

    @property
    def catalog(self) -> Catalog:
        """The sentences in the language of the sender."""
        return self.step.catalog_for(self.sender)

    @property
    def is_chat(self) -> bool:
        """Whether this is a chat rather than an entry room."""
        return self.room.binding is not None and self.room.binding.room_type == "chat"

    @property
    def is_archived(self) -> bool:
        """Whether this is an archived chat."""
        return self.room.binding is not None and self.room.binding.archived

    @property
    def chat_number(self) -> int:
        """The number of the chat, 0 in other rooms."""
        binding = self.room.binding
        return chat_number(binding.chat_id if binding is not None else None)

    @property
    def preferences(self) -> Preferences:
        """The preferences of the sender."""
        return self.step.preferences(self.sender)

    def answer(self, text: str) -> Enqueue:
        """Return the one direct answer (contracts D2, K1)."""
        return answer(self.reply_to, text)

    def only_answer(self, text: str) -> Applied:
        """Return the result of a command that only answers."""
        return Applied(self.room, (self.answer(text),))

    def rebind(self, binding: Binding) -> tuple[Room, Enqueue]:
        """Return the room with a changed binding, and the order that stores it on the homeserver."""
        order = StoreBinding(self.room.room_id, binding.content())
        return replace(self.room, binding=binding), Enqueue(
            order, TxnId(f"{self.event_id}.binding")
        )


@dataclass(frozen=True, slots=True)
class Command(ABC):
    """A parsed command; `argument` is the text after its name.

    A command that `waits` is processed in the order of the messages, because it affects the messages after it. Every
    other command is processed as soon as it arrives.

    `group` is its place in `!help`. A command that is `chats_only` is refused in an entry room, and in an archived chat
    unless it `works_archived` (contract K3).
    """

    argument: str

    name: ClassVar[str] = ""
    group: ClassVar[HelpGroup] = "chats"
    chats_only: ClassVar[bool] = False
    works_archived: ClassVar[bool] = False

    @property
    def waits(self) -> bool:
        """Whether the command is processed after the messages before it."""
        return False

    @property
    def is_private(self) -> bool:
        """Whether the answer contains personal data, which others must not read (contract O5)."""
        return False

    @abstractmethod
    def apply(self, ctx: CommandContext) -> Applied:
        """Return the result of the command, without side effects."""

    def wrong_usage(self, ctx: CommandContext) -> Applied:
        """Return the result for a missing or invalid argument: an answer with an example."""
        return ctx.only_answer(ctx.catalog.wrong_usage(self.name))

    def no_argument(self, ctx: CommandContext) -> Applied:
        """Return the result for an argument where none is allowed: nothing is done (contract K12)."""
        return ctx.only_answer(ctx.catalog.no_argument(self.name))


def answer(reply_to: ReplyTarget, text: str, step: str = "answer") -> Enqueue:
    """Return a notice that answers a message in its thread; `turn.notices` splits a long one."""
    message = SendMessage(
        reply_to.room_id,
        text,
        notice=True,
        answers=reply_to.event_id,
        thread_root=reply_to.thread_root,
    )
    return Enqueue(message, TxnId(f"{reply_to.event_id}.{step}"), begun=reply_to.begun)
