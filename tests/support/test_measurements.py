"""The control endpoints of the homeserver in memory create chats, and count and measure replies."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sandbox.room_event import ANSWERS
from tests.support.matrix_user import MatrixUser
from tests.support.memory_homeserver.process import MemoryHomeserver

BOT = "@bot:localhost"


@pytest.fixture
async def memory_server() -> AsyncIterator[MemoryHomeserver]:
    async with MemoryHomeserver() as server:
        yield server


async def sync(user: MatrixUser, since: str = "", **wanted: Any) -> Any:
    params = {"timeout": "0", "filter": json.dumps(wanted)} | ({"since": since} if since else {})
    return await user.request("GET", "/sync", params=params)


async def test_rooms_are_created_as_the_bot_creates_them(memory_server: MemoryHomeserver) -> None:
    created = await memory_server.populate(BOT, users=2, chats=2)
    assert [len(user["rooms"]) for user in created] == [2, 2]
    space_id, (first, second) = created[0]["space_id"], created[0]["rooms"]
    async with MatrixUser(memory_server.url, BOT) as bot:
        assert {space_id, first, second} < set(await bot.joined_rooms())
        child = await bot.state_content(space_id, "m.space.child", first)
        assert child == {"via": ["localhost"]}
        binding = await bot.account_data("org.lambda.surfaces.room", second)
        assert binding is not None
        assert binding["chat_id"] == "C2"
        assert binding["space_id"] == space_id
        assert binding["matrix_user_id"] == created[0]["user_id"]
        numbers = set()
        for room in created[0]["rooms"] + created[1]["rooms"]:
            binding = await bot.account_data("org.lambda.surfaces.room", room)
            assert binding is not None
            numbers.add(binding["platform_chat_id"])
    assert len(numbers) == 4


async def test_replies_are_counted_by_their_room(memory_server: MemoryHomeserver) -> None:
    (user,) = await memory_server.populate(BOT, users=1, chats=5)
    async with MatrixUser(memory_server.url, BOT) as bot:
        since = (await sync(bot))["next_batch"]
        everyone = await memory_server.stats()
        assert everyone["injected"] == 0
        await memory_server.inject(5)
        joined = (await sync(bot, since, room={"timeline": {"limit": 50}}))["rooms"]["join"]
        asked = [
            (room, event["event_id"])
            for room, part in joined.items()
            for event in part["timeline"]["events"]
        ]
        assert len(asked) == 5
        (room_a, one), (room_b, two), (room_c, three) = asked[:3]
        await bot.send_text(room_a, "whole", **{ANSWERS: one})
        draft = {ANSWERS: two, "org.lambda.surfaces.partial": True}
        reply = await bot.send_text(room_b, "dra", **draft)
        assert (await memory_server.stats())["finished"] == 1
        relation = {"rel_type": "m.replace", "event_id": reply}
        edit = {"m.relates_to": relation, "m.new_content": {"body": "draft", ANSWERS: two}}
        await bot.send_text(room_b, "* draft", **edit)
        await bot.send_text(room_c, "one", **{ANSWERS: three})
        await bot.send_text(room_c, "two", **{ANSWERS: three})
        other_room = next(room for room, _ in asked if room != room_a)
        await bot.send_text(other_room, "lost", **{ANSWERS: one})
    numbers = await memory_server.wait_finished(3, timeout_s=5)
    assert numbers["answered"] == 3
    assert numbers["finished"] == 3
    assert numbers["edits"] == 1
    assert numbers["more_than_one_reply"] == 1
    assert numbers["wrong_room"] == 1
    assert numbers["finished_ms"]["p99"] > 0
    assert (await memory_server.stats(rooms=True))["rooms"][room_c] == 2
    assert (await memory_server.stats(rooms=True))["rooms"].keys() == set(user["rooms"])


async def test_owners_write_in_turn_and_replies_out_of_order_are_counted() -> None:
    async with MemoryHomeserver() as memory_server:
        (user,) = await memory_server.populate(BOT, users=1, chats=2)
        async with MatrixUser(memory_server.url, BOT) as bot:
            since = (await sync(bot))["next_batch"]
            for _ in range(4):
                await memory_server.inject(1)
            joined = (await sync(bot, since))["rooms"]["join"]
            asked = {
                room_id: [event["event_id"] for event in joined[room_id]["timeline"]["events"]]
                for room_id in user["rooms"]
            }
            assert [len(events) for events in asked.values()] == [2, 2]
            first_room, second_room = user["rooms"]
            for event_id in asked[first_room]:
                await bot.send_text(first_room, "in order", **{ANSWERS: event_id})
            assert (await memory_server.stats())["out_of_order"] == 0
            for event_id in reversed(asked[second_room]):
                await bot.send_text(second_room, "backwards", **{ANSWERS: event_id})
        assert (await memory_server.stats())["out_of_order"] == 1


async def test_a_flooded_room_is_measured_apart_from_the_others() -> None:
    async with MemoryHomeserver() as memory_server:
        (user,) = await memory_server.populate(BOT, users=1, chats=3)
        async with MatrixUser(memory_server.url, BOT) as bot:
            since = (await sync(bot))["next_batch"]
            await memory_server.inject(4, rooms=1)
            await memory_server.inject(2, first=1)
            joined = (await sync(bot, since))["rooms"]["join"]
            asked = [
                [event["event_id"] for event in joined[room_id]["timeline"]["events"]]
                for room_id in user["rooms"]
            ]
            assert [len(events) for events in asked] == [4, 1, 1]
            for room_id, events in reversed(list(zip(user["rooms"], asked, strict=True))):
                for event_id in events:
                    await bot.send_text(room_id, "here", **{ANSWERS: event_id})
        everything = await memory_server.wait_finished(6)
        others = await memory_server.wait_finished(6, since=4)
        assert everything["answered"] == others["answered"] == 6
        # The flood was answered last.
        assert others["first_reply_ms"]["p100"] < everything["first_reply_ms"]["p100"]
        assert others["seconds"] < everything["seconds"]
