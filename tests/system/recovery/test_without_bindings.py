"""Rooms that nothing but the topology tells of are numbered by one rule, each time the same (contracts C3, C4)."""

import pytest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def kept(town):
    """All bindings, put back at the end: the town is whole again."""
    rooms = [*town.chats]
    for neighbour in town.neighbours:
        rooms += [neighbour.home.space, neighbour.home.entry]
    kept = await town.backstage.bindings(*rooms)
    yield kept
    town.proxy.clear_fault()
    await town.backstage.bot.daemon.kill()
    for room, content in kept.items():
        await town.backstage.bind(room, content)
    town.backstage.lose_database()
    await town.backstage.start()
    await town.backstage.bot.daemon.stop()
    assert await town.backstage.bindings(*rooms) == kept


async def by_creation(town) -> list[str]:
    """Return the chats in the order of the rule: creation time, then room id."""
    made = []
    async with town.backstage.account() as account:
        for chat in town.chats:
            state = await account.room_state(chat)
            (create,) = [event for event in state if event.type == "m.room.create"]
            made.append((create.sent_at_ms, chat))
    return [chat for _, chat in sorted(made)]


async def made_at_ms(town, room: str) -> int:
    """Return when the homeserver made a room."""
    async with town.backstage.account() as account:
        state = await account.room_state(room)
    (create,) = [event for event in state if event.type == "m.room.create"]
    return int(create.sent_at_ms)


async def test_two_cold_starts_without_any_binding_give_the_same_values(town, kept):
    backstage = town.backstage
    seen = []
    for _ in range(2):
        backstage.lose_database()
        for room in kept:
            await backstage.bind(room, {})
        report = await backstage.start()
        assert await backstage.bot.daemon.stop() == 0
        assert (report["backfilled"], report["rooms_recovered"]) == (len(kept), len(kept))
        assert (report["conflicts"], report["skipped"]) == ([], [])
        seen.append((await backstage.values(), await backstage.bindings(*kept)))
    assert seen[0] == seen[1]
    values, bindings = seen[0]
    order = await by_creation(town)
    # No number is known any more: the first is the time at which its room was made (A5).
    first = await made_at_ms(town, order[0])
    numbers = [values[chat]["platform_chat_id"] for chat in order]
    assert numbers == [str(first + n) for n in range(12)]
    for neighbour in town.neighbours:
        owner = neighbour.home.person.user_id
        mine = [chat for chat in order if values[chat]["matrix_user_id"] == owner]
        assert mine == list(neighbour.chats)
        assert [values[chat]["chat_id"] for chat in mine] == ["C1", "C2", "C3", "C4"]
        for room in (neighbour.home.space, neighbour.home.entry):
            assert bindings[room]["matrix_user_id"] == owner


async def test_rooms_without_a_binding_come_after_all_numbers_that_are_known(town, kept):
    backstage = town.backstage
    before = await backstage.values()
    ann, bob = town.neighbours[:2]
    blanked = [ann.chats[0], ann.renamed, bob.chats[0]]
    highest = max(
        int(each["platform_chat_id"]) for chat, each in before.items() if chat not in blanked
    )
    backstage.lose_database()
    for chat in blanked:
        await backstage.bind(chat, {})
    report = await backstage.start()
    assert report["backfilled"] == len(blanked)
    values = await backstage.values()
    order = [chat for chat in await by_creation(town) if chat in blanked]
    assert [values[chat]["platform_chat_id"] for chat in order] == [
        str(highest + n) for n in (1, 2, 3)
    ]
    assert values[ann.chats[0]]["chat_id"] == "C4"
    assert values[ann.renamed]["chat_id"] == "C5"
    assert values[bob.chats[0]]["chat_id"] == "C5"
    assert {chat: values[chat] for chat in values if chat not in blanked} == {
        chat: before[chat] for chat in before if chat not in blanked
    }


async def test_a_space_that_several_people_may_own_is_a_conflict_and_nothing_is_guessed(
    town, kept, make_person
):
    backstage = town.backstage
    space = town.neighbours[0].home.space
    async with backstage.account() as account:
        other = await make_person()
        await account.invite(space, other.user_id)
        backstage.lose_database()
        await backstage.bind(space, {})
        report = await backstage.start()
        assert [each["room_id"] for each in report["conflicts"]] == [space]
        assert "2 members" in report["conflicts"][0]["reason"]
        assert set(town.neighbours[0].chats) <= {each["room_id"] for each in report["skipped"]}
        assert all(each["reason"] for each in report["skipped"])
        lost = {space, *town.neighbours[0].chats}
        assert set(await backstage.values()) == set(town.chats) - lost
        bindings = await backstage.bindings(space)
        assert not bindings[space]
        await account.kick(space, other.user_id)
