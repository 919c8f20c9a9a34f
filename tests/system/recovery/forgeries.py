"""What somebody may build to pass a room off as a chat, or a chat as his own: one function a forgery.

Each returns the room in which the forger then talks as if an agent were there. `victim` is somebody with a Space
and a chat, `forger` somebody else with his own. Where the homeserver lets nobody but the bot do a thing, the forger
was given the power to by an operator's mistake: what the bot believes must not hang on power levels.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.support.matrix_user import MatrixUser
from tests.system.cast import BINDING, Home
from tests.system.recovery.backstage import Backstage

VIA = {"via": ["localhost"]}
NONCE = "org.lambda.surfaces.nonce"


@dataclass(frozen=True)
class Scene:
    """Who and what a forgery may use; `backstage` only to do what an operator or the bot did."""

    victim: Home
    forger: Home
    backstage: Backstage

    @property
    def bot(self) -> str:
        return self.forger.bot

    @property
    def person(self) -> MatrixUser:
        return self.forger.person

    async def room(self, **options: Any) -> str:
        """Make a room of the forger's own, with the bot invited."""
        return await self.person.create_room(invite=[self.bot], **options)

    async def space(self, **options: Any) -> str:
        """Make a Space of the forger's own, with the bot invited."""
        return await self.room(creation_content={"type": "m.space"}, **options)

    async def link(self, space: str, room: str) -> None:
        await self.person.send_state(space, "m.space.child", VIA, room)

    async def claim(self, room: str, space: str) -> None:
        await self.person.send_state(room, "m.space.parent", VIA | {"canonical": True}, space)

    async def empower(self, room: str) -> None:
        """Give the forger the power to change a room of the bot's, as its operator might."""
        async with self.backstage.account() as account:
            levels = await account.state_content(room, "m.room.power_levels") or {}
            users = {**levels.get("users", {}), self.person.user_id: 100}
            await account.send_state(room, "m.room.power_levels", {**levels, "users": users})

    async def of_the_bot(self, **options: Any) -> str:
        """Have the bot's account make a room with the forger in it, which belongs to no Space."""
        async with self.backstage.account() as account:
            room = await account.create_room(invite=[self.person.user_id], **options)
        await self.person.join(room)
        return room


async def room_in_a_space_of_his_own(scene: Scene) -> str:
    space, room = await scene.space(), await scene.room()
    await scene.link(space, room)
    return room


async def room_of_the_bot_in_a_space_of_his_own(scene: Scene) -> str:
    space, room = await scene.space(), await scene.of_the_bot()
    await scene.link(space, room)
    return room


async def chat_of_another_in_a_space_of_his_own(scene: Scene) -> str:
    space = await scene.space()
    await scene.link(space, scene.victim.chat)
    return space


async def room_of_the_bot_linked_by_him_in_the_bots_space(scene: Scene) -> str:
    room = await scene.of_the_bot()
    await scene.empower(scene.forger.space)
    await scene.link(scene.forger.space, room)
    return room


async def room_of_his_linked_by_him_in_the_bots_space(scene: Scene) -> str:
    room = await scene.room()
    await scene.empower(scene.forger.space)
    await scene.link(scene.forger.space, room)
    return room


async def room_of_his_linked_by_the_bot(scene: Scene) -> str:
    room = await scene.room()
    await scene.backstage.link(scene.forger.space, room)
    return room


async def link_that_is_a_message(scene: Scene) -> str:
    room = await scene.of_the_bot()
    content = {**VIA, "state_key": room, "room_id": room}
    await scene.person.send_event(scene.forger.space, "m.space.child", content)
    return room


async def link_without_via(scene: Scene) -> str:
    room = await scene.of_the_bot()
    async with scene.backstage.account() as account:
        await account.send_state(scene.forger.space, "m.space.child", {"suggested": True}, room)
    return room


async def room_that_claims_a_parent(scene: Scene) -> str:
    room = await scene.room()
    await scene.claim(room, scene.victim.space)
    await scene.claim(room, scene.forger.space)
    return room


async def room_in_a_space_inside_the_bots_space(scene: Scene) -> str:
    inner = await scene.of_the_bot(creation_content={"type": "m.space"})
    room = await scene.of_the_bot()
    await scene.backstage.link(scene.forger.space, inner)
    await scene.backstage.link(inner, room)
    return room


async def room_that_claims_a_space_inside_the_bots_space(scene: Scene) -> str:
    room = await room_in_a_space_inside_the_bots_space(scene)
    inner = await scene.of_the_bot(creation_content={"type": "m.space"})
    await scene.backstage.link(scene.forger.space, inner)
    await scene.backstage.link(inner, room)
    await scene.empower(room)
    await scene.claim(room, inner)
    return room


async def spaces_in_a_circle(scene: Scene) -> str:
    one, other, room = await scene.space(), await scene.space(), await scene.room()
    for space, child in ((one, other), (other, one), (one, scene.forger.space), (other, room)):
        await scene.link(space, child)
        await scene.claim(child if child == room else other, space)
    await scene.empower(scene.forger.space)
    await scene.link(scene.forger.space, one)
    return room


async def tombstone_that_names_a_chat(scene: Scene) -> str:
    room = await scene.room()
    tombstone = {"body": "moved", "replacement_room": scene.victim.chat}
    await scene.person.send_state(room, "m.room.tombstone", tombstone)
    return room


async def successor_of_a_chat(scene: Scene) -> str:
    predecessor = {"room_id": scene.victim.chat, "event_id": "$none"}
    return await scene.room(creation_content={"predecessor": predecessor})


async def chat_that_was_moved(scene: Scene) -> str:
    """His own chat says that it went on in his room, which says that it came from there."""
    predecessor = {"room_id": scene.forger.chat, "event_id": "$none"}
    room = await scene.room(creation_content={"predecessor": predecessor})
    await scene.empower(scene.forger.chat)
    tombstone = {"body": "moved", "replacement_room": room}
    await scene.person.send_state(scene.forger.chat, "m.room.tombstone", tombstone)
    return room


def _binding(scene: Scene) -> dict[str, Any]:
    return {
        "chat_id": "C1",
        "platform_chat_id": "1",
        "agent_id": "default",
        "matrix_user_id": scene.person.user_id,
        "space_id": scene.forger.space,
        "archived": False,
        "room_type": "chat",
    }


async def binding_as_state(scene: Scene) -> str:
    room = await scene.room()
    for key in ("", scene.bot, room):
        if not key.startswith("@"):
            await scene.person.send_state(room, BINDING, _binding(scene), key)
    return room


async def binding_as_a_message(scene: Scene) -> str:
    room = await scene.room()
    await scene.person.send_event(room, BINDING, _binding(scene))
    return room


async def binding_as_his_own_account_data(scene: Scene) -> str:
    room = await scene.room()
    path = f"/user/{scene.person.user_id}/rooms/{room}/account_data/{BINDING}"
    await scene.person.session.request("PUT", path, _binding(scene))
    return room


async def nonce_of_the_next_chat(scene: Scene) -> str:
    nonce = f"first chat of {scene.person.user_id}"
    room = await scene.room(name="Chat 2", creation_content={NONCE: nonce})
    await scene.claim(room, scene.forger.space)
    return room


async def room_shaped_like_a_chat(scene: Scene) -> str:
    levels = {"users_default": 0, "invite": 100, "state_default": 100, "events_default": 0}
    return await scene.room(
        name="Chat 1",
        creation_content={NONCE: f"first chat of {scene.person.user_id}"},
        power_level_content_override=levels,
        initial_state=[
            {"type": "m.space.parent", "state_key": scene.forger.space, "content": VIA},
            {"type": "m.room.guest_access", "content": {"guest_access": "forbidden"}},
            {"type": BINDING, "content": _binding(scene)},
        ],
    )


async def space_of_his_own(scene: Scene) -> str:
    return await scene.space(name="Lambda — somebody")


FORGERIES: tuple[Callable[[Scene], Awaitable[str]], ...] = (
    room_in_a_space_of_his_own,
    room_of_the_bot_in_a_space_of_his_own,
    chat_of_another_in_a_space_of_his_own,
    room_of_the_bot_linked_by_him_in_the_bots_space,
    room_of_his_linked_by_him_in_the_bots_space,
    room_of_his_linked_by_the_bot,
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
    binding_as_his_own_account_data,
    nonce_of_the_next_chat,
    room_shaped_like_a_chat,
    space_of_his_own,
)
