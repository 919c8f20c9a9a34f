"""Three people with four chats each, of which one was cleared, one archived and one renamed."""

from dataclasses import dataclass

import anyio

from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.cast import Home, onboard
from tests.system.recovery.backstage import Backstage

PEOPLE = 3
CHATS_EACH = 4


@dataclass(frozen=True)
class Neighbour:
    """Somebody with four chats, in the order of their making."""

    home: Home
    chats: tuple[str, ...]

    @property
    def cleared(self) -> str:
        return self.chats[1]

    @property
    def archived(self) -> str:
        return self.chats[2]

    @property
    def renamed(self) -> str:
        return self.chats[3]


@dataclass(frozen=True)
class Town:
    """A bot behind a proxy, and all who talk to it. It is stopped between two tests."""

    backstage: Backstage
    proxy: Proxy
    neighbours: tuple[Neighbour, ...]

    @property
    def chats(self) -> list[str]:
        """All chats."""
        return [chat for neighbour in self.neighbours for chat in neighbour.chats]


async def open_chat(home: Home, name: str) -> str:
    """Ask for a chat with `!new`, and accept the invitation to it."""
    answer = await home.ask(f"!new {name}")
    known = set(await home.person.joined_rooms())
    invitation = await home.person.wait_for(
        lambda event: (
            event.type == "m.room.member"
            and event.state_key == home.person.user_id
            and event.content["membership"] == "invite"
            and event.sender == home.bot
            and event.room_id not in known
        )
    )
    assert invitation.room_id.removeprefix("!") in answer.content["formatted_body"]
    await home.person.join(invitation.room_id)
    return invitation.room_id


async def settle(person: MatrixUser, bot: str) -> Neighbour:
    """Live there for a while. Whatever was said and done is answered, and stands on the homeserver too."""
    home = await onboard(person, bot)
    further = [await open_chat(home, name) for name in ("Garden", "Kitchen", "Cellar")]
    neighbour = Neighbour(home, (home.chat, *further))
    for text in ("first words", "!clear", "!clear", "later words"):
        await home.ask(text, neighbour.cleared)
    for text in ("last words", "!archive", "too late"):
        await home.ask(text, neighbour.archived)
    for text in ("!rename Attic", "words upstairs"):
        await home.ask(text, neighbour.renamed)
    await home.ask("words at home")
    return neighbour


async def settle_all(people: list[MatrixUser], bot: str) -> tuple[Neighbour, ...]:
    """Settle several people at once."""
    settled: dict[str, Neighbour] = {}

    async def one(person: MatrixUser) -> None:
        settled[person.user_id] = await settle(person, bot)

    async with anyio.create_task_group() as group:
        for person in people:
            group.start_soon(one, person)
    return tuple(settled[person.user_id] for person in people)
