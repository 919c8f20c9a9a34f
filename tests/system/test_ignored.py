"""What the bot never answers (contract D5).

In each test an ordinary question comes last: the bot takes a room's messages in order, so that whatever it had to
say to those before it has been said when that one is answered.
"""

import pytest

from tests.support.matrix_user import MatrixUser
from tests.system.users import PASSWORD, accept, notice, replies, text_of

pytestmark = pytest.mark.anyio


async def test_notices_and_other_event_types_are_not_answered(onboarded, agent):
    asked = len(agent.requests)
    ann = onboarded.user
    for content in (
        {"msgtype": "m.notice", "body": "an automatic remark"},
        {"msgtype": "m.notice", "body": "!clear"},
    ):
        await ann.send_event(onboarded.chat, "m.room.message", content)
    await ann.send_event(
        onboarded.chat, "m.reaction", {"m.relates_to": {"rel_type": "m.annotation"}}
    )
    await ann.send_event(
        onboarded.chat, "org.example.event", {"body": "!help", "msgtype": "m.text"}
    )
    await onboarded.ask("a question")
    assert [request.text for request in agent.requests[asked:]] == ["a question"]
    assert len(await replies(ann, onboarded.chat)) == 1


async def test_edits_and_redactions_are_neither_messages_nor_commands(onboarded, agent):
    asked = len(agent.requests)
    ann = onboarded.user
    message_id = await ann.send_text(onboarded.chat, "the original")
    await ann.wait_for(lambda event: event.answers == message_id)
    for words in ("!rename Edited", "!archive", "another question"):
        await ann.edit(onboarded.chat, message_id, words)
    await ann.redact(onboarded.chat, message_id, "!archive")
    await onboarded.ask("a question")
    assert [request.text for request in agent.requests[asked:]] == ["the original", "a question"]
    assert len(await replies(ann, onboarded.chat)) == 2
    assert await ann.state_content(onboarded.chat, "m.room.name") == {"name": "Chat 1"}


async def test_a_command_in_the_quote_of_a_reply_is_not_run(onboarded):
    first = await onboarded.ask("something")
    quoted = f"> <{onboarded.bot}> !rename Quoted\n\nwhat do you think?"
    relation = {"m.relates_to": {"m.in_reply_to": {"event_id": first.event_id}}}
    assert text_of(await onboarded.ask(quoted, **relation)) == "echo: what do you think?"
    assert await onboarded.user.state_content(onboarded.chat, "m.room.name") == {"name": "Chat 1"}


async def test_the_answer_of_an_agent_is_no_command(onboarded):
    await onboarded.ask("!unknown")
    assert text_of(await onboarded.ask("say !rename Mine")) == "echo: say !rename Mine"
    assert text_of(await onboarded.ask(" !rename Mine")) == "echo:  !rename Mine"
    assert await onboarded.user.state_content(onboarded.chat, "m.room.name") == {"name": "Chat 1"}


async def test_other_users_in_a_chat_are_not_answered(onboarded, agent, make_user, synapse):
    guest = await make_user()
    # Only the bot's account can invite.
    async with MatrixUser(synapse.url, onboarded.bot, PASSWORD) as operator:
        await operator.invite(onboarded.chat, guest.user_id)
    await guest.join(onboarded.chat)
    asked = len(agent.requests)
    unanswered = [
        await guest.send_text(onboarded.chat, text) for text in ("hello?", "!clear", "!help")
    ]
    await onboarded.ask("a question of mine")
    assert [request.text for request in agent.requests[asked:]] == ["a question of mine"]
    answered = {reply.answers for reply in await replies(onboarded.user, onboarded.chat)}
    assert answered.isdisjoint(unanswered)


async def test_messages_before_the_bots_join_are_not_answered(session_bot, user):
    room = await user.create_room()
    before = [await user.send_text(room, text) for text in ("hello?", "!help", "!new Early")]
    await user.invite(room, session_bot.user_id)
    await accept(user, session_bot.user_id)
    await notice(user, room)
    after = await user.send_text(room, "!help")
    await user.wait_for(lambda event: event.answers == after)
    assert [reply.answers for reply in await replies(user, room)] == [after]
    assert before
    assert await user.rooms_invited() == []


async def test_it_does_not_answer_its_own_messages(onboarded, agent, synapse):
    asked = len(agent.requests)
    async with MatrixUser(synapse.url, onboarded.bot, PASSWORD) as bot:
        await bot.send_text(onboarded.chat, "hello, me")
        await bot.send_text(onboarded.chat, "!help")
    await onboarded.ask("a question")
    assert [request.text for request in agent.requests[asked:]] == ["a question"]
    assert len(await replies(onboarded.user, onboarded.chat)) == 1
