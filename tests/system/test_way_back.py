"""Rooms that explain themselves, and the way back into them (contracts O1, K3, K12)."""

from typing import Any

import anyio
import pytest

from machines.i18n import catalog_for
from sandbox.errors import MatrixRefused
from sandbox.http import request_json
from sandbox.session import escaped
from sandbox.synapse import Synapse
from tests.support.matrix_user import MatrixUser
from tests.system.users import BINDING, PASSWORD, answer_to, onboard, text_of

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")


def restricted_to(space: str) -> dict[str, Any]:
    return {
        "join_rule": "restricted",
        "allow": [{"type": "m.room_membership", "room_id": space}],
    }


# Synapse allows five of these requests a second, and no event tells that its statistics are up to date.
POLL_S = 0.3


async def invitation(user: MatrixUser, room: str) -> dict[str, Any]:
    """Wait for an invitation to a room, and return its content."""
    event = await user.wait_for(
        lambda event: (
            event.room_id == room
            and event.state_key == user.user_id
            and event.content.get("membership") == "invite"
        )
    )
    return event.content


async def rooms_in_space(user: MatrixUser, space: str) -> dict[str, tuple[str, str]]:
    """Return name and topic of the rooms that a client shows in the Space."""
    url = f"{user.url}/_matrix/client/v1/rooms/{escaped(space)}/hierarchy"
    headers = {"Authorization": f"Bearer {user.access_token}"}
    assert user._http is not None
    answer = await request_json(user._http, "GET", url, headers=headers)
    return {
        room["room_id"]: (room.get("name", ""), room.get("topic", "")) for room in answer["rooms"]
    }


async def test_a_member_of_the_space_finds_the_chats_in_it_by_name(make_bot, tmp_path):
    async with Synapse(tmp_path / "synapse", settings={"stats": {"enabled": True}}) as synapse:
        ann_id = await synapse.register("ann", PASSWORD)
        bot_id = await synapse.register("lambda", PASSWORD)
        bot = await make_bot(MATRIX_HOMESERVER=synapse.url, MATRIX_USER_ID=bot_id)
        async with bot.daemon as daemon, MatrixUser(synapse.url, ann_id, PASSWORD) as ann:
            await daemon.wait_live()
            onboarded = await onboard(ann, bot_id)
            await onboarded.run_command("!new Garden")
            (garden,) = await ann.rooms_invited()
            await ann.leave(garden)
            topic = "A chat with Lambda."
            expected = {onboarded.chat: ("Chat 1", topic), garden: ("Garden", topic)}
            with anyio.fail_after(30):
                # Synapse updates the statistics that this reads a moment later.
                while (
                    not expected.items()
                    <= (shown := await rooms_in_space(ann, onboarded.space)).items()
                ):
                    assert set(shown) <= {onboarded.space, *expected}
                    await anyio.sleep(POLL_S)
            await ann.join(garden)
            assert text_of(await onboarded.ask("hello", garden)) == "echo: hello"


async def test_invitations_have_a_reason_and_rooms_a_topic(session_bot, make_user):
    ann = await make_user("Ann")
    onboarded = await onboard(ann, session_bot.user_id)
    reasons = [
        (await invitation(ann, room))["reason"] for room in (onboarded.space, onboarded.chat)
    ]
    assert reasons == [CATALOG.space_invitation(), CATALOG.chat_invitation("Lambda")]
    topics = [
        await ann.state_content(room, "m.room.topic") for room in (onboarded.space, onboarded.chat)
    ]
    assert topics == [{"topic": CATALOG.space_topic()}, {"topic": CATALOG.chat_topic("Lambda")}]


async def test_reasons_and_topics_are_in_the_language_of_the_bot(make_bot, make_user):
    bot = await make_bot(SURFACES_LOCALE="ru")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(await make_user(), bot.user_id)
        reason = (await invitation(onboarded.user, onboarded.chat))["reason"]
        assert reason == catalog_for("ru", "Lambda").chat_invitation("Lambda")


async def test_an_owner_who_left_is_marked_and_comes_back_without_an_invitation(onboarded):
    await onboarded.user.leave(onboarded.chat)
    page = await onboarded.run_command("!chats", onboarded.entry)
    assert "you left" in page
    assert "!open 1" in page
    await onboarded.user.join(onboarded.chat)
    assert text_of(await onboarded.ask("back again")) == "echo: back again"
    assert "you left" not in await onboarded.run_command("!chats")


async def test_open_invites_an_owner_who_left_with_a_reason(onboarded):
    await onboarded.user.leave(onboarded.chat)
    onboarded.user.stream.seen.clear()
    answer = await onboarded.run_command("!open 1", onboarded.entry)
    assert "a new invitation" in answer
    again = await invitation(onboarded.user, onboarded.chat)
    assert again["reason"] == CATALOG.invitation_back("Lambda")
    await onboarded.user.join(onboarded.chat)
    assert text_of(await onboarded.ask("back again")) == "echo: back again"


async def test_an_archived_chat_is_open_again_and_answers(onboarded, synapse):
    assert "`!open 1`" in (await onboarded.ask("!archive")).content["body"]
    assert "!open 1" in await onboarded.run_command("hello")
    page = await onboarded.run_command("!chats", onboarded.entry)
    assert "archived" in page
    assert "open again" in await onboarded.run_command("!open C1", onboarded.entry)
    assert text_of(await onboarded.ask("hello")) == "echo: hello"
    async with MatrixUser(synapse.url, onboarded.bot, PASSWORD) as operator:
        stored = await operator.account_data(BINDING, onboarded.chat)
    assert stored is not None
    assert stored["archived"] is False
    # In the chat itself the next message is answered.
    asked = [
        await onboarded.user.send_text(onboarded.chat, body)
        for body in ("!archive", "!open 1", "still here?")
    ]
    answers = [await answer_to(onboarded.user, onboarded.chat, each) for each in asked]
    assert "open again" in answers[1].body
    assert text_of(answers[2]) == "echo: still here?"
    assert "is open." in await onboarded.run_command("!open 1")


async def test_a_user_who_declines_the_space_and_joins_the_chat_is_invited_to_it_again(
    session_bot, agent, user
):
    entry = await user.create_room(invite=[session_bot.user_id])
    rooms: dict[bool, str] = {}
    while len(rooms) < 2:
        event = await user.wait_for(
            lambda event: (
                event.content.get("membership") == "invite"
                and event.sender == session_bot.user_id
                and event.room_id not in rooms.values()
            )
        )
        rooms["Space" in event.content["reason"]] = event.room_id
    space, chat = rooms[True], rooms[False]
    await user.leave(space)
    await user.join(chat)
    await answer_to(user, chat, await user.send_text(chat, "hello"))
    user.stream.seen.clear()
    asked = await user.send_text(chat, "!open 1")
    answer = await answer_to(user, chat, asked)
    assert CATALOG.format("invited_to_space") in answer.body
    assert (await invitation(user, space))["reason"] == CATALOG.space_invitation()
    await user.join(space)
    page = await answer_to(user, entry, await user.send_text(entry, "!chats"))
    assert "Space" not in page.body


async def test_after_leaving_everything_new_and_open_bring_the_user_back(onboarded):
    user = onboarded.user
    for room in (onboarded.chat, onboarded.space):
        await user.leave(room)
    assert "`!open 1`" in (await onboarded.ask("hello?", onboarded.entry)).content["body"]
    user.stream.seen.clear()
    assert CATALOG.format("invited_to_space") in await onboarded.run_command(
        "!new Garden", onboarded.entry
    )
    await invitation(user, onboarded.space)
    await user.join(onboarded.space)
    await user.join(onboarded.chat)
    assert text_of(await onboarded.ask("all back")) == "echo: all back"


async def test_a_chat_of_an_earlier_version_gets_its_join_rule_when_it_is_renamed(
    make_bot, user, synapse
):
    bot = await make_bot()
    async with bot.daemon as daemon, MatrixUser(synapse.url, bot.user_id, PASSWORD) as operator:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        await onboarded.ask("hello")
        await operator.send_state(onboarded.chat, "m.room.join_rules", {"join_rule": "invite"})
        await daemon.stop()
        before = [event.event_id for event in await operator.room_state(onboarded.chat)]
        await daemon.start()
        await daemon.wait_live()
        await onboarded.ask("still there?")
        assert [event.event_id for event in await operator.room_state(onboarded.chat)] == before
        for command in ("!rename Plans", "!open 1"):
            await onboarded.run_command(command)
            rule = await user.wait_for(
                lambda event: (
                    event.type == "m.room.join_rules"
                    and event.content == restricted_to(onboarded.space)
                    and event.event_id not in before
                )
            )
            before.append(rule.event_id)
            await operator.send_state(onboarded.chat, "m.room.join_rules", {"join_rule": "invite"})


async def test_nobody_but_the_members_of_the_space_can_join_a_chat(onboarded, make_user):
    other = await make_user()
    with pytest.raises(MatrixRefused) as refusal:
        await other.join(onboarded.chat)
    assert refusal.value.status == 403


async def test_a_bot_without_a_name_takes_the_brand_once_and_keeps_a_chosen_one(
    make_bot, user, synapse
):
    bot = await make_bot(SURFACES_BRAND="Sigma")
    path = f"/profile/{escaped(bot.user_id)}/displayname"
    async with bot.daemon as daemon, MatrixUser(synapse.url, bot.user_id, PASSWORD) as operator:
        await daemon.wait_live()
        assert await operator.request("GET", path) == {"displayname": "Sigma"}
        await operator.set_display_name("Our bot")
        await daemon.stop()
        await daemon.start()
        await daemon.wait_live()
        assert await operator.request("GET", path) == {"displayname": "Our bot"}
