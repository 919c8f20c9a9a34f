"""Three users with four chats each, of which one was cleared, one archived and one renamed."""

from dataclasses import dataclass

import anyio

from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.recovery.bot_internals import BotInternals
from tests.system.users import OnboardedUser, onboard

PEOPLE = 3
CHATS_EACH = 4


@dataclass(frozen=True)
class UserWithChats:
    """A user with four chats, in the order in which they were made."""

    onboarded: OnboardedUser
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
class RecoveryFixture:
    """A bot behind a proxy, and all its users. It is stopped between two tests."""

    internals: BotInternals
    proxy: Proxy
    users: tuple[UserWithChats, ...]

    @property
    def chats(self) -> list[str]:
        """All chats."""
        return [chat for user in self.users for chat in user.chats]


async def open_chat(onboarded: OnboardedUser, name: str) -> str:
    """Ask for a chat with `!new`, and accept the invitation to it."""
    answer = await onboarded.ask(f"!new {name}")
    known = set(await onboarded.person.joined_rooms())
    invitation = await onboarded.person.wait_for(
        lambda event: (
            event.type == "m.room.member"
            and event.state_key == onboarded.person.user_id
            and event.content["membership"] == "invite"
            and event.sender == onboarded.bot
            and event.room_id not in known
        )
    )
    assert invitation.room_id.removeprefix("!") in answer.content["formatted_body"]
    await onboarded.person.join(invitation.room_id)
    return invitation.room_id


async def use_chats(person: MatrixUser, bot: str) -> UserWithChats:
    """Make chats, and clear, archive and rename one each. Everything is answered at the end."""
    onboarded = await onboard(person, bot)
    further = [await open_chat(onboarded, name) for name in ("Garden", "Kitchen", "Cellar")]
    user = UserWithChats(onboarded, (onboarded.chat, *further))
    for text in ("first words", "!clear", "!clear", "later words"):
        await onboarded.ask(text, user.cleared)
    for text in ("last words", "!archive", "too late"):
        await onboarded.ask(text, user.archived)
    for text in ("!rename Attic", "words upstairs"):
        await onboarded.ask(text, user.renamed)
    await onboarded.ask("words at home")
    return user


async def use_all_chats(people: list[MatrixUser], bot: str) -> tuple[UserWithChats, ...]:
    """Do so for several users at once."""
    users_by_id: dict[str, UserWithChats] = {}

    async def one(person: MatrixUser) -> None:
        users_by_id[person.user_id] = await use_chats(person, bot)

    async with anyio.create_task_group() as group:
        for person in people:
            group.start_soon(one, person)
    return tuple(users_by_id[person.user_id] for person in people)
