"""An agent's question: asked as text, answered once, kept, expired; and no reactions (contract K8)."""

import pytest

from machines.i18n import catalog_for
from machines.room.chat_context import QUESTION_LIFETIME_S
from tests.support.agent_script import (
    End,
    Text,
    Update,
    Wait,
)
from tests.system.chat_commands.localized_user import one_answer_each, open_chat, reactions
from tests.system.recovery.bot_internals import BotInternals
from tests.system.users import onboard, said

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
TITLE, DESCRIPTION = "Send the mail?", "To all *three* of them."


def asking(request):
    """Ask whenever told to send something, with an id of its own each time, and say what the answer was."""
    if answer := request.payload.get("confirmation"):
        return [Text(f"{answer['id']}: {'sent' if answer['accepted'] else 'kept'}"), End(2)]
    if request.text.startswith("send"):
        question = {"id": f"q {request.text}", "title": TITLE, "description": DESCRIPTION}
        return [Text("I could."), Update({"kind": "confirmation", **question}), End(3)]
    return [Text(f"echo: {request.text}"), End(1)]


@pytest.fixture
async def asked_home(onboarded, agent):
    """An onboarded user whose agent asks before it sends anything."""
    agent.script = asking
    return onboarded


def confirmations(agent, message_ids=None):
    """Return the answers that the agent got, with what the message itself said."""
    return [
        (request.payload["confirmation"], request.text)
        for request in agent.requests
        if request.payload.get("confirmation")
        and (message_ids is None or request.message_id in message_ids)
    ]


async def test_a_question_is_text_with_a_hint(asked_home):
    answer = await asked_home.ask("send it")
    assert said(answer) == f"I could.\n\n{CATALOG.confirmation_question(TITLE, DESCRIPTION)}"
    assert all(hint in said(answer) for hint in ("!yes", "!no"))
    assert await reactions(asked_home.person, asked_home.chat) == []


@pytest.mark.parametrize(
    ("command", "accepted", "outcome"), [("!yes", True, "sent"), ("!no", False, "kept")]
)
async def test_an_answer_is_given_once_and_the_agents_words_are_the_reply_to_it(
    asked_home, agent, command, accepted, outcome
):
    await asked_home.ask("send it")
    answer = await asked_home.ask(command)
    assert (said(answer), answer.msgtype) == (f"q send it: {outcome}", "m.text")
    confirmation = {"id": "q send it", "accepted": accepted}
    expected = [(confirmation, "yes" if accepted else "no")]
    assert confirmations(agent, [answer.answers]) == expected
    before = len(agent.requests)
    for again in ("!yes", "!no"):
        assert await asked_home.tell(again) == CATALOG.no_open_question()
    assert len(agent.requests) == before
    assert await reactions(asked_home.person, asked_home.chat) == []


async def test_two_answers_in_one_breath_are_one_answer(asked_home, agent):
    person, chat = asked_home.person, asked_home.chat
    await asked_home.ask("send it")
    asked = [await person.send_text(chat, body) for body in ("!yes", "!no", "!yes")]
    first, *others = await one_answer_each(person, chat, asked)
    assert said(first) == "q send it: sent"
    assert [other.body for other in others] == [CATALOG.no_open_question()] * 2
    assert len(confirmations(agent, asked)) == 1


async def test_a_yes_written_while_text_still_streams_accepts_nothing_that_comes_after_it(
    asked_home, agent
):
    def slow(request):
        if request.text.startswith("send"):
            return [Text("Type !yes to go on. "), Wait(3), *asking(request)]
        return asking(request)

    agent.script = slow
    person, chat = asked_home.person, asked_home.chat
    asked = await person.send_text(chat, "send it")
    await person.wait_for(lambda event: event.answers == asked)
    early = await person.send_text(chat, "!yes")
    _, answer = await one_answer_each(person, chat, [asked, early])
    assert (answer.body, answer.msgtype) == (CATALOG.question_again(TITLE, DESCRIPTION), "m.notice")
    assert confirmations(agent, [early]) == []
    assert said(await asked_home.ask("!yes")) == "q send it: sent"


async def test_a_yes_with_more_behind_it_accepts_nothing_and_shows_the_question_again(
    asked_home, agent
):
    await asked_home.ask("send it")
    before = len(agent.requests)
    again = CATALOG.question_again(TITLE, DESCRIPTION)
    assert await asked_home.tell("!yes but not my notes") == again
    assert await asked_home.tell("!no thanks") == again
    assert len(agent.requests) == before
    assert said(await asked_home.ask("!no")) == "q send it: kept"


async def test_an_open_question_is_answered_after_a_kill(make_bot, person, agent):
    agent.script = asking
    bot = await make_bot()
    await bot.daemon.start()
    await bot.daemon.wait_live()
    onboarded = await onboard(person, bot.user_id)
    await onboarded.ask("send it")
    await bot.daemon.kill()
    answer = await person.send_text(onboarded.chat, "!yes")
    await bot.daemon.start()
    (reply,) = await one_answer_each(person, onboarded.chat, [answer])
    assert said(reply) == "q send it: sent"


async def test_a_room_has_one_open_question_and_it_is_the_newest(asked_home, agent):
    other = await open_chat(asked_home, "Other")
    await asked_home.ask("send one")
    await asked_home.ask("send three", other)
    await asked_home.ask("send two")
    assert said(await asked_home.ask("yes")) == "echo: yes"
    assert said(await asked_home.ask("!yes")) == "q send two: sent"
    assert await asked_home.tell("!yes") == CATALOG.no_open_question()
    assert said(await asked_home.ask("!no", other)) == "q send three: kept"


async def test_a_dropped_question_is_answered_to_nobody(asked_home, agent):
    await asked_home.ask("send it")
    before = len(agent.requests)
    assert await asked_home.tell("!cancel") == CATALOG.question_dropped()
    assert await asked_home.tell("!yes") == CATALOG.no_open_question()
    assert await asked_home.tell("!cancel") == CATALOG.cancel_nothing()
    assert len(agent.requests) == before


async def test_a_question_of_yesterday_expires_politely(make_bot, person, agent, synapse):
    agent.script = asking
    bot = await make_bot()
    internals = BotInternals(bot, synapse.url)
    await internals.start()
    onboarded = await onboard(person, bot.user_id)
    await onboarded.ask("send it")
    assert await bot.daemon.stop() == 0
    age = "json_set(memory, '$.question.asked_at', json_extract(memory, '$.question.asked_at') - ?)"
    internals.damage(
        f"UPDATE rooms SET memory = {age} WHERE room_id = ?", QUESTION_LIFETIME_S, onboarded.chat
    )
    await internals.start()
    before = len(agent.requests)
    assert await onboarded.tell("!yes") == CATALOG.confirmation_expired()
    assert await onboarded.tell("!yes") == CATALOG.no_open_question()
    assert len(agent.requests) == before
    assert said(await onboarded.ask("hello")) == "echo: hello"
