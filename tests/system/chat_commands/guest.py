"""Somebody who talks to a bot in one language, and what is done and seen again and again."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from machines.i18n import Catalog, catalog_for
from sandbox.room_event import RoomEvent
from tests.support.matrix_user import MatrixUser
from tests.system.cast import Bot, Home, answer_to, said
from tests.system.chat_commands.phrases import Keys, says

_LINK = re.compile(r"https://matrix\.to/#/(%21[^?)]+)")


@dataclass(frozen=True)
class Guest:
    """A person's home at a bot that speaks this language."""

    bot: Bot
    home: Home
    locale: str = "en"

    @property
    def person(self) -> MatrixUser:
        """Who talks."""
        return self.home.person

    @property
    def catalog(self) -> Catalog:
        """The sentences the bot is to speak in."""
        return catalog_for(self.locale, "Lambda")

    async def open_chat(self, name: str = "") -> str:
        """Open a chat with `!new`, join it and return its room."""
        return await open_chat(self.home, name)

    async def tell(self, room: str, *bodies: str) -> list[RoomEvent]:
        """Say several things in one breath; return the one answer to each."""
        asked = [await self.person.send_text(room, body) for body in bodies]
        return await one_answer_each(self.person, room, asked)

    def hears(self, keys: Keys, notice: RoomEvent) -> None:
        """See that this is a notice of the bot, made of these sentences, and what every answer is."""
        assert says(self.locale, keys, notice.body), f"{keys}: {notice.body!r}"
        assert (notice.sender, notice.msgtype) == (self.home.bot, "m.notice")
        assert notice.content["m.mentions"] == {}


async def open_chat(home: Home, name: str = "") -> str:
    """Open a chat with `!new` in the entry room, join it and return its room."""
    answer = await home.ask(f"!new {name}".strip(), home.entry)
    link = _LINK.search(answer.body)
    assert link is not None, answer.body
    room = unquote(link[1])
    await home.person.join(room)
    return room


async def one_answer_each(person: MatrixUser, room: str, asked: Sequence[str]) -> list[RoomEvent]:
    """Return the finished answers to messages, in their order; see that no message has two."""
    answers = [await answer_to(person, room, message_id) for message_id in asked]
    counted = [event.answers for event in await person.messages(room) if not event.replaces]
    assert [counted.count(message_id) for message_id in asked] == [1] * len(asked)
    return answers


async def notices(person: MatrixUser, room: str, bot: str) -> list[str]:
    """Return what the bot has said in a room that answers nothing."""
    return [
        event.body
        for event in await person.messages(room)
        if (event.sender, event.msgtype, event.answers) == (bot, "m.notice", None)
    ]


async def reactions(person: MatrixUser, room: str) -> list[RoomEvent]:
    """Return the reactions in a room."""
    return [event for event in await person.messages(room) if event.type == "m.reaction"]


def words_of(events: Iterable[RoomEvent]) -> list[str]:
    """Return what messages say."""
    return [said(event) for event in events]
