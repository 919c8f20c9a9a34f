"""A message whose transaction id the homeserver may have forgotten is found in the room (contract D1, fact 7)."""

import time

import pytest

from machines.events.orders import CreateRoom, Done, RoomCreated, SendMessage
from machines.ids import TxnId, UserId

pytestmark = pytest.mark.anyio


@pytest.fixture
async def chat(bot, person):
    outcome = await bot.perform(CreateRoom("c", "Chat", UserId(person.user_id)), TxnId("c"))
    assert isinstance(outcome, RoomCreated)
    await person.join(outcome.room_id)
    return outcome.room_id


async def sent(bot, message, txn_id="t"):
    outcome = await bot.perform(message, TxnId(txn_id))
    assert isinstance(outcome, Done)
    return outcome.event_id


async def test_a_reply_is_found_by_its_question_and_its_part(bot, chat):
    now = time.time()
    first = SendMessage(chat, "one", answers="$question", part=1, partial=True)
    second = SendMessage(chat, "two", answers="$question", part=2)
    event_ids = [await sent(bot, first, "a"), await sent(bot, second, "b")]
    for message, event_id in zip((first, second), event_ids, strict=True):
        assert await bot.find_sent(message, now) == event_id
    assert await bot.find_sent(SendMessage(chat, "one", answers="$other"), now) is None
    assert await bot.find_sent(SendMessage(chat, "x", answers="$question", part=3), now) is None


async def test_a_notice_that_answers_nothing_is_found_by_its_text(bot, chat):
    welcome = SendMessage(chat, "Welcome!", notice=True)
    assert await bot.find_sent(welcome, time.time()) is None
    event_id = await sent(bot, welcome)
    assert await bot.find_sent(welcome, time.time()) == event_id


async def test_an_edit_or_a_message_of_somebody_else_is_not_found(bot, person, chat):
    now = time.time()
    first = await sent(bot, SendMessage(chat, "old", notice=True), "a")
    edit = SendMessage(chat, "new", notice=True, edits=TxnId("a"), edits_event_id=first)
    await sent(bot, edit, "b")
    await person.send_text(chat, "forged", **{"org.lambda.surfaces.answers": "$question"})
    assert await bot.find_sent(SendMessage(chat, "new", notice=True), now) is None
    assert await bot.find_sent(SendMessage(chat, "forged", answers="$question"), now) is None


async def test_a_message_sent_long_before_is_not_found(bot, chat):
    message = SendMessage(chat, "Welcome!", notice=True)
    await sent(bot, message)
    assert await bot.find_sent(message, time.time() + 2 * 3600) is None
