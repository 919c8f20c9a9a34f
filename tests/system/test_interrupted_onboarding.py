"""`kill -9` between any two requests of an onboarding: one Space, one chat, one welcome (contract O3)."""

import pytest

from tests.support.matrix_user import MatrixUser
from tests.system.boundaries import BoundaryRunner, Work
from tests.system.users import (
    BINDING,
    OnboardedUser,
    accept,
    children,
    created_rooms,
    notice,
    text_of,
)

pytestmark = pytest.mark.anyio


async def prepare(attempt):
    """Do nothing: the user is new."""


async def begin(attempt):
    attempt.values["entry"] = await attempt.user.create_room(invite=[attempt.bot.user_id])


async def ended(attempt):
    user, entry = attempt.user, attempt.values["entry"]
    space, chat = await accept(user, attempt.bot.user_id)
    await notice(user, entry)
    await notice(user, chat)
    attempt.values["onboarded"] = OnboardedUser(user, attempt.bot.user_id, entry, space, chat)


async def use(attempt):
    assert (
        text_of(await attempt.values["onboarded"].ask("are you there?")) == "echo: are you there?"
    )


async def check(witness, attempts):
    onboarded_users = [attempt.values["onboarded"] for attempt in attempts]
    spaces, chats = await created_rooms(witness)
    assert sorted(spaces) == sorted(onboarded.space for onboarded in onboarded_users)
    assert sorted(chats) == sorted(onboarded.chat for onboarded in onboarded_users)
    for onboarded in onboarded_users:
        await check_links(witness, onboarded)
        await check_bindings(witness, onboarded)
        assert await spoken(onboarded, onboarded.entry) == ["m.notice"]
        assert await spoken(onboarded, onboarded.chat) == ["m.notice", "m.text"]


async def check_links(witness: MatrixUser, onboarded: OnboardedUser) -> None:
    links = await children(witness, onboarded.space)
    assert {room: link["via"] for room, link in links.items()} == {onboarded.chat: ["localhost"]}
    parent = await witness.state_content(onboarded.chat, "m.space.parent", onboarded.space)
    assert parent is not None
    assert parent["via"] == ["localhost"]


async def check_bindings(witness: MatrixUser, onboarded: OnboardedUser) -> None:
    about = {"matrix_user_id": onboarded.user.user_id, "archived": False}
    blank = dict.fromkeys(("chat_id", "platform_chat_id", "agent_id", "space_id"))
    for room, room_type in ((onboarded.entry, "entry"), (onboarded.space, "space")):
        found = await witness.account_data(BINDING, room)
        assert found == {**about, **blank, "room_type": room_type}
    binding = await witness.account_data(BINDING, onboarded.chat)
    assert binding is not None
    assert binding.pop("platform_chat_id").isdecimal()
    chat = {
        "chat_id": "C1",
        "agent_id": "default",
        "space_id": onboarded.space,
        "room_type": "chat",
    }
    assert binding == {**about, **chat}


async def spoken(onboarded: OnboardedUser, room: str) -> list[str]:
    return [
        event.msgtype
        for event in await onboarded.user.messages(room)
        if event.sender == onboarded.bot and event.msgtype and not event.replaces
    ]


@pytest.mark.usefixtures("agent")
async def test_an_onboarding_killed_anywhere_ends_with_one_space_and_one_chat(
    synapse, make_bot, make_user
):
    runner = BoundaryRunner(synapse, make_bot, make_user)
    boundaries = await runner.interrupted_everywhere(Work(prepare, begin, ended, use, check))
    # At least: join, two rooms, a link, three bindings, a welcome and a pointer; before and after.
    assert boundaries >= 18
