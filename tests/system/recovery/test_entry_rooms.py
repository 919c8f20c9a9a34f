"""Entry rooms stay what they are without a database and without a binding (contracts O5, O6)."""

import pytest

from machines.i18n import catalog_for
from tests.system.users import answer_to, notice, onboard

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")


@pytest.mark.parametrize("renamed", [False, True], ids=["as it was", "after a new display name"])
async def test_an_entry_room_is_read_back_from_the_bots_own_membership(
    internals, agent, make_user, renamed
):
    ann, bob = await make_user(), await make_user()
    await internals.start()
    onboarded = await onboard(ann, internals.bot.user_id)
    await ann.invite(onboarded.entry, bob.user_id)
    await bob.join(onboarded.entry)
    await internals.bot.daemon.stop()
    if renamed:
        # The bot's membership event is replaced in every room: the invitation is further back.
        async with internals.account() as account:
            await account.set_display_name("Lambda's own")
    await internals.bind(onboarded.entry, {})
    internals.lose_database()
    report = await internals.start()
    assert (report["backfilled"], report["skipped"]) == (1, [])
    entry = await internals.inspect(onboarded.entry)
    assert (entry["state"], entry["room_type"]) == ("bound", "entry")
    assert entry["matrix_user_id"] == ann.user_id
    assert (entry["chat_id"], entry["platform_chat_id"]) == (None, None)
    asked = len(agent.requests)
    assert "!new" in await onboarded.run_command("!help", onboarded.entry)
    # Bob is in the room: the bot answers a command and names no chats (O5).
    called = {"m.mentions": {"user_ids": [onboarded.bot]}}
    asked_there = await ann.send_text(onboarded.entry, "hello?", **called)
    pointer = await answer_to(ann, onboarded.entry, asked_there)
    # The journal does not know what the bot sent before the loss.
    old = (await notice(ann, onboarded.entry)).event_id
    reply = {"m.relates_to": {"m.in_reply_to": {"event_id": old}}}
    replied = await ann.send_text(onboarded.entry, "and this?", **reply)
    assert (await answer_to(ann, onboarded.entry, replied)).body == pointer.body
    reply_to_bob = {"m.relates_to": {"m.in_reply_to": {"event_id": asked_there}}}
    not_answered = await bob.send_text(onboarded.entry, "I am here", **reply_to_bob)
    assert pointer.msgtype == "m.notice"
    assert onboarded.chat.removeprefix("!") not in str(pointer.content)
    # Bob has no Space yet: in the same room they get one with a chat.
    message_id = await bob.send_text(onboarded.entry, "and me?", **called)
    assert (await answer_to(bob, onboarded.entry, message_id)).msgtype == "m.notice"
    assert await bob.replies_to(onboarded.entry, not_answered) == []
    owners = {each["matrix_user_id"] for each in (await internals.values()).values()}
    assert owners == {ann.user_id, bob.user_id}
    assert len(agent.requests) == asked


@pytest.mark.parametrize("database", ["kept", "lost"])
async def test_who_asked_and_left_is_shown_nothing_in_front_of_the_one_who_stayed(
    internals, make_user, database
):
    ann, bob = await make_user(), await make_user()
    await internals.start()
    onboarded = await onboard(ann, internals.bot.user_id)
    await ann.invite(onboarded.entry, bob.user_id)
    await bob.join(onboarded.entry)
    await internals.bot.daemon.stop()
    asked = await ann.send_text(onboarded.entry, "!chats")
    await ann.leave(onboarded.entry)
    if database == "lost":
        internals.lose_database()
    await internals.start()
    answer = await answer_to(bob, onboarded.entry, asked)
    assert onboarded.chat.removeprefix("!") not in str(answer.content)
    # What Bob asks is about his own chats, and nobody else reads it.
    asked = await bob.send_text(onboarded.entry, "!chats")
    assert (await answer_to(bob, onboarded.entry, asked)).body == CATALOG.no_chats()
