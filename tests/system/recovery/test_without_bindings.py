"""Rooms that only the topology shows are numbered by one rule, with the same result each time (contracts C3, C4)."""

import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kept(setup):
    """All bindings, restored at the end."""
    rooms = [*setup.chats]
    for user in setup.users:
        rooms += [user.onboarded.space, user.onboarded.entry]
    kept = await setup.internals.bindings(*rooms)
    yield kept
    setup.proxy.clear_fault()
    await setup.internals.bot.daemon.kill()
    for room, content in kept.items():
        await setup.internals.bind(room, content)
    setup.internals.lose_database()
    await setup.internals.start()
    await setup.internals.bot.daemon.stop()
    assert await setup.internals.bindings(*rooms) == kept


async def by_creation(setup) -> list[str]:
    """Return the chats in the order of the rule: creation time, then room id."""
    created = []
    async with setup.internals.account() as account:
        for chat in setup.chats:
            state = await account.room_state(chat)
            (create,) = [event for event in state if event.type == "m.room.create"]
            created.append((create.sent_at_ms, chat))
    return [chat for _, chat in sorted(created)]


async def created_at_ms(setup, room: str) -> int:
    """Return when the homeserver created a room."""
    async with setup.internals.account() as account:
        state = await account.room_state(room)
    (create,) = [event for event in state if event.type == "m.room.create"]
    return int(create.sent_at_ms)


async def test_two_cold_starts_without_any_binding_give_the_same_values(setup, kept):
    internals = setup.internals
    seen = []
    for _ in range(2):
        internals.lose_database()
        for room in kept:
            await internals.bind(room, {})
        report = await internals.start()
        assert await internals.bot.daemon.stop() == 0
        assert (report["backfilled"], report["rooms_recovered"]) == (len(kept), len(kept))
        assert (report["conflicts"], report["skipped"]) == ([], [])
        seen.append((await internals.values(), await internals.bindings(*kept)))
    assert seen[0] == seen[1]
    values, bindings = seen[0]
    order = await by_creation(setup)
    # No number is known any more, so that the first is the creation time of its room (A5).
    first = await created_at_ms(setup, order[0])
    numbers = [values[chat]["platform_chat_id"] for chat in order]
    assert numbers == [str(first + n) for n in range(12)]
    for user in setup.users:
        owner = user.onboarded.user.user_id
        mine = [chat for chat in order if values[chat]["matrix_user_id"] == owner]
        assert mine == list(user.chats)
        assert [values[chat]["chat_id"] for chat in mine] == ["C1", "C2", "C3", "C4"]
        for room in (user.onboarded.space, user.onboarded.entry):
            assert bindings[room]["matrix_user_id"] == owner


async def test_rooms_without_a_binding_come_after_all_numbers_that_are_known(setup, kept):
    internals = setup.internals
    before = await internals.values()
    ann, bob = setup.users[:2]
    blanked = [ann.chats[0], ann.renamed, bob.chats[0]]
    highest = max(
        int(each["platform_chat_id"]) for chat, each in before.items() if chat not in blanked
    )
    internals.lose_database()
    for chat in blanked:
        await internals.bind(chat, {})
    report = await internals.start()
    assert report["backfilled"] == len(blanked)
    values = await internals.values()
    order = [chat for chat in await by_creation(setup) if chat in blanked]
    assert [values[chat]["platform_chat_id"] for chat in order] == [
        str(highest + n) for n in (1, 2, 3)
    ]
    assert values[ann.chats[0]]["chat_id"] == "C4"
    assert values[ann.renamed]["chat_id"] == "C5"
    assert values[bob.chats[0]]["chat_id"] == "C5"
    assert {chat: values[chat] for chat in values if chat not in blanked} == {
        chat: before[chat] for chat in before if chat not in blanked
    }


async def test_a_space_that_several_users_may_own_is_a_conflict(setup, kept, make_user):
    internals = setup.internals
    space = setup.users[0].onboarded.space
    async with internals.account() as account:
        other = await make_user()
        await account.invite(space, other.user_id)
        internals.lose_database()
        await internals.bind(space, {})
        report = await internals.start()
        assert [each["room_id"] for each in report["conflicts"]] == [space]
        assert "2 members" in report["conflicts"][0]["reason"]
        assert set(setup.users[0].chats) <= {each["room_id"] for each in report["skipped"]}
        assert all(each["reason"] for each in report["skipped"])
        lost = {space, *setup.users[0].chats}
        assert set(await internals.values()) == set(setup.chats) - lost
        bindings = await internals.bindings(space)
        assert not bindings[space]
        await account.kick(space, other.user_id)
