"""The bot removed from a room and invited again; an owner who leaves their chat (contract R5)."""

import pytest

from tests.system.users import onboard

pytestmark = pytest.mark.anyio


def transitions_of(room) -> list[tuple[str, str, str]]:
    return [(each["event"], each["source"], each["target"]) for each in room["transitions"]]


async def empower(internals, onboarded) -> None:
    """Let the owner invite the bot back into their chat, as its operator would."""
    async with internals.account() as account:
        levels = await account.state_content(onboarded.chat, "m.room.power_levels")
        users = {**levels.get("users", {}), onboarded.user.user_id: 100}
        await account.send_state(onboarded.chat, "m.room.power_levels", {**levels, "users": users})


async def joined_again(onboarded, room) -> None:
    """Wait until the bot has accepted the newest invitation."""
    events = await onboarded.user.messages(room)
    known = {event.event_id for event in events if event.type == "m.room.member"}
    await onboarded.user.invite(room, onboarded.bot)
    await onboarded.user.wait_for(
        lambda event: (
            event.room_id == room
            and event.state_key == onboarded.bot
            and event.content["membership"] == "join"
            and event.event_id not in known
        )
    )


async def test_a_chat_the_bot_left_is_the_same_chat_when_it_comes_back(internals, agent, user):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    await onboarded.ask("!clear")
    await onboarded.ask("before")
    before = (await internals.values())[onboarded.chat]
    await empower(internals, onboarded)
    async with internals.account() as account:
        await account.leave(onboarded.chat)
    # A later message in the other room is handled after the removal.
    await onboarded.ask("!help", onboarded.entry)
    out = await internals.inspect(onboarded.chat)
    assert (out["state"], out["reason"]) == ("unregistered", "the bot left")
    assert transitions_of(out)[-1] == ("bot_removed", "bound", "unregistered")
    missed = await user.send_text(onboarded.chat, "nobody hears this")
    await joined_again(onboarded, onboarded.chat)
    reply = await onboarded.ask("again")
    (request,) = [each for each in agent.requests if each.message_id == reply.answers]
    assert request.chat_id == before["platform_chat_id"]
    assert (await internals.values())[onboarded.chat] == before
    back = await internals.inspect(onboarded.chat)
    assert transitions_of(back)[-2:] == [
        ("invite_arrived", "unregistered", "reconciling"),
        ("topology_confirmed", "reconciling", "bound"),
    ]
    assert [each for each in agent.requests if each.message_id == missed] == []
    assert len(await internals.values()) == 1


@pytest.mark.parametrize("down", [False, True], ids=["live", "down"])
async def test_an_entry_room_the_bot_was_kicked_from_can_be_entered_again(
    internals, agent, user, down
):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    if down:
        await internals.bot.daemon.stop()
    await user.kick(onboarded.entry, onboarded.bot, "out with you")
    if down:
        await internals.start()
    await onboarded.ask("are you there?")
    out = await internals.inspect(onboarded.entry)
    assert out["state"] == "unregistered"
    assert "out with you" in out["reason"]
    assert user.user_id in out["reason"]
    await joined_again(onboarded, onboarded.entry)
    assert "!new" in await onboarded.run_command("!help", onboarded.entry)
    back = await internals.inspect(onboarded.entry)
    assert (back["state"], back["room_type"]) == ("bound", "entry")
    assert len(await internals.values()) == 1


async def test_a_removal_and_an_invitation_while_the_bot_is_down_need_a_new_reconciliation(
    internals, agent, user
):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    await onboarded.ask("before")
    before = await internals.values()
    await empower(internals, onboarded)
    await internals.bot.daemon.stop()
    async with internals.account() as account:
        await account.leave(onboarded.chat)
    await user.invite(onboarded.chat, onboarded.bot)
    missed = await user.send_text(onboarded.chat, "nobody hears this")
    known = {event.event_id for event in await user.messages(onboarded.chat)}
    await internals.start()
    await user.wait_for(
        lambda event: (
            event.room_id == onboarded.chat
            and event.state_key == onboarded.bot
            and event.content["membership"] == "join"
            and event.event_id not in known
        )
    )
    await onboarded.ask("again")
    assert await internals.values() == before
    assert [each for each in agent.requests if each.message_id == missed] == []
    back = await internals.inspect(onboarded.chat)
    assert ("bot_removed", "bound", "unregistered") in transitions_of(back)


async def test_an_owner_who_leaves_changes_nothing_and_is_shown(internals, agent, user):
    await internals.start()
    onboarded = await onboard(user, internals.bot.user_id)
    await onboarded.ask("before")
    before = await internals.inspect(onboarded.chat)
    assert before["owner_present"] is True
    await user.leave(onboarded.chat)
    await onboarded.ask("!help", onboarded.entry)
    after = await internals.inspect(onboarded.chat)
    assert after["owner_present"] is False
    assert after | {"owner_present": True} == before
    # Another invitation of the bot brings them back (O2).
    await user.create_room(invite=[onboarded.bot])
    await user.wait_for(lambda _: onboarded.chat in user.stream.invitations)
    await user.join(onboarded.chat)
    await onboarded.ask("after")
    assert (await internals.inspect(onboarded.chat))["owner_present"] is True
    # A start also detects that they have left.
    await internals.bot.daemon.stop()
    await user.leave(onboarded.chat)
    await internals.start()
    await onboarded.ask("!help", onboarded.entry)
    shown = await internals.inspect(onboarded.chat)
    assert (shown["state"], shown["owner_present"]) == ("bound", False)
