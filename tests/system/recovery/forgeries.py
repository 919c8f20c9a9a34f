"""Forgeries: what a user may do to make a room look like a chat, or a chat like theirs. One function for each.

Each returns the room in which the forger then writes as to an agent. `victim` is a user with a Space and a chat,
`forger` another one. Where the homeserver allows an action only to the bot, the forger has the power level for it by an
operator's mistake, because the bot must not rely on power levels.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.support.matrix_user import MatrixUser
from tests.system.recovery.bot_internals import BotInternals
from tests.system.users import BINDING, OnboardedUser

VIA = {"via": ["localhost"]}
NONCE = "org.lambda.surfaces.nonce"


@dataclass(frozen=True)
class ForgeryFixture:
    """The users and rooms that a forgery may use; `internals` is only for actions of an operator or the bot."""

    victim: OnboardedUser
    forger: OnboardedUser
    internals: BotInternals

    @property
    def bot(self) -> str:
        return self.forger.bot

    @property
    def user(self) -> MatrixUser:
        return self.forger.user

    async def room(self, **options: Any) -> str:
        """Create a room of the forger, with the bot invited."""
        return await self.user.create_room(invite=[self.bot], **options)

    async def space(self, **options: Any) -> str:
        """Create a Space of the forger, with the bot invited."""
        return await self.room(creation_content={"type": "m.space"}, **options)

    async def link(self, space: str, room: str) -> None:
        await self.user.send_state(space, "m.space.child", VIA, room)

    async def claim(self, room: str, space: str) -> None:
        await self.user.send_state(room, "m.space.parent", VIA | {"canonical": True}, space)

    async def empower(self, room: str) -> None:
        """Give the forger the power level to change a room of the bot, as its operator might."""
        async with self.internals.account() as account:
            levels = await account.state_content(room, "m.room.power_levels") or {}
            users = {**levels.get("users", {}), self.user.user_id: 100}
            await account.send_state(room, "m.room.power_levels", {**levels, "users": users})

    async def of_the_bot(self, **options: Any) -> str:
        """Create a room of the bot with the forger in it, which is in no Space."""
        async with self.internals.account() as account:
            room = await account.create_room(invite=[self.user.user_id], **options)
        await self.user.join(room)
        return room


async def room_in_a_space_of_their_own(setup: ForgeryFixture) -> str:
    space, room = await setup.space(), await setup.room()
    await setup.link(space, room)
    return room


async def room_of_the_bot_in_a_space_of_their_own(setup: ForgeryFixture) -> str:
    space, room = await setup.space(), await setup.of_the_bot()
    await setup.link(space, room)
    return room


async def chat_of_another_in_a_space_of_their_own(setup: ForgeryFixture) -> str:
    space = await setup.space()
    await setup.link(space, setup.victim.chat)
    return space


async def room_of_the_bot_linked_by_them_in_the_bots_space(setup: ForgeryFixture) -> str:
    room = await setup.of_the_bot()
    await setup.empower(setup.forger.space)
    await setup.link(setup.forger.space, room)
    return room


async def room_of_theirs_linked_by_them_in_the_bots_space(setup: ForgeryFixture) -> str:
    room = await setup.room()
    await setup.empower(setup.forger.space)
    await setup.link(setup.forger.space, room)
    return room


async def room_of_theirs_linked_by_the_bot(setup: ForgeryFixture) -> str:
    room = await setup.room()
    await setup.internals.link(setup.forger.space, room)
    return room


async def link_that_is_a_message(setup: ForgeryFixture) -> str:
    room = await setup.of_the_bot()
    content = {**VIA, "state_key": room, "room_id": room}
    await setup.user.send_event(setup.forger.space, "m.space.child", content)
    return room


async def link_without_via(setup: ForgeryFixture) -> str:
    room = await setup.of_the_bot()
    async with setup.internals.account() as account:
        await account.send_state(setup.forger.space, "m.space.child", {"suggested": True}, room)
    return room


async def room_that_claims_a_parent(setup: ForgeryFixture) -> str:
    room = await setup.room()
    await setup.claim(room, setup.victim.space)
    await setup.claim(room, setup.forger.space)
    return room


async def room_in_a_space_inside_the_bots_space(setup: ForgeryFixture) -> str:
    inner = await setup.of_the_bot(creation_content={"type": "m.space"})
    room = await setup.of_the_bot()
    await setup.internals.link(setup.forger.space, inner)
    await setup.internals.link(inner, room)
    return room


async def room_that_claims_a_space_inside_the_bots_space(setup: ForgeryFixture) -> str:
    room = await room_in_a_space_inside_the_bots_space(setup)
    inner = await setup.of_the_bot(creation_content={"type": "m.space"})
    await setup.internals.link(setup.forger.space, inner)
    await setup.internals.link(inner, room)
    await setup.empower(room)
    await setup.claim(room, inner)
    return room


async def spaces_in_a_circle(setup: ForgeryFixture) -> str:
    one, other, room = await setup.space(), await setup.space(), await setup.room()
    for space, child in ((one, other), (other, one), (one, setup.forger.space), (other, room)):
        await setup.link(space, child)
        await setup.claim(child if child == room else other, space)
    await setup.empower(setup.forger.space)
    await setup.link(setup.forger.space, one)
    return room


async def tombstone_that_names_a_chat(setup: ForgeryFixture) -> str:
    room = await setup.room()
    tombstone = {"body": "moved", "replacement_room": setup.victim.chat}
    await setup.user.send_state(room, "m.room.tombstone", tombstone)
    return room


async def successor_of_a_chat(setup: ForgeryFixture) -> str:
    predecessor = {"room_id": setup.victim.chat, "event_id": "$none"}
    return await setup.room(creation_content={"predecessor": predecessor})


async def chat_that_was_moved(setup: ForgeryFixture) -> str:
    """Their own chat names their room as its successor, and the room names the chat as its predecessor."""
    predecessor = {"room_id": setup.forger.chat, "event_id": "$none"}
    room = await setup.room(creation_content={"predecessor": predecessor})
    await setup.empower(setup.forger.chat)
    tombstone = {"body": "moved", "replacement_room": room}
    await setup.user.send_state(setup.forger.chat, "m.room.tombstone", tombstone)
    return room


def _binding(setup: ForgeryFixture) -> dict[str, Any]:
    return {
        "chat_id": "C1",
        "platform_chat_id": "1",
        "agent_id": "default",
        "matrix_user_id": setup.user.user_id,
        "space_id": setup.forger.space,
        "archived": False,
        "room_type": "chat",
    }


async def binding_as_state(setup: ForgeryFixture) -> str:
    room = await setup.room()
    for key in ("", setup.bot, room):
        if not key.startswith("@"):
            await setup.user.send_state(room, BINDING, _binding(setup), key)
    return room


async def binding_as_a_message(setup: ForgeryFixture) -> str:
    room = await setup.room()
    await setup.user.send_event(room, BINDING, _binding(setup))
    return room


async def binding_as_their_own_account_data(setup: ForgeryFixture) -> str:
    room = await setup.room()
    path = f"/user/{setup.user.user_id}/rooms/{room}/account_data/{BINDING}"
    await setup.user.request("PUT", path, _binding(setup))
    return room


async def nonce_of_the_next_chat(setup: ForgeryFixture) -> str:
    nonce = f"first chat of {setup.user.user_id}"
    room = await setup.room(name="Chat 2", creation_content={NONCE: nonce})
    await setup.claim(room, setup.forger.space)
    return room


async def room_shaped_like_a_chat(setup: ForgeryFixture) -> str:
    levels = {"users_default": 0, "invite": 100, "state_default": 100, "events_default": 0}
    return await setup.room(
        name="Chat 1",
        creation_content={NONCE: f"first chat of {setup.user.user_id}"},
        power_level_content_override=levels,
        initial_state=[
            {"type": "m.space.parent", "state_key": setup.forger.space, "content": VIA},
            {"type": "m.room.guest_access", "content": {"guest_access": "forbidden"}},
            {"type": BINDING, "content": _binding(setup)},
        ],
    )


async def space_of_their_own(setup: ForgeryFixture) -> str:
    return await setup.space(name="Lambda — somebody")


FORGERIES: tuple[Callable[[ForgeryFixture], Awaitable[str]], ...] = (
    room_in_a_space_of_their_own,
    room_of_the_bot_in_a_space_of_their_own,
    chat_of_another_in_a_space_of_their_own,
    room_of_the_bot_linked_by_them_in_the_bots_space,
    room_of_theirs_linked_by_them_in_the_bots_space,
    room_of_theirs_linked_by_the_bot,
    link_that_is_a_message,
    link_without_via,
    room_that_claims_a_parent,
    room_in_a_space_inside_the_bots_space,
    room_that_claims_a_space_inside_the_bots_space,
    spaces_in_a_circle,
    tombstone_that_names_a_chat,
    successor_of_a_chat,
    chat_that_was_moved,
    binding_as_state,
    binding_as_a_message,
    binding_as_their_own_account_data,
    nonce_of_the_next_chat,
    room_shaped_like_a_chat,
    space_of_their_own,
)
