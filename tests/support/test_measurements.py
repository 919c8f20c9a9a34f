"""The control endpoints of the homeserver in memory: what they create, count and measure."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from sandbox.room_event import ANSWERS
from tests.support.matrix_user import MatrixUser
from tests.support.memory_homeserver.process import MemoryHomeserver

BOT = "@bot:localhost"


@pytest.fixture(scope="module")
async def chat_context() -> AsyncIterator[MemoryHomeserver]:
    async with MemoryHomeserver() as server:
        yield server


async def sync(user: MatrixUser, since: str = "", **wanted: Any) -> Any:
    params = {"timeout": "0", "filter": json.dumps(wanted)} | ({"since": since} if since else {})
    return await user.request("GET", "/sync", params=params)


async def test_rooms_are_created_as_the_bot_creates_them(chat_context: MemoryHomeserver) -> None:
    made = await chat_context.populate(BOT, users=2, chats=2)
    assert [len(user["rooms"]) for user in made] == [2, 2]
    space_id, (first, second) = made[0]["space_id"], made[0]["rooms"]
    async with MatrixUser(chat_context.url, BOT) as bot:
        assert {space_id, first, second} < set(await bot.joined_rooms())
        child = await bot.state_content(space_id, "m.space.child", first)
        assert child == {"via": ["localhost"]}
        binding = await bot.account_data("org.lambda.surfaces.room", second)
        assert binding is not None
        assert binding["chat_id"] == "C2"
        assert binding["space_id"] == space_id
        assert binding["matrix_user_id"] == made[0]["user_id"]
        numbers = set()
        for room in made[0]["rooms"] + made[1]["rooms"]:
            binding = await bot.account_data("org.lambda.surfaces.room", room)
            assert binding is not None
            numbers.add(binding["platform_chat_id"])
    assert len(numbers) == 4


async def test_replies_are_counted_by_their_room(chat_context: MemoryHomeserver) -> None:
    (user,) = await chat_context.populate(BOT, users=1)
    (room_id,) = user["rooms"]
    await chat_context.reset()
    async with MatrixUser(chat_context.url, BOT) as bot:
        since = (await sync(bot))["next_batch"]
        everyone = await chat_context.stats()
        assert everyone["injected"] == 0
        await chat_context.inject(5)
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
        assert (await chat_context.stats())["finished"] == 1
        relation = {"rel_type": "m.replace", "event_id": reply}
        edit = {"m.relates_to": relation, "m.new_content": {"body": "draft", ANSWERS: two}}
        await bot.send_text(room_b, "* draft", **edit)
        await bot.send_text(room_c, "one", **{ANSWERS: three})
        await bot.send_text(room_c, "two", **{ANSWERS: three})
        other_room = next(room for room, _ in asked if room != room_a)
        await bot.send_text(other_room, "lost", **{ANSWERS: one})
    numbers = await chat_context.wait_finished(3, timeout_s=5)
    assert numbers["answered"] == 3
    assert numbers["finished"] == 3
    assert numbers["edits"] == 1
    assert numbers["more_than_one_reply"] == 1
    assert numbers["wrong_room"] == 1
    assert numbers["finished_ms"]["p99"] > 0
    assert (await chat_context.stats(rooms=True))["rooms"][room_c] == 2
    assert room_id in (await chat_context.stats(rooms=True))["rooms"]


async def test_owners_write_in_turn_and_replies_out_of_order_are_counted() -> None:
    async with MemoryHomeserver() as chat_context:
        (user,) = await chat_context.populate(BOT, users=1, chats=2)
        async with MatrixUser(chat_context.url, BOT) as bot:
            since = (await sync(bot))["next_batch"]
            for _ in range(4):
                await chat_context.inject(1)
            joined = (await sync(bot, since))["rooms"]["join"]
            asked = {
                room_id: [event["event_id"] for event in joined[room_id]["timeline"]["events"]]
                for room_id in user["rooms"]
            }
            assert [len(events) for events in asked.values()] == [2, 2]
            first_room, second_room = user["rooms"]
            for event_id in asked[first_room]:
                await bot.send_text(first_room, "in order", **{ANSWERS: event_id})
            assert (await chat_context.stats())["out_of_order"] == 0
            for event_id in reversed(asked[second_room]):
                await bot.send_text(second_room, "backwards", **{ANSWERS: event_id})
        assert (await chat_context.stats())["out_of_order"] == 1


async def test_a_flooded_room_is_measured_apart_from_the_others() -> None:
    async with MemoryHomeserver() as chat_context:
        (user,) = await chat_context.populate(BOT, users=1, chats=3)
        async with MatrixUser(chat_context.url, BOT) as bot:
            since = (await sync(bot))["next_batch"]
            await chat_context.inject(4, rooms=1)
            await chat_context.inject(2, first=1)
            joined = (await sync(bot, since))["rooms"]["join"]
            asked = [
                [event["event_id"] for event in joined[room_id]["timeline"]["events"]]
                for room_id in user["rooms"]
            ]
            assert [len(events) for events in asked] == [4, 1, 1]
            for room_id, events in reversed(list(zip(user["rooms"], asked, strict=True))):
                for event_id in events:
                    await bot.send_text(room_id, "here", **{ANSWERS: event_id})
        everything = await chat_context.wait_finished(6)
        others = await chat_context.wait_finished(6, since=4)
        assert everything["answered"] == others["answered"] == 6
        # The flood was answered last.
        assert others["first_reply_ms"]["p100"] < everything["first_reply_ms"]["p100"]
        assert others["seconds"] < everything["seconds"]
