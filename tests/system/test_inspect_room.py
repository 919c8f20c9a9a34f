"""`inspect-room` beside a daemon that runs, was killed or stopped, and beside the homeserver (contract section 11)."""

import json

import anyio
import pytest

from sandbox.session import escaped
from tests.support.agent_script import Drop, End, Error, Text, Wait
from tests.support.matrix_user import MatrixUser
from tests.support.proxy import Cut
from tests.system.commands import command, files
from tests.system.users import answer_to, onboard

pytestmark = pytest.mark.anyio


def witness(bot, url):
    """Return the bot's own session."""
    session = json.loads((bot.daemon.directory / "matrix_store" / "session.json").read_text())
    return MatrixUser(url, bot.user_id, access_token=session["access_token"])


async def inspected(bot, *arguments):
    result = await command(bot, "inspect-room", "--json", *arguments)
    assert result.code == 0, result.err
    return result.json


async def test_a_turn_is_shown_in_progress_also_after_a_kill_and_done_at_its_end(
    make_bot, user, agent
):
    bot = await make_bot()
    await bot.daemon.start()
    await bot.daemon.wait_live()
    onboarded = await onboard(user, bot.user_id)
    go_on = anyio.Event()
    agent.script = lambda request: [Text("half an answer"), Wait(go_on), Text(", whole"), End()]
    message_id = await user.send_text(onboarded.chat, "what do you think?")
    reply = await user.wait_for(lambda event: event.answers == message_id)

    running = await inspected(bot, onboarded.chat)
    assert running["turn"]["turn_id"] == message_id
    assert (running["turn"]["state"], running["turn"]["tries"]) == ("streaming", 1)
    assert running["turn"]["reply_events"] == [reply.event_id]
    whole = await inspected(bot)
    assert (whole["bot"]["state"], whole["bot"]["running"]) == ("live", True)

    await bot.daemon.kill()
    left = files(bot.daemon.directory)
    assert await inspected(bot, onboarded.chat) == running
    whole = await inspected(bot)
    assert (whole["bot"]["state"], whole["bot"]["running"]) == ("live", False)
    assert files(bot.daemon.directory) == left

    await bot.daemon.start()
    await bot.daemon.wait_live()
    request = await agent.next_request()
    while request.message_id != message_id:
        request = await agent.next_request()
    assert (await inspected(bot, onboarded.chat))["turn"]["tries"] == 2
    go_on.set()
    await answer_to(user, onboarded.chat, message_id)

    assert await bot.daemon.stop() == 0
    left = files(bot.daemon.directory)
    stopped = await inspected(bot, onboarded.chat)
    assert (stopped["turn"], stopped["inbox_pending"], stopped["outbox_pending"]) == (None, 0, 0)
    assert (await inspected(bot))["bot"]["state"] == "stopped"
    assert files(bot.daemon.directory) == left


async def test_each_kind_of_room_shows_its_binding_and_how_it_came_to_be(onboarded, session_bot):
    found = {room["room_id"]: room for room in (await inspected(session_bot))["rooms"]}
    chat, space, entry = (
        found[room] for room in (onboarded.chat, onboarded.space, onboarded.entry)
    )
    for room, kind in ((chat, "chat"), (space, "space"), (entry, "entry")):
        assert (room["state"], room["room_type"]) == ("bound", kind)
        assert room["matrix_user_id"] == onboarded.user.user_id
        assert room["transitions"][-1]["target"] == "bound"
        assert room["transitions"][0]["source"] == "unregistered"
    assert (chat["chat_id"], chat["space_id"], chat["name"]) == ("C1", onboarded.space, "Chat 1")
    assert await inspected(session_bot, onboarded.chat) == chat


async def test_messages_behind_a_running_answer_are_shown_as_waiting(make_bot, user, agent):
    bot = await make_bot()
    await bot.daemon.start()
    await bot.daemon.wait_live()
    onboarded = await onboard(user, bot.user_id)
    agent.script = lambda request: [Text("thinking"), Wait(anyio.Event())]
    message_id = await user.send_text(onboarded.chat, "first")
    await user.wait_for(lambda event: event.answers == message_id)
    for text in ("second", "third"):
        await user.send_text(onboarded.chat, text)
    waiting = 0
    with anyio.fail_after(30):
        while waiting < 2:  # each inspection is a process and takes some time
            waiting = (await inspected(bot, onboarded.chat))["inbox_pending"]
    page = await command(bot, "inspect-room", onboarded.chat)
    assert "inbox           2" in page.out
    assert message_id in page.out


async def test_the_last_failed_turns_are_shown_with_their_fault_and_no_text(make_bot, user, agent):
    bot = await make_bot(AGENT_RETRY_S="1")
    await bot.daemon.start()
    await bot.daemon.wait_live()
    onboarded = await onboard(user, bot.user_id)
    secret = "cardamom"
    agent.script = lambda request: [Error("NO_SUCH_DISH", f"it was about {secret}")]
    refused = await user.send_text(onboarded.chat, secret)
    await answer_to(user, onboarded.chat, refused)
    agent.script = lambda request: [Text("half of it"), Drop()]
    broken = await user.send_text(onboarded.chat, secret)
    await answer_to(user, onboarded.chat, broken)
    await bot.daemon.kill()
    found = await inspected(bot, onboarded.chat)
    assert found["turn"] is None
    first, second = found["failed_turns"]
    assert (first["turn"], first["agent_id"], first["kind"]) == (refused, "default", "NO_SUCH_DISH")
    assert (second["turn"], second["kind"]) == (broken, "broken_off")
    page = (await command(bot, "inspect-room", onboarded.chat)).out
    assert "Last failed turns" in page
    assert f"{refused}  agent default  NO_SUCH_DISH" in page
    assert secret not in page + json.dumps(found)


async def test_the_owner_who_left_is_shown_and_nothing_else_changes(onboarded, session_bot):
    before = await inspected(session_bot, onboarded.chat)
    assert before["owner_present"] is True
    await onboarded.user.leave(onboarded.chat)
    after = before
    with anyio.fail_after(30):
        while after["owner_present"]:
            after = await inspected(session_bot, onboarded.chat)
    assert after == before | {"owner_present": False}
    assert "has left the room" in (await command(session_bot, "inspect-room", onboarded.chat)).out


async def test_a_room_is_found_by_number_name_and_alias_beside_a_running_daemon(
    make_bot, make_user, synapse
):
    bot = await make_bot()
    await bot.daemon.start()
    await bot.daemon.wait_live()
    anna, bert = [await onboard(await make_user(), bot.user_id) for _ in range(2)]
    alias = f"#{anna.chat[1:9].lower()}:localhost"
    async with witness(bot, synapse.url) as account:
        await account.request("PUT", f"/directory/room/{escaped(alias)}", {"room_id": anna.chat})
        devices = await account.devices()
        assert (await inspected(bot, alias))["room_id"] == anna.chat
        assert await account.devices() == devices
    for text in ("c1", "Chat 1"):
        ambiguous = await command(bot, "inspect-room", text)
        assert (ambiguous.code, ambiguous.err.count("\n")) == (2, 1)
        for each in (anna, bert):
            assert f"{each.chat} (C1, “Chat 1”, {each.user.user_id})" in ambiguous.err
            found = await inspected(bot, text, "--user", each.user.user_id)
            assert found["room_id"] == each.chat
    unknown = await command(bot, "inspect-room", "#nothing:localhost")
    assert unknown.code == 2
    assert "M_NOT_FOUND" in unknown.err


async def test_an_alias_is_refused_clearly_while_the_homeserver_is_away(make_bot, proxy):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    await bot.daemon.start()
    await bot.daemon.wait_live()
    await bot.daemon.stop()
    proxy.fault = lambda proxied: Cut()
    result = await command(bot, "inspect-room", "#any:localhost")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "does not answer" in result.err


async def test_the_nearest_of_all_rooms_is_named(onboarded, session_bot):
    result = await command(session_bot, "inspect-room", f"{onboarded.chat[:-1]}?")
    assert result.code == 2
    assert onboarded.chat in result.err


async def test_the_homeserver_is_compared_by_reading_alone(make_bot, proxy, synapse, user):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    await bot.daemon.start()
    await bot.daemon.wait_live()
    onboarded = await onboard(user, bot.user_id, name="Hello")
    assert await bot.daemon.stop() == 0
    session = json.loads((bot.daemon.directory / "matrix_store" / "session.json").read_text())
    async with MatrixUser(
        synapse.url, bot.user_id, access_token=session["access_token"]
    ) as account:
        devices = await account.devices()
        left = files(bot.daemon.directory)
        already = len(proxy.requests)
        for room in (onboarded.chat, onboarded.space, onboarded.entry):
            server = (await inspected(bot, room, "--server"))["server"]
            assert server["membership"] == "join"
            assert server["differences"] == []
            assert server["binding"]["matrix_user_id"] == user.user_id
        page = await command(bot, "inspect-room", onboarded.chat, "--server")
        assert "differences     none" in page.out
        assert {proxied.method for proxied in proxy.requests[already:]} == {"GET"}
        assert await account.devices() == devices
        assert files(bot.daemon.directory) == left

        await account.send_state(onboarded.chat, "m.room.name", {"name": "Renamed elsewhere"})
        await account.send_state(onboarded.space, "m.space.child", {}, onboarded.chat)
        await user.leave(onboarded.chat)
        server = (await inspected(bot, onboarded.chat, "--server"))["server"]
        assert {each["field"]: each["server"] for each in server["differences"]} == {
            "name": "Renamed elsewhere",
            "owner_membership": "leave",
            "child_link": {"sender": bot.user_id, "via": []},
        }

        await account.leave(onboarded.chat)
        server = (await inspected(bot, onboarded.chat, "--server"))["server"]
        assert [each["field"] for each in server["differences"]] == ["membership"]


async def test_a_session_that_has_ended_is_reported(make_bot, synapse, user):
    bot = await make_bot()
    await bot.daemon.start()
    await bot.daemon.wait_live()
    onboarded = await onboard(user, bot.user_id)
    assert await bot.daemon.stop() == 0
    session = json.loads((bot.daemon.directory / "matrix_store" / "session.json").read_text())
    async with MatrixUser(
        synapse.url, bot.user_id, access_token=session["access_token"]
    ) as account:
        await account.request("POST", "/logout", {})
    result = await command(bot, "inspect-room", onboarded.chat, "--server")
    assert result.code == 3
    assert "session" in result.err
    assert (await command(bot, "inspect-room", onboarded.chat)).code == 0
