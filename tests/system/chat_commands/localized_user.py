"""A user of a bot in one language, with the actions and checks of many tests."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from machines.i18n import Catalog, catalog_for
from sandbox.room_event import RoomEvent
from tests.support.matrix_user import MatrixUser
from tests.system.chat_commands.phrases import Keys, is_made_of
from tests.system.users import Bot, OnboardedUser, answer_to, text_of

_LINK = re.compile(r"https://matrix\.to/#/(%21[^?)]+)")


@dataclass(frozen=True)
class LocalizedUser:
    """An onboarded user of a bot that writes in this language."""

    bot: Bot
    onboarded: OnboardedUser
    locale: str = "en"

    @property
    def user(self) -> MatrixUser:
        """The user."""
        return self.onboarded.user

    @property
    def catalog(self) -> Catalog:
        """The catalog of the bot's language."""
        return catalog_for(self.locale, "Lambda")

    async def open_chat(self, name: str = "") -> str:
        """Open a chat with `!new`, join it and return its room."""
        return await open_chat(self.onboarded, name)

    async def send_all(self, room: str, *bodies: str) -> list[RoomEvent]:
        """Send several messages at once; return the one answer to each."""
        asked = [await self.user.send_text(room, body) for body in bodies]
        return await one_answer_each(self.user, room, asked)

    def assert_notice(self, keys: Keys, notice: RoomEvent) -> None:
        """Check that this is a notice of the bot that consists of these sentences."""
        assert is_made_of(self.locale, keys, notice.body), f"{keys}: {notice.body!r}"
        assert (notice.sender, notice.msgtype) == (self.onboarded.bot, "m.notice")
        assert notice.content["m.mentions"] == {}


async def open_chat(onboarded: OnboardedUser, name: str = "") -> str:
    """Open a chat with `!new` in the entry room, join it and return its room."""
    answer = await onboarded.ask(f"!new {name}".strip(), onboarded.entry)
    link = _LINK.search(answer.body)
    assert link is not None, answer.body
    room = unquote(link[1])
    await onboarded.user.join(room)
    return room


async def one_answer_each(user: MatrixUser, room: str, asked: Sequence[str]) -> list[RoomEvent]:
    """Return the finished answers to messages, in their order; check that no message has two."""
    answers = [await answer_to(user, room, message_id) for message_id in asked]
    counted = [event.answers for event in await user.messages(room) if not event.replaces]
    assert [counted.count(message_id) for message_id in asked] == [1] * len(asked)
    return answers


async def notices(user: MatrixUser, room: str, bot: str) -> list[str]:
    """Return the bot's notices in a room that answer no message."""
    return [
        event.body
        for event in await user.messages(room)
        if (event.sender, event.msgtype, event.answers) == (bot, "m.notice", None)
    ]


async def reactions(user: MatrixUser, room: str) -> list[RoomEvent]:
    """Return the reactions in a room."""
    return [event for event in await user.messages(room) if event.type == "m.reaction"]


def texts_of(events: Iterable[RoomEvent]) -> list[str]:
    """Return the texts of messages."""
    return [text_of(event) for event in events]
