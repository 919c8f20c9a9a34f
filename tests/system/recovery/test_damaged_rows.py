"""A start repairs what is damaged in the local tables, and keeps what is valid (contracts C1, C6, R2)."""

import pytest

pytestmark = pytest.mark.anyio

# Each is for another chat; `?` is its room, `!` the owner of another chat, `#` the context of another chat.
DAMAGE = (
    "UPDATE rooms SET state = 'unregistered', reason = 'broken' WHERE room_id = ?",
    "UPDATE rooms SET state = 'failed', reason = 'broken' WHERE room_id = ?",
    "UPDATE rooms SET state = 'reconciling', reason = 'broken' WHERE room_id = ?",
    "DELETE FROM rooms WHERE room_id = ?",
    "UPDATE rooms SET matrix_user_id = '@nobody:localhost' WHERE room_id = ?",
    "UPDATE rooms SET space_id = '!nowhere' WHERE room_id = ?",
    "UPDATE rooms SET chat_id = 'C77', platform_chat_id = '7777' WHERE room_id = ?",
    "UPDATE rooms SET chat_id = NULL, platform_chat_id = NULL, agent_id = NULL WHERE room_id = ?",
    "UPDATE rooms SET agent_id = 'somebody-else' WHERE room_id = ?",
    "UPDATE rooms SET archived = 1 - archived WHERE room_id = ?",
    "UPDATE rooms SET room_type = 'entry' WHERE room_id = ?",
    "UPDATE rooms SET room_type = NULL, matrix_user_id = NULL, name = '' WHERE room_id = ?",
)


async def test_a_start_repairs_every_kind_of_damage_to_the_row_of_a_chat(setup):
    internals = setup.internals
    before = await internals.values()
    for statement, chat in zip(DAMAGE, setup.chats, strict=True):
        internals.damage(statement, chat)
    report = await internals.start()
    after = await internals.values()
    for statement, chat in zip(DAMAGE, setup.chats, strict=True):
        assert after.get(chat) == before[chat], statement
    # The Spaces and entry rooms were valid, and stayed as they were.
    assert (report["rooms_recovered"], report["rooms_unchanged"]) == (12, 6)
    assert report["backfilled"] == 0
    for room in (await internals.rooms()).values():
        if room["room_id"] in after:
            last = room["transitions"][-1]
            assert (last["event"], last["target"]) == ("topology_confirmed", "bound")
            assert last["reason"]
            assert last["reason"] == room["reason"]
    assert await internals.bot.daemon.stop() == 0


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM rooms",
        "DELETE FROM users",
        "UPDATE users SET next_chat_index = 1, space_id = NULL",
        "UPDATE bot SET platform_chat_seq = 0",
        "UPDATE rooms SET state = 'failed'",
    ],
)
async def test_a_start_restores_deleted_tables(setup, statement):
    internals = setup.internals
    before = await internals.values()
    users = "SELECT user_id, space_id, next_chat_index FROM users ORDER BY 1"
    counters = internals.query(users), internals.query("SELECT platform_chat_seq FROM bot")
    internals.damage(statement)
    await internals.start()
    assert await internals.bot.daemon.stop() == 0
    assert await internals.values() == before
    assert internals.query(users) == counters[0]
    highest = max(int(each["platform_chat_id"]) for each in before.values())
    assert internals.query("SELECT platform_chat_seq FROM bot")[0][0] >= highest


async def test_a_room_the_bot_is_no_longer_in_is_unregistered_with_the_reason(setup):
    internals = setup.internals
    row = "INSERT INTO rooms (room_id, state, since, reason, room_type, matrix_user_id)"
    internals.damage(f"{row} VALUES ('!gone', 'bound', 1, 'as ever', 'entry', '@a:localhost')")
    try:
        await internals.start()
        gone = await internals.inspect("!gone")
        assert (gone["state"], gone["reason"]) == (
            "unregistered",
            "the bot is no longer in the room",
        )
        (last,) = gone["transitions"]
        assert (last["event"], last["source"], last["target"]) == (
            "bot_removed",
            "bound",
            "unregistered",
        )
    finally:
        await internals.bot.daemon.stop()
        internals.damage("DELETE FROM rooms WHERE room_id = '!gone'")
