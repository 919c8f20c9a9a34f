"""An allowed user invites the bot and gets a Space with a first chat (contract O1)."""

from urllib.parse import unquote

import pytest

from sandbox.errors import MatrixRefused
from sandbox.session import escaped
from tests.system.users import children, notice, onboard

pytestmark = pytest.mark.anyio


async def test_an_invitation_leads_to_a_space_with_a_first_chat(session_bot, make_user):
    ann = await make_user("Ann of the Hills")
    onboarded = await onboard(ann, session_bot.user_id)
    space_name = await ann.state_content(onboarded.space, "m.room.name")
    chat_name = await ann.state_content(onboarded.chat, "m.room.name")
    assert (space_name, chat_name) == (
        {"name": "Lambda — Ann of the Hills"},
        {"name": "Chat 1"},
    )
    links = await children(ann, onboarded.space)
    assert list(links) == [onboarded.chat]
    assert links[onboarded.chat]["via"] == ["localhost"]
    parent = await ann.state_content(onboarded.chat, "m.space.parent", onboarded.space)
    assert parent is not None
    assert parent["via"] == ["localhost"]
    members = {session_bot.user_id: "join", ann.user_id: "join"}
    assert await ann.members(onboarded.entry) == members
    assert await ann.members(onboarded.space) == members
    assert await ann.members(onboarded.chat) == members


async def test_the_rooms_are_private_and_only_the_bot_may_invite_or_change_state(
    onboarded, make_user
):
    other = await make_user()
    ann = onboarded.user
    space_member = {"type": "m.room_membership", "room_id": onboarded.space}
    for room, rule in (
        (onboarded.space, {"join_rule": "invite"}),
        (onboarded.chat, {"join_rule": "restricted", "allow": [space_member]}),
    ):
        assert await ann.state_content(room, "m.room.join_rules") == rule
        history = await ann.state_content(room, "m.room.history_visibility")
        assert history == {"history_visibility": "shared"}
        for attempt in (
            ann.invite(room, other.user_id),
            ann.kick(room, onboarded.bot),
            ann.send_state(room, "m.room.name", {"name": "Mine"}),
            ann.send_state(room, "m.room.topic", {"topic": "Mine"}),
            ann.send_state(room, "m.space.child", {"via": ["localhost"]}, onboarded.entry),
            ann.send_state(room, "m.room.power_levels", {"users": {ann.user_id: 100}}),
            ann.send_state(room, "org.example.anything", {}),
        ):
            with pytest.raises(MatrixRefused) as refusal:
                await attempt
            assert refusal.value.status == 403
        with pytest.raises(MatrixRefused):
            await other.join(room)


async def test_the_chat_has_a_welcome_and_the_entry_room_a_pointer_to_it(onboarded):
    notices_of_bot = [
        event for event in await onboarded.user.messages(onboarded.chat) if event.msgtype
    ]
    pointers = [event for event in await onboarded.user.messages(onboarded.entry) if event.msgtype]
    assert [event.msgtype for event in (*notices_of_bot, *pointers)] == ["m.notice", "m.notice"]
    assert "Welcome" in notices_of_bot[0].body
    assert "Chat 1" in pointers[0].body
    # The link names the room, and a server to find it through, as room ids don't.
    assert onboarded.chat.removeprefix("!") in pointers[0].content["formatted_body"]
    assert "via=localhost" in pointers[0].content["formatted_body"]
    for event in (*notices_of_bot, *pointers):
        assert event.sender == onboarded.bot
        assert event.content["m.mentions"] == {}


async def test_brand_and_language_are_settings_of_the_operator(make_bot, make_user):
    bot = await make_bot(SURFACES_BRAND="Сигма", SURFACES_LOCALE="ru")
    async with bot.daemon as daemon:
        await daemon.wait_live()
        anna = await make_user("Анна")
        onboarded = await onboard(anna, bot.user_id)
        assert await anna.state_content(onboarded.space, "m.room.name") == {"name": "Сигма — Анна"}
        assert await anna.state_content(onboarded.chat, "m.room.name") == {"name": "Чат 1"}
        assert "Вас приветствует" in (await notice(anna, onboarded.chat)).body


async def test_a_user_without_a_display_name_gets_a_space_too(session_bot, user):
    path = f"/profile/{user.user_id}/displayname"
    await user.request("PUT", path, {"displayname": ""})
    onboarded = await onboard(user, session_bot.user_id)
    localpart = user.user_id[1:].partition(":")[0]
    name = await user.state_content(onboarded.space, "m.room.name")
    assert name == {"name": f"Lambda — {localpart}"}


async def test_a_start_creates_no_room_and_invites_nobody(make_bot, proxy):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    async with bot.daemon as daemon:
        await daemon.wait_live()
        # An account without a display name gets one, once in its life (contract O1).
        name = f"/_matrix/client/v3/profile/{escaped(bot.user_id)}/displayname"
        assert [unquote(proxied.path) for proxied in proxy.writes] == [
            "/_matrix/client/v3/login",
            unquote(name),
        ]
        await daemon.stop()
        await daemon.start()
        await daemon.wait_live()
        assert len(proxy.writes) == 2
        assert await daemon.stop() == 0


async def test_two_users_have_a_space_each(session_bot, make_user):
    onboarded_users = [await onboard(await make_user(), session_bot.user_id) for _ in range(2)]
    assert (
        len({room for onboarded in onboarded_users for room in (onboarded.space, onboarded.chat)})
        == 4
    )
    for onboarded, other in (onboarded_users, onboarded_users[::-1]):
        assert other.user.user_id not in await onboarded.user.members(onboarded.space)
        assert other.user.user_id not in await onboarded.user.members(onboarded.chat)
