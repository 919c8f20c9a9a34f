"""Three users with four chats each, of which one was cleared, one archived and one renamed."""

from dataclasses import dataclass

import anyio

from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Proxy
from tests.system.recovery.bot_internals import BotInternals
from tests.system.users import OnboardedUser, onboard

USERS = 3
CHATS_EACH = 4


@dataclass(frozen=True)
class UserWithChats:
    """A user with four chats, in the order of their creation."""

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
    known = set(await onboarded.user.joined_rooms())
    invitation = await onboarded.user.wait_for(
        lambda event: (
            event.type == "m.room.member"
            and event.state_key == onboarded.user.user_id
            and event.content["membership"] == "invite"
            and event.sender == onboarded.bot
            and event.room_id not in known
        )
    )
    assert invitation.room_id.removeprefix("!") in answer.content["formatted_body"]
    await onboarded.user.join(invitation.room_id)
    return invitation.room_id


async def use_chats(user: MatrixUser, bot: str) -> UserWithChats:
    """Create chats, and clear, archive and rename one each. Every message is answered at the end."""
    onboarded = await onboard(user, bot)
    further = [await open_chat(onboarded, name) for name in ("Garden", "Kitchen", "Cellar")]
    with_chats = UserWithChats(onboarded, (onboarded.chat, *further))
    for text in ("first words", "!clear", "!clear", "later words"):
        await onboarded.ask(text, with_chats.cleared)
    for text in ("last words", "!archive", "too late"):
        await onboarded.ask(text, with_chats.archived)
    for text in ("!rename Attic", "words upstairs"):
        await onboarded.ask(text, with_chats.renamed)
    await onboarded.ask("words at home")
    return with_chats


async def use_all_chats(users: list[MatrixUser], bot: str) -> tuple[UserWithChats, ...]:
    """Do so for several users at once."""
    users_by_id: dict[str, UserWithChats] = {}

    async def one(user: MatrixUser) -> None:
        users_by_id[user.user_id] = await use_chats(user, bot)

    async with anyio.create_task_group() as group:
        for user in users:
            group.start_soon(one, user)
    return tuple(users_by_id[user.user_id] for user in users)
