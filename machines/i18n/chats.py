"""What is said about chats: opened, listed, renamed, archived, out of order (K2, K3, A3, C7)."""

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct

from machines.i18n.formatter import Formatter, plain, quoted


class ChatLine(Struct, frozen=True):
    """One row of `!chats`. `agent` is what people call it; `current` is the chat one is in."""

    chat_id: str
    name: str
    agent: str
    state: Literal["open", "archived", "stale", "failed"]
    link: str
    current: bool = False


class Chats(Formatter):
    """Sentences about the chats of a user."""

    def chat_created(self, name: str, link: str) -> str:
        """Answer `!new` when the chat is there."""
        return self.say("chat_created", name=plain(name), link=link)

    def chat_created_in_company(self) -> str:
        """Answer `!new` where others read along, naming nothing (contract O5)."""
        return self.say("chat_created_in_company")

    def new_failed(self, reason: str) -> str:
        """Answer `!new` when the homeserver refuses the room."""
        return self.say("new_failed", reason=plain(reason))

    def chats_list(self, chats: Iterable[ChatLine]) -> str:
        """Answer `!chats`."""
        lines = (
            self.say(
                "chat_line_here" if chat.current else "chat_line",
                number=chat.chat_id,
                name=plain(chat.name),
                link=chat.link,
                agent=plain(chat.agent),
                state=self.say(f"chat_{chat.state}"),
            )
            for chat in chats
        )
        return "\n".join((self.say("chats_header"), "", *lines))

    def no_chats(self) -> str:
        """Answer `!chats` when there is none."""
        return self.say("no_chats")

    def renamed(self, name: str) -> str:
        """Answer `!rename`."""
        return self.say("renamed", name=plain(name))

    def rename_usage(self) -> str:
        """Answer `!rename` without a name."""
        return self.say("wrong_usage", usage=quoted(self.say("usage_rename")))

    def name_too_long(self, limit: int) -> str:
        """Answer a name of more than `limit` characters, for a chat or a save."""
        return self.say("name_too_long", limit=limit)

    def archived_now(self) -> str:
        """Answer `!archive`."""
        return self.say("archived_now")

    def already_archived(self) -> str:
        """Answer `!archive` in an archived chat."""
        return self.say("already_archived")

    def chat_is_archived(self) -> str:
        """Answer a message to an archived chat."""
        return self.say("chat_is_archived")

    def stale_agent(self, agent: str) -> str:
        """Answer a message to a chat whose agent is not there any more (contract A3)."""
        return self.say("stale_agent", agent=plain(agent))

    def room_recovery_failed(self) -> str:
        """Say that this room's state could not be restored (contract C7)."""
        return self.say("room_recovery_failed")

    def too_many_waiting(self) -> str:
        """Say that messages from now on are not kept, because too many wait (contract D14)."""
        return self.say("too_many_waiting")

    def cannot_decrypt_yet(self) -> str:
        """Say that a message can't be read for want of its key (contract Y4)."""
        return self.say("cannot_decrypt_yet")
