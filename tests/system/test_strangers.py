"""A user who is not allowed gets no reaction of the bot (contracts O4, E3)."""

import pytest

from machines.i18n import catalog_for
from tests.system.users import notice, onboard

pytestmark = pytest.mark.anyio


def lines_about(daemon, *ids):
    return [line for line in daemon.log if any(each in str(line) for each in ids)]


async def test_an_invitation_of_a_user_who_is_not_allowed_is_only_rejected(
    make_bot, make_user, proxy
):
    friend, stranger = await make_user(), await make_user()
    # A display name proves nothing.
    await stranger.set_display_name(friend.user_id)
    bot = await make_bot(MATRIX_ALLOWED_USERS=friend.user_id, MATRIX_HOMESERVER=proxy.url)
    async with bot.daemon as daemon:
        await daemon.wait_live()
        seen = len(proxy.writes)
        room = await stranger.create_room(invite=[bot.user_id])
        rejected = await stranger.wait_for(
            lambda event: (
                event.room_id == room
                and event.state_key == bot.user_id
                and event.content.get("membership") == "leave"
            )
        )
        assert rejected.content["reason"] == catalog_for("en", "Lambda").invite_refused()
        # The onboarding of another user shows that the bot has handled the first invitation.
        await onboard(friend, bot.user_id)
        assert [line["event"] for line in lines_about(daemon, stranger.user_id, room)] == [
            "invite_rejected"
        ]
        about_it = [
            proxied.path.rpartition("/")[2]
            for proxied in proxy.writes[seen:]
            if room[1:] in proxied.path
        ]
        assert about_it == ["leave", "forget"]
        assert await stranger.rooms_invited() == []
        text_of = [event.sender for event in await stranger.messages(room) if event.msgtype]
        assert text_of == []


async def test_a_glob_allows_the_users_that_it_matches_and_no_others(make_bot, make_user, synapse):
    friend, stranger = await make_user(), await make_user()
    number = friend.user_id.partition(":")[0].rpartition("-")[2]
    bot = await make_bot(MATRIX_ALLOWED_USERS=f"@nobody:elsewhere.org, @*-{number}:local*")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        room = await stranger.create_room(invite=[bot.user_id])
        await daemon.wait_log(lambda line: line["event"] == "invite_rejected")
        await onboard(friend, bot.user_id)
        assert (await stranger.members(room))[bot.user_id] == "leave"
        assert len(daemon.lines("invite_rejected")) == 1


async def test_an_empty_list_allows_the_users_of_the_bots_server(make_bot, user):
    bot = await make_bot(MATRIX_ALLOWED_USERS="@*:elsewhere.org")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        await user.create_room(invite=[bot.user_id])
        await daemon.wait_log(lambda line: line["event"] == "invite_rejected")
        await daemon.stop()
        bot.daemon.environment["MATRIX_ALLOWED_USERS"] = ""
        await daemon.start()
        await daemon.wait_live()
        await onboard(user, bot.user_id)


async def test_a_message_of_a_stranger_in_an_entry_room_gets_no_answer(make_bot, make_user, agent):
    friend, stranger = await make_user(), await make_user()
    bot = await make_bot(MATRIX_ALLOWED_USERS=friend.user_id)
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(friend, bot.user_id)
        await friend.invite(onboarded.entry, stranger.user_id)
        await stranger.join(onboarded.entry)
        unanswered = [
            await stranger.send_text(onboarded.entry, text) for text in ("hello", "!help", "!new")
        ]
        # The bot handles messages in order: no other answer can follow this one.
        await onboarded.run_command("!help", onboarded.entry)
        answered = [event.answers for event in await friend.messages(onboarded.entry)]
        assert set(answered).isdisjoint(unanswered)
        assert await stranger.rooms_invited() == []


async def test_a_user_who_is_no_longer_allowed_gets_no_answer(make_bot, make_user, agent):
    ann, bob = await make_user(), await make_user()
    bot = await make_bot(MATRIX_ALLOWED_USERS=f"{ann.user_id},{bob.user_id}")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(ann, bot.user_id)
        await daemon.stop()
        bot.daemon.environment["MATRIX_ALLOWED_USERS"] = bob.user_id
        await daemon.start()
        await daemon.wait_live()
        asked = len(agent.requests)
        refused = await ann.send_text(onboarded.chat, "and now?")
        second = await onboard(bob, bot.user_id)
        await second.ask("what Bob asks")
        assert await ann.replies_to(onboarded.chat, refused) == []
        assert [request.text for request in agent.requests[asked:]] == ["what Bob asks"]


async def test_a_user_who_is_no_longer_allowed_is_told_once_in_each_room_over_a_restart(
    make_bot, make_user, agent
):
    ann, bob = await make_user(), await make_user()
    bot = await make_bot(MATRIX_ALLOWED_USERS=f"{ann.user_id},{bob.user_id}")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(ann, bot.user_id)
        assert await onboarded.run_command("!language ru")
        bobs = await onboard(bob, bot.user_id)
        bot.daemon.environment["MATRIX_ALLOWED_USERS"] = bob.user_id
        asked = []
        for _ in range(2):
            await daemon.stop()
            await daemon.start()
            await daemon.wait_live()
            for room in (onboarded.chat, onboarded.entry):
                asked += [
                    await ann.send_text(room, body) for body in ("hello from ann", "!help", "!new")
                ]
            # The sync that brings this message has brought the others.
            await bobs.ask("hello from bob")
        told = catalog_for("ru", "Lambda").no_longer_allowed()
        for room in (onboarded.chat, onboarded.entry):
            await notice(ann, room, told)
            events = await ann.messages(room)
            assert [event.body for event in events].count(told) == 1
            assert {event.answers for event in events}.isdisjoint(asked)
        requests = [request.text for request in agent.requests]
        assert (requests.count("hello from ann"), requests.count("hello from bob")) == (0, 2)
        assert await ann.rooms_invited() == []
