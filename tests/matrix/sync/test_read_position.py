"""A bot without a database answers exactly the unanswered messages after its read position (contract D12)."""

import pytest

from machines.events.matrix import BegunPart, MemberChanged, MessageArrived
from machines.events.orders import CreateRoom, Done, JoinRoom, RoomCreated, SendMessage
from machines.ids import EventId, RoomId, TxnId, UserId
from matrix import MatrixClient
from matrix.http.nio_backend import NioBackend

pytestmark = pytest.mark.anyio


@pytest.fixture
async def chat(bot, person):
    outcome = await bot.perform(CreateRoom("c", "Chat", UserId(person.user_id)), TxnId("c"))
    assert isinstance(outcome, RoomCreated)
    await person.join(outcome.room_id)
    return outcome.room_id


async def messages_left(open_bot) -> list[MessageArrived]:
    batch, _ = await (await open_bot()).initial_sync(None)
    return [each for each in batch.events if isinstance(each, MessageArrived)]


async def left_open(open_bot) -> list[str]:
    return [each.event_id for each in await messages_left(open_bot)]


async def send(bot, chat: RoomId, txn_id: str, **marks) -> EventId:
    outcome = await bot.perform(SendMessage(chat, "an answer", **marks), TxnId(txn_id))
    assert isinstance(outcome, Done)
    assert outcome.event_id is not None
    return outcome.event_id


async def test_messages_up_to_the_read_position_are_settled(bot, open_bot, person, chat):
    first, second, third = [await person.send_text(chat, str(n)) for n in range(3)]
    assert await left_open(open_bot) == [first, second, third]
    await bot.mark_read(chat, EventId(third), EventId(second))
    assert await left_open(open_bot) == [third]


async def test_messages_with_an_answer_are_settled(bot, open_bot, person, chat):
    first, second = [EventId(await person.send_text(chat, str(n))) for n in range(2)]
    await send(bot, chat, "t", answers=first)
    assert await left_open(open_bot) == [second]


@pytest.mark.parametrize(
    "behind",
    [
        {"msgtype": "m.notice", "body": "a notice"},
        {"msgtype": "m.text", "body": "* x", "m.relates_to": {"rel_type": "m.replace"}},
        {"msgtype": "m.key.verification.request", "body": "verify"},
    ],
    ids=["notice", "edit", "verification"],
)
async def test_a_question_before_an_event_without_answer_is_left_to_answer(
    open_bot, person, chat, behind
):
    asked = await person.send_text(chat, "a question")
    await person.send_event(chat, "m.room.message", behind)
    assert await left_open(open_bot) == [asked]


async def test_an_incomplete_answer_does_not_settle_a_message(bot, open_bot, person, chat):
    asked = EventId(await person.send_text(chat, "a question"))
    reply = await send(bot, chat, "t-1", answers=asked, partial=True)
    assert await left_open(open_bot) == [asked]
    await send(bot, chat, "t-2", answers=asked, edits=TxnId("t-1"), edits_event_id=reply)
    assert await left_open(open_bot) == []


async def test_an_answer_with_an_incomplete_last_part_does_not_settle_a_message(
    bot, open_bot, person, chat
):
    asked = EventId(await person.send_text(chat, "a long question"))
    await send(bot, chat, "t-1", answers=asked, part=1)
    await send(bot, chat, "t-2", answers=asked, part=2, partial=True)
    assert await left_open(open_bot) == [asked]


async def test_a_forged_answer_does_not_settle_a_message(open_bot, person, chat):
    asked = await person.send_text(chat, "a question")
    forged = await person.send_text(chat, "x", **{"org.lambda.surfaces.answers": asked})
    assert await left_open(open_bot) == [asked, forged]


async def test_the_parts_of_an_incomplete_answer_come_in_order_with_their_edits(
    bot, open_bot, person, chat
):
    asked = EventId(await person.send_text(chat, "a long question"))
    second = await send(bot, chat, "t-2", answers=asked, part=2, partial=True)
    first = await send(bot, chat, "t-1", answers=asked, part=1, partial=True)
    for number in range(3):
        edit = TxnId(f"e-{number}")
        await send(bot, chat, edit, answers=asked, edits=TxnId("t-1"), edits_event_id=first)
    (left,) = await messages_left(open_bot)
    assert left.begun == (BegunPart(first, edits=3), BegunPart(second, edits=0))


async def test_a_long_backlog_is_read_back_to_the_read_position(bot, open_bot, person, chat):
    position = EventId(await person.send_text(chat, "finished"))
    await bot.mark_read(chat, position, position)
    sent = [await person.send_text(chat, str(number)) for number in range(230)]
    assert await left_open(open_bot) == sent


async def test_messages_before_the_join_are_not_answered(bot, open_bot, person, account):
    room = RoomId(await person.create_room(invite=[account.user_id]))
    await person.send_text(room, "before")
    await bot.perform(JoinRoom(room), TxnId("j"))
    after = await person.send_text(room, "after")
    assert await left_open(open_bot) == [after]


async def test_who_wrote_and_left_is_known_to_have_left(bot, open_bot, person, account):
    room = RoomId(await person.create_room(invite=[account.user_id]))
    await bot.perform(JoinRoom(room), TxnId("j"))
    await person.send_text(room, "!chats")
    await person.leave(room)
    batch, _ = await (await open_bot()).initial_sync(None)
    left = [each for each in batch.events if isinstance(each, MemberChanged)]
    assert [(each.user_id, each.membership) for each in left] == [(person.user_id, "leave")]


async def test_rooms_with_nothing_new_cost_no_request(bot, account, person, chat):
    asked = EventId(await person.send_text(chat, "a question"))
    await send(bot, chat, "t", answers=asked)
    await bot.mark_read(chat, asked, asked)
    paths: list[str] = []
    backend = NioBackend(account.homeserver)

    async def recording(request):
        paths.append(request.path.rpartition("/")[2])
        return await backend(request)

    fresh = MatrixClient(account, on_change=lambda up, reason, outage_s: None, backend=recording)
    try:
        await fresh.login()
        await fresh.initial_sync(None)
    finally:
        await backend.aclose()
    assert paths == ["whoami", "sync"]
