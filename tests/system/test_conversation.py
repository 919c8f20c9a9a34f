"""Messages and their replies: one each, in order, in their thread, read and worked on (contracts D1, D2, D6, D13)."""

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.system.users import PARTIAL, answer_to, replies, text_of

pytestmark = pytest.mark.anyio


async def test_a_message_gets_one_reply_that_names_it(onboarded):
    message_id = await onboarded.user.send_text(onboarded.chat, "good morning")
    answer = await answer_to(onboarded.user, onboarded.chat, message_id)
    await onboarded.ask("and another one")
    (reply,) = await onboarded.user.replies_to(onboarded.chat, message_id)
    assert (reply.sender, reply.msgtype) == (onboarded.bot, "m.text")
    assert (reply.event_id, text_of(answer)) == (
        answer.replaces or answer.event_id,
        "echo: good morning",
    )
    final = await onboarded.user.latest_content(onboarded.chat, reply.event_id)
    assert PARTIAL not in final
    assert final["m.mentions"] == {}


async def test_quick_messages_are_answered_in_their_order(onboarded, agent):
    asked = len(agent.requests)
    messages = [await onboarded.user.send_text(onboarded.chat, f"message {n}") for n in range(12)]
    await answer_to(onboarded.user, onboarded.chat, messages[-1])
    assert [reply.answers for reply in await replies(onboarded.user, onboarded.chat)] == messages
    assert [request.text for request in agent.requests[asked:]] == [
        f"message {n}" for n in range(12)
    ]
    assert [request.message_id for request in agent.requests[asked:]] == messages


async def test_the_next_message_waits_for_the_answer_in_progress(onboarded, agent):
    go_on = anyio.Event()

    async def script(request):
        if request.text == "first":
            yield Text("thinking")
            yield Wait(go_on)
        yield Text(f"done: {request.text}")
        yield End()

    agent.script = script
    first = await onboarded.user.send_text(onboarded.chat, "first")
    second = await onboarded.user.send_text(onboarded.chat, "second")
    await onboarded.user.wait_for(lambda event: event.answers == first)
    go_on.set()
    answer = await answer_to(onboarded.user, onboarded.chat, second)
    assert text_of(answer) == "done: second"
    assert [reply.answers for reply in await replies(onboarded.user, onboarded.chat)] == [
        first,
        second,
    ]


async def test_a_message_in_a_thread_is_answered_in_that_thread_in_the_same_context(
    onboarded, agent
):
    root = await onboarded.user.send_text(onboarded.chat, "in the room")
    await answer_to(onboarded.user, onboarded.chat, root)
    thread = {"m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    message_id = await onboarded.user.send_text(onboarded.chat, "in the thread", **thread)
    await answer_to(onboarded.user, onboarded.chat, message_id)
    (reply,) = await onboarded.user.replies_to(onboarded.chat, message_id)
    assert reply.content["m.relates_to"]["rel_type"] == "m.thread"
    assert reply.content["m.relates_to"]["event_id"] == root
    in_the_room, in_the_thread = agent.requests[-2:]
    assert in_the_thread.text == "in the thread"
    assert in_the_thread.chat_id == in_the_room.chat_id
    command = await onboarded.ask("!help", **thread)
    assert command.content["m.relates_to"]["event_id"] == root


async def test_the_agent_does_not_get_the_quote_of_a_reply(onboarded, agent):
    first = await onboarded.user.send_text(onboarded.chat, "the first thing")
    await answer_to(onboarded.user, onboarded.chat, first)
    quoted = f"> <{onboarded.user.user_id}> the first thing\n\nno, I mean the second"
    relation = {"m.relates_to": {"m.in_reply_to": {"event_id": first}}}
    await onboarded.ask(quoted, **relation)
    assert agent.requests[-1].text == "no, I mean the second"


async def test_a_message_is_marked_read_at_its_turn_and_typing_is_shown_meanwhile(onboarded, agent):
    go_on = anyio.Event()

    async def script(request):
        yield Wait(go_on)
        yield Text("at last")
        yield End()

    agent.script = script
    message_id = await onboarded.user.send_text(onboarded.chat, "take your time")

    def reads_it(event):
        receipts = event.content.get(message_id, {}) if event.type == "m.receipt" else {}
        return onboarded.bot in receipts.get("m.read", {})

    def types(event):
        return event.type == "m.typing" and event.room_id == onboarded.chat

    await onboarded.user.wait_for(reads_it)
    await onboarded.user.wait_for(
        lambda event: types(event) and event.content["user_ids"] == [onboarded.bot]
    )
    go_on.set()
    await answer_to(onboarded.user, onboarded.chat, message_id)
    await onboarded.user.wait_for(
        lambda event: (
            types(event) and event is last_seen(onboarded, types) and not event.content["user_ids"]
        )
    )


def last_seen(onboarded, predicate):
    return [event for event in onboarded.user.stream.seen if predicate(event)][-1]


async def test_the_agent_gets_the_message_and_nothing_else(onboarded, agent):
    message_id = await onboarded.user.send_text(onboarded.chat, "just this")
    await answer_to(onboarded.user, onboarded.chat, message_id)
    payload = dict(agent.requests[-1].payload)
    assert payload.pop("settings", {}) == {}
    assert payload == {
        "type": "USER_MESSAGE",
        "text": "just this",
        "attachments": [],
        "message_id": message_id,
    }


async def test_an_empty_answer_is_reported_in_a_sentence(onboarded, agent):
    agent.script = lambda request: [End()]
    assert "without saying anything" in text_of(await onboarded.ask("well?"))
