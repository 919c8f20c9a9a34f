"""The bot put out of a room, and coming back; an owner who leaves his chat (contract R5)."""

import pytest

from tests.system.cast import onboard

pytestmark = pytest.mark.anyio


def arrows(room) -> list[tuple[str, str, str]]:
    return [(each["event"], each["source"], each["target"]) for each in room["transitions"]]


async def empower(backstage, home) -> None:
    """Let the owner invite the bot back into his chat, as its operator would."""
    async with backstage.account() as account:
        levels = await account.state_content(home.chat, "m.room.power_levels")
        users = {**levels.get("users", {}), home.person.user_id: 100}
        await account.send_state(home.chat, "m.room.power_levels", {**levels, "users": users})


async def joined_again(home, room) -> None:
    """Wait until the bot has come in behind the newest invitation."""
    events = await home.person.messages(room)
    known = {event.event_id for event in events if event.type == "m.room.member"}
    await home.person.invite(room, home.bot)
    await home.person.wait_for(
        lambda event: (
            event.room_id == room
            and event.state_key == home.bot
            and event.content["membership"] == "join"
            and event.event_id not in known
        )
    )


async def test_a_chat_the_bot_left_is_the_same_chat_when_it_comes_back(backstage, agent, person):
    await backstage.start()
    home = await onboard(person, backstage.bot.user_id)
    await home.ask("!clear")
    await home.ask("before")
    before = (await backstage.values())[home.chat]
    await empower(backstage, home)
    async with backstage.account() as account:
        await account.leave(home.chat)
    # What is asked in the other room afterwards comes after the removal.
    await home.ask("!help", home.entry)
    out = await backstage.inspect(home.chat)
    assert (out["state"], out["reason"]) == ("unregistered", "the bot left")
    assert arrows(out)[-1] == ("removed_from_room", "bound", "unregistered")
    missed = await person.send_text(home.chat, "nobody hears this")
    await joined_again(home, home.chat)
    reply = await home.ask("again")
    (request,) = [each for each in agent.requests if each.message_id == reply.answers]
    assert request.chat_id == before["platform_chat_id"]
    assert (await backstage.values())[home.chat] == before
    back = await backstage.inspect(home.chat)
    assert arrows(back)[-2:] == [
        ("invited", "unregistered", "reconciling"),
        ("topology_confirmed", "reconciling", "bound"),
    ]
    assert [each for each in agent.requests if each.message_id == missed] == []
    assert len(await backstage.values()) == 1


@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
async def test_an_entry_room_the_bot_was_kicked_from_can_be_entered_again(
    backstage, agent, person, down
):
    await backstage.start()
    home = await onboard(person, backstage.bot.user_id)
    if down:
        await backstage.bot.daemon.stop()
    await person.kick(home.entry, home.bot, "out with you")
    if down:
        await backstage.start()
    await home.ask("are you there?")
    out = await backstage.inspect(home.entry)
    assert out["state"] == "unregistered"
    assert "out with you" in out["reason"]
    assert person.user_id in out["reason"]
    await joined_again(home, home.entry)
    assert "!new" in await home.tell("!help", home.entry)
    back = await backstage.inspect(home.entry)
    assert (back["state"], back["room_type"]) == ("bound", "entry")
    assert len(await backstage.values()) == 1


async def test_a_removal_and_an_invitation_in_one_absence_are_a_new_reconciliation(
    backstage, agent, person
):
    await backstage.start()
    home = await onboard(person, backstage.bot.user_id)
    await home.ask("before")
    before = await backstage.values()
    await empower(backstage, home)
    await backstage.bot.daemon.stop()
    async with backstage.account() as account:
        await account.leave(home.chat)
    await person.invite(home.chat, home.bot)
    missed = await person.send_text(home.chat, "nobody hears this")
    known = {event.event_id for event in await person.messages(home.chat)}
    await backstage.start()
    await person.wait_for(
        lambda event: (
            event.room_id == home.chat
            and event.state_key == home.bot
            and event.content["membership"] == "join"
            and event.event_id not in known
        )
    )
    await home.ask("again")
    assert await backstage.values() == before
    assert [each for each in agent.requests if each.message_id == missed] == []
    back = await backstage.inspect(home.chat)
    assert ("removed_from_room", "bound", "unregistered") in arrows(back)


async def test_an_owner_who_leaves_changes_nothing_and_is_shown(backstage, agent, person):
    await backstage.start()
    home = await onboard(person, backstage.bot.user_id)
    await home.ask("before")
    before = await backstage.inspect(home.chat)
    assert before["owner_present"] is True
    await person.leave(home.chat)
    await home.ask("!help", home.entry)
    after = await backstage.inspect(home.chat)
    assert after["owner_present"] is False
    assert after | {"owner_present": True} == before
    # A further invitation of the bot brings him back in (O2).
    await person.create_room(invite=[home.bot])
    await person.wait_for(lambda _: home.chat in person.stream.invitations)
    await person.join(home.chat)
    await home.ask("after")
    assert (await backstage.inspect(home.chat))["owner_present"] is True
    # He is seen to have left also when nobody looked.
    await backstage.bot.daemon.stop()
    await person.leave(home.chat)
    await backstage.start()
    await home.ask("!help", home.entry)
    shown = await backstage.inspect(home.chat)
    assert (shown["state"], shown["owner_present"]) == ("bound", False)
