"""Sentences about chats: created, listed, renamed, archived, failed (contracts K2, K3, A3, C7)."""

from collections.abc import Iterable
from typing import Literal, assert_never

from msgspec import Struct

from machines.i18n.formatter import Formatter, escape, with_detail
from machines.room.binding import OwnerMembership


class ChatLine(Struct, frozen=True):
    """One row of `!chats`. `agent` is its label; `current` marks the chat where the command was written.

    `membership` is the owner's in the chat.
    """

    chat_id: str
    name: str
    agent: str
    state: Literal["open", "archived", "stale", "failed"]
    link: str
    current: bool = False
    membership: OwnerMembership = "join"


class Chats(Formatter):
    """Sentences about the chats of a user."""

    def chat_created(self, name: str, link: str, *, invited_to_space: bool = False) -> str:
        """Answer `!new` when the chat exists."""
        text = self.format("chat_created", name=escape(name), link=link)
        return f"{text} {self.format('invited_to_space')}" if invited_to_space else text

    def chat_created_in_shared_room(self) -> str:
        """Answer `!new` in a room with other people, without name or link (contract O5)."""
        return self.format("chat_created_in_shared_room")

    def new_failed(self, reason: str) -> str:
        """Answer `!new` when the homeserver refuses the room; `reason` is in its words."""
        return with_detail(self.format("new_failed"), escape(reason))

    def chats_list(self, chats: Iterable[ChatLine]) -> str:
        """Answer `!chats`."""
        lines = (
            self.format(
                "chat_line_here" if chat.current else "chat_line",
                number=chat.chat_id,
                name=escape(chat.name),
                link=chat.link,
                agent=escape(chat.agent),
                state=self._chat_state(chat),
            )
            for chat in chats
        )
        return "\n".join((self.format("chats_header"), "", *lines))

    def _chat_state(self, chat: ChatLine) -> str:
        marks = [] if chat.state == "open" and chat.membership != "join" else [f"chat_{chat.state}"]
        if chat.membership != "join":
            marks.append(f"chat_membership_{chat.membership}")
        return ", ".join(map(self.format, marks))

    def chats_hints(self, *, closed: int | None, invited: bool, not_in_space: bool) -> str:
        """Return what follows the list of `!chats`; `closed` is the number of a chat that can be brought back."""
        hints = []
        if invited:
            hints.append(self.format("chats_hint_invited"))
        if closed is not None:
            hints.append(self.format("chats_hint_open", number=closed))
        if not_in_space:
            hints.append(self.format("chats_hint_space"))
        return " ".join(hints)

    def chat_opened(
        self,
        name: str,
        link: str,
        *,
        state: Literal["again", "already", "failed"],
        membership: OwnerMembership,
        stale_agent: str | None,
        invited_to_space: bool,
    ) -> str:
        """Answer `!open`; `membership` is the owner's before it, `stale_agent` the label of an agent that is gone."""
        sentences = [self.format(f"open_{state}", name=escape(name), link=link)]
        match membership:
            case "leave" | "declined":
                sentences.append(self.format("open_invited_again"))
            case "invite":
                sentences.append(self.format("open_accept"))
            case "join":
                pass
            case _:
                assert_never(membership)
        if stale_agent is not None:
            sentences.append(self.format("open_stale", agent=escape(stale_agent)))
        if invited_to_space:
            sentences.append(self.format("invited_to_space"))
        return " ".join(sentences)

    def open_unknown(self, number: int) -> str:
        """Answer `!open` with a number that no chat has."""
        return self.format("open_unknown", number=number)

    def no_chats(self) -> str:
        """Answer `!chats` when the user has no chat."""
        return self.format("no_chats")

    def renamed(self, name: str) -> str:
        """Answer `!rename`."""
        return self.format("renamed", name=escape(name))

    def name_too_long(self, limit: int) -> str:
        """Answer a name of more than `limit` characters, for a chat or a save."""
        return self.format("name_too_long", limit=limit)

    def archived_now(self, number: int) -> str:
        """Answer `!archive`; `number` is that of the chat, for `!open` (contract K12)."""
        return self.format("archived_now", number=number)

    def chat_is_archived(self, number: int) -> str:
        """Answer a message to an archived chat, or a command that it refuses (contract K3)."""
        return self.format("chat_is_archived", number=number)

    def stale_agent(self, agent: str) -> str:
        """Answer a message to a chat whose agent is no longer in the agents file (contract A3)."""
        return self.format("stale_agent", agent=escape(agent))

    def room_recovery_failed(self) -> str:
        """Report that the state of this room could not be restored (contract C7)."""
        return self.format("room_recovery_failed")

    def too_many_waiting(self) -> str:
        """Report that new messages are dropped because too many are waiting (contract D14)."""
        return self.format("too_many_waiting")
