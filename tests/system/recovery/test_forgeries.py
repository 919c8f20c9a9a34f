"""Nothing that a user can send turns a room into a chat (contract C2): none is adopted, and no agent is called.

All forgeries are tried together against a live bot. Then it is killed and its database is deleted, so that it recovers
from the forged rooms alone.
"""

from contextlib import AsyncExitStack
from dataclasses import dataclass

import pytest

from sandbox.errors import MatrixRefused
from tests.support.matrix_user import MatrixUser
from tests.system.conftest import register_bot
from tests.system.recovery.bot_internals import BotInternals
from tests.system.recovery.forgeries import FORGERIES, VIA, ForgeryFixture
from tests.system.users import PASSWORD, OnboardedUser, onboard

pytestmark = pytest.mark.anyio

NAMES = [forgery.__name__ for forgery in FORGERIES]


@dataclass(frozen=True)
class Forged:
    """The results of all forgeries: the room of each, and the states of the rooms, warm and cold."""

    rooms: dict[str, str]
    honest: set[str]
    seen: tuple[dict, dict]
    agent_texts: list[str]
    after: dict


@pytest.fixture(scope="module")
async def forged(synapse, session_agent, tmp_path_factory):
    """All forgeries, and the bot's reaction to them."""
    async with AsyncExitStack() as stack:
        bot = await register_bot(synapse, tmp_path_factory.mktemp("forged"), session_agent)
        stack.push_async_callback(bot.daemon.kill)
        internals = BotInternals(bot, synapse.url)
        await internals.start()
        onboarded_users: list[OnboardedUser] = []
        for name in ("a-victim", "a-forger"):
            user_id = await synapse.register(name, PASSWORD)
            user = await stack.enter_async_context(MatrixUser(synapse.url, user_id, PASSWORD))
            onboarded_users.append(await onboard(user, bot.user_id))
        setup = ForgeryFixture(*onboarded_users, internals)
        began = len(session_agent.requests)
        rooms = {forgery.__name__: await forgery(setup) for forgery in FORGERIES}

        async def send_message(when: str, known: set[str]) -> None:
            """Write in every forged room until the bot has reacted there, and in the others until it has answered."""
            for name, room in rooms.items():
                await setup.user.send_text(room, f"{name} {when}")
            for onboarded in onboarded_users:
                assert (await onboarded.ask(f"honest {when}")).body == f"echo: honest {when}"
            for room in rooms.values():
                await reacted(setup, room, known)

        await send_message("warm", agent_messages(setup))
        warm = await internals.rooms()
        await bot.daemon.kill()
        internals.lose_database()
        known = agent_messages(setup)
        await internals.start()
        await send_message("cold", known)
        cold = await internals.rooms()
        created = await setup.forger.ask("!new")
        assert created.msgtype == "m.notice"
        agent_texts = [request.text for request in session_agent.requests[began:]]
        honest = {onboarded.chat for onboarded in onboarded_users}
        yield Forged(rooms, honest, (warm, cold), agent_texts, await internals.values())


def agent_messages(setup) -> set[str]:
    """Return the messages that the forger has seen so far."""
    return {event.event_id for event in setup.user.stream.seen if event.msgtype}


async def reacted(setup, room, known) -> None:
    """Wait until the bot sends a new message in a room."""
    await setup.user.wait_for(
        lambda event: (
            event.room_id == room
            and event.sender == setup.bot
            and event.msgtype != ""
            and event.event_id not in known
        )
    )


@pytest.mark.parametrize("forgery", NAMES)
async def test_a_forged_room_is_adopted_neither_live_nor_without_a_database(forged, forgery):
    for seen in forged.seen:
        room = seen.get(forged.rooms[forgery])
        assert room is None or room["room_type"] in (None, "entry")
        assert room is None or (room["chat_id"], room["platform_chat_id"]) == (None, None)


@pytest.mark.parametrize("forgery", NAMES)
async def test_no_message_in_a_forged_room_reaches_an_agent(forged, forgery):
    assert [text for text in forged.agent_texts if text.startswith(forgery)] == []


async def test_the_honest_chats_are_not_affected_by_forgeries(forged):
    for seen in forged.seen:
        chats = {room_id for room_id, room in seen.items() if room["room_type"] == "chat"}
        assert chats == forged.honest
        assert {seen[room_id]["state"] for room_id in chats} == {"bound"}
    assert forged.agent_texts == ["honest warm", "honest warm", "honest cold", "honest cold"]


async def test_the_next_chat_is_a_new_room(forged):
    new = set(forged.after) - forged.honest
    assert len(new) == 1
    assert not new & set(forged.rooms.values())


async def test_the_homeserver_lets_no_user_link_rooms_into_the_bots_space(onboarded):
    room = await onboarded.user.create_room(invite=[onboarded.bot])
    for child in (room, onboarded.entry, onboarded.chat):
        with pytest.raises(MatrixRefused) as refusal:
            await onboarded.user.send_state(onboarded.space, "m.space.child", VIA, child)
        assert refusal.value.status == 403
