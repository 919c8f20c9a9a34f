"""A user who is not allowed gets no reaction of the bot (contracts O4, E3)."""

import pytest

from tests.system.users import onboard

pytestmark = pytest.mark.anyio


def lines_about(daemon, *ids):
    return [line for line in daemon.log if any(each in str(line) for each in ids)]


async def test_an_invitation_of_somebody_not_allowed_is_rejected_and_that_is_all(
    make_bot, make_person, proxy
):
    friend, stranger = await make_person(), await make_person()
    # A display name is nothing but a claim.
    await stranger.set_display_name(friend.user_id)
    bot = await make_bot(MATRIX_ALLOWED_USERS=friend.user_id, MATRIX_HOMESERVER=proxy.url)
    async with bot.daemon as daemon:
        await daemon.wait_live()
        seen = len(proxy.writes)
        room = await stranger.create_room(invite=[bot.user_id])
        await stranger.wait_for(
            lambda event: (
                event.room_id == room
                and event.state_key == bot.user_id
                and event.content.get("membership") == "leave"
            )
        )
        # Someone else's onboarding shows that the bot has done all it wanted about the first.
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
        said = [event.sender for event in await stranger.messages(room) if event.msgtype]
        assert said == []


async def test_a_glob_allows_the_users_that_it_matches_and_no_others(
    make_bot, make_person, synapse
):
    friend, stranger = await make_person(), await make_person()
    number = friend.user_id.partition(":")[0].rpartition("-")[2]
    bot = await make_bot(MATRIX_ALLOWED_USERS=f"@nobody:elsewhere.org, @*-{number}:local*")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        room = await stranger.create_room(invite=[bot.user_id])
        await daemon.wait_log(lambda line: line["event"] == "invite_rejected")
        await onboard(friend, bot.user_id)
        assert (await stranger.members(room))[bot.user_id] == "leave"
        assert len(daemon.lines("invite_rejected")) == 1


async def test_an_empty_list_lets_in_the_bots_own_server(make_bot, person):
    bot = await make_bot(MATRIX_ALLOWED_USERS="@*:elsewhere.org")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        await person.create_room(invite=[bot.user_id])
        await daemon.wait_log(lambda line: line["event"] == "invite_rejected")
        await daemon.stop()
        bot.daemon.environment["MATRIX_ALLOWED_USERS"] = ""
        await daemon.start()
        await daemon.wait_live()
        await onboard(person, bot.user_id)


async def test_a_strangers_words_in_an_entry_room_get_no_answer(make_bot, make_person, agent):
    friend, stranger = await make_person(), await make_person()
    bot = await make_bot(MATRIX_ALLOWED_USERS=friend.user_id)
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(friend, bot.user_id)
        await friend.invite(onboarded.entry, stranger.user_id)
        await stranger.join(onboarded.entry)
        unanswered = [
            await stranger.send_text(onboarded.entry, text) for text in ("hello", "!help", "!new")
        ]
        # The bot takes a room's messages in their order: after this answer there is none to come.
        await onboarded.tell("!help", onboarded.entry)
        answered = [event.answers for event in await friend.messages(onboarded.entry)]
        assert set(answered).isdisjoint(unanswered)
        assert await stranger.rooms_invited() == []


async def test_who_is_not_allowed_any_more_is_not_answered_any_more(make_bot, make_person, agent):
    ann, bob = await make_person(), await make_person()
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
