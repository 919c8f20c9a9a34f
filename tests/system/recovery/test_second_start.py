"""A start that finds nothing changed changes nothing, and no start ever makes or changes a room (contracts C5, L7)."""

import json
import secrets

import pytest

pytestmark = pytest.mark.anyio


async def snapshot(town):
    """Return all that the bot can see of the world: events, members, account data, devices."""
    async with town.backstage.account() as account:
        rooms = sorted(await account.joined_rooms())
        events = {
            room: [event.event_id for event in await account.messages(room)] for room in rooms
        }
        members = {room: await account.members(room) for room in rooms}
        # Different each time: Synapse gives the same answer again for two minutes.
        only = {
            "presence": {"not_types": ["*", secrets.token_hex(8)]},
            "room": {"timeline": {"limit": 1}, "ephemeral": {"not_types": ["*"]}},
        }
        sync = await account.session.request("GET", "/sync", params={"filter": json.dumps(only)})
        private = {room: sync["rooms"]["join"][room]["account_data"] for room in rooms}
        devices = [device["device_id"] for device in await account.devices()]
        return events, members, private, sync["account_data"], devices


@pytest.mark.parametrize("cold", [False, True], ids=["with its database", "without"])
async def test_a_second_start_writes_nothing(town, cold):
    backstage, daemon = town.backstage, town.backstage.bot.daemon
    if cold:
        backstage.lose_database()
    await backstage.start()
    assert await daemon.stop() == 0
    before, rows = await snapshot(town), backstage.rows()
    asked = len(town.proxy.requests)
    report = await backstage.start()
    assert await daemon.stop() == 0
    assert [str(each) for each in town.proxy.requests[asked:] if each.write] == []
    assert (report["rooms_recovered"], report["backfilled"]) == (0, 0)
    assert report["rooms_unchanged"] == 18
    assert backstage.rows() == rows
    assert await snapshot(town) == before


async def test_a_start_without_a_database_reads_and_nothing_else(town):
    town.backstage.lose_database()
    before = await snapshot(town)
    asked = len(town.proxy.requests)
    await town.backstage.start()
    await town.backstage.bot.daemon.stop()
    requests = town.proxy.requests[asked:]
    assert requests
    assert [str(each) for each in requests if each.write] == []
    assert await snapshot(town) == before


async def test_a_start_that_has_bindings_to_write_writes_those_alone(town):
    backstage, chat = town.backstage, town.chats[0]
    content = (await backstage.bindings(chat))[chat]
    await backstage.bind(chat, content | {"space_id": None})
    before = await snapshot(town)
    asked = len(town.proxy.requests)
    await backstage.start()
    await backstage.bot.daemon.stop()
    (write,) = [each for each in town.proxy.requests[asked:] if each.write]
    assert write.method == "PUT"
    assert write.path.endswith("/account_data/org.lambda.surfaces.room")
    after = await snapshot(town)
    assert after[:2] == before[:2]
    assert await backstage.bindings(chat) == {chat: content}
