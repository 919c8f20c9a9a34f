"""A start that finds nothing changed changes nothing, and no start creates or changes a room (contracts C5, L7)."""

import json
import secrets

import pytest

pytestmark = pytest.mark.anyio


async def snapshot(setup):
    """Return everything that the bot can see on the homeserver: events, members, account data, devices."""
    async with setup.internals.account() as account:
        rooms = sorted(await account.joined_rooms())
        events = {
            room: [event.event_id for event in await account.messages(room)] for room in rooms
        }
        members = {room: await account.members(room) for room in rooms}
        # Different each time, because Synapse caches a response for two minutes.
        only = {
            "presence": {"not_types": ["*", secrets.token_hex(8)]},
            "room": {"timeline": {"limit": 1}, "ephemeral": {"not_types": ["*"]}},
        }
        sync = await account.request("GET", "/sync", params={"filter": json.dumps(only)})
        private = {room: sync["rooms"]["join"][room]["account_data"] for room in rooms}
        devices = [device["device_id"] for device in await account.devices()]
        return events, members, private, sync["account_data"], devices


@pytest.mark.parametrize("cold", [False, True], ids=["with its database", "without"])
async def test_a_second_start_writes_nothing(setup, cold):
    internals, daemon = setup.internals, setup.internals.bot.daemon
    if cold:
        internals.lose_database()
    await internals.start()
    assert await daemon.stop() == 0
    before, rows = await snapshot(setup), internals.rows()
    asked = len(setup.proxy.requests)
    report = await internals.start()
    assert await daemon.stop() == 0
    assert [str(each) for each in setup.proxy.requests[asked:] if each.write] == []
    assert (report["rooms_recovered"], report["backfilled"]) == (0, 0)
    assert report["rooms_unchanged"] == 18
    assert internals.rows() == rows
    assert await snapshot(setup) == before


async def test_a_start_without_a_database_reads_and_nothing_else(setup):
    setup.internals.lose_database()
    before = await snapshot(setup)
    asked = len(setup.proxy.requests)
    await setup.internals.start()
    await setup.internals.bot.daemon.stop()
    passages = setup.proxy.requests[asked:]
    assert passages
    assert [str(each) for each in passages if each.write] == []
    assert await snapshot(setup) == before


async def test_a_start_that_has_bindings_to_write_writes_those_alone(setup):
    internals, chat = setup.internals, setup.chats[0]
    content = (await internals.bindings(chat))[chat]
    await internals.bind(chat, content | {"space_id": None})
    before = await snapshot(setup)
    asked = len(setup.proxy.requests)
    await internals.start()
    await internals.bot.daemon.stop()
    (write,) = [each for each in setup.proxy.requests[asked:] if each.write]
    assert write.method == "PUT"
    assert write.path.endswith("/account_data/org.lambda.surfaces.room")
    after = await snapshot(setup)
    assert after[:2] == before[:2]
    assert await internals.bindings(chat) == {chat: content}
