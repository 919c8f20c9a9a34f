"""An agent's question: shown as text, answered once, stored, expired; and no reactions (contract K8)."""

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
from tests.system.users import onboard, text_of

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
TITLE, DESCRIPTION = "Send the mail?", "To all *three* of them."


def asking(request):
    """Ask for confirmation of each "send …", with a separate id, and answer with the result."""
    if answer := request.payload.get("confirmation"):
        return [Text(f"{answer['id']}: {'sent' if answer['accepted'] else 'kept'}"), End(2)]
    if request.text.startswith("send"):
        question = {"id": f"q {request.text}", "title": TITLE, "description": DESCRIPTION}
        return [Text("I could."), Update({"kind": "confirmation", **question}), End(3)]
    return [Text(f"echo: {request.text}"), End(1)]


@pytest.fixture
async def questioner(onboarded, agent):
    """An onboarded user whose agent asks before it sends anything."""
    agent.script = asking
    return onboarded


def confirmations(agent, message_ids=None):
    """Return the confirmations that the agent got, with the texts of their messages."""
    return [
        (request.payload["confirmation"], request.text)
        for request in agent.requests
        if request.payload.get("confirmation")
        and (message_ids is None or request.message_id in message_ids)
    ]


async def test_a_question_is_text_with_a_hint(questioner):
    answer = await questioner.ask("send it")
    assert text_of(answer) == f"I could.\n\n{CATALOG.confirmation_question(TITLE, DESCRIPTION)}"
    assert all(hint in text_of(answer) for hint in ("!yes", "!no"))
    assert await reactions(questioner.user, questioner.chat) == []


@pytest.mark.parametrize(
    ("command", "accepted", "outcome"), [("!yes", True, "sent"), ("!no", False, "kept")]
)
async def test_a_question_is_answered_once_and_the_agents_text_is_the_reply(
    questioner, agent, command, accepted, outcome
):
    await questioner.ask("send it")
    answer = await questioner.ask(command)
    assert (text_of(answer), answer.msgtype) == (f"q send it: {outcome}", "m.text")
    confirmation = {"id": "q send it", "accepted": accepted}
    expected = [(confirmation, "yes" if accepted else "no")]
    assert confirmations(agent, [answer.answers]) == expected
    before = len(agent.requests)
    for again in ("!yes", "!no"):
        assert await questioner.run_command(again) == CATALOG.no_open_question()
    assert len(agent.requests) == before
    assert await reactions(questioner.user, questioner.chat) == []


async def test_two_answers_sent_together_count_once(questioner, agent):
    user, chat = questioner.user, questioner.chat
    await questioner.ask("send it")
    asked = [await user.send_text(chat, body) for body in ("!yes", "!no", "!yes")]
    first, *others = await one_answer_each(user, chat, asked)
    assert text_of(first) == "q send it: sent"
    assert [other.body for other in others] == [CATALOG.no_open_question()] * 2
    assert len(confirmations(agent, asked)) == 1


async def test_a_yes_during_streaming_does_not_accept_a_later_question(questioner, agent):
    def slow(request):
        if request.text.startswith("send"):
            return [Text("Type !yes to go on. "), Wait(3), *asking(request)]
        return asking(request)

    agent.script = slow
    user, chat = questioner.user, questioner.chat
    asked = await user.send_text(chat, "send it")
    await user.wait_for(lambda event: event.answers == asked)
    early = await user.send_text(chat, "!yes")
    _, answer = await one_answer_each(user, chat, [asked, early])
    assert (answer.body, answer.msgtype) == (CATALOG.question_again(TITLE, DESCRIPTION), "m.notice")
    assert confirmations(agent, [early]) == []
    assert text_of(await questioner.ask("!yes")) == "q send it: sent"


async def test_a_yes_with_an_argument_accepts_nothing_and_shows_the_question_again(
    questioner, agent
):
    await questioner.ask("send it")
    before = len(agent.requests)
    again = CATALOG.question_again(TITLE, DESCRIPTION)
    assert await questioner.run_command("!yes but not my notes") == again
    assert await questioner.run_command("!no thanks") == again
    assert len(agent.requests) == before
    assert text_of(await questioner.ask("!no")) == "q send it: kept"


@pytest.mark.parametrize("kind", ["reply", "thread"])
async def test_a_bare_answer_counts_in_a_reply_and_in_a_thread(questioner, agent, kind):
    asked = await questioner.ask("send it")
    relation = {"m.in_reply_to": {"event_id": asked.event_id}}
    if kind == "thread":
        relation |= {"rel_type": "m.thread", "event_id": asked.answers}
    quote = f"> <{questioner.bot}> Send the mail?\n> To all three of them.\n\n"
    extra = {"m.relates_to": relation}
    for body in ("!yes but not my notes", "\uff01yes", "> Send it?\n\n!yes"):
        again = await questioner.ask(f"{quote}{body}" if kind == "reply" else body, **extra)
        assert again.body == CATALOG.question_again(TITLE, DESCRIPTION)
    assert confirmations(agent, [again.answers]) == []
    answer = f"{quote}!yes \n" if kind == "reply" else "!yes \n"
    assert text_of(await questioner.ask(answer, **extra)) == "q send it: sent"


async def test_an_open_question_is_answered_after_a_kill(make_bot, user, agent):
    agent.script = asking
    bot = await make_bot()
    await bot.daemon.start()
    await bot.daemon.wait_live()
    onboarded = await onboard(user, bot.user_id)
    await onboarded.ask("send it")
    await bot.daemon.kill()
    answer = await user.send_text(onboarded.chat, "!yes")
    await bot.daemon.start()
    (reply,) = await one_answer_each(user, onboarded.chat, [answer])
    assert text_of(reply) == "q send it: sent"


async def test_only_the_newest_question_of_a_room_is_open(questioner, agent):
    other = await open_chat(questioner, "Other")
    await questioner.ask("send one")
    await questioner.ask("send three", other)
    await questioner.ask("send two")
    assert text_of(await questioner.ask("yes")) == "echo: yes"
    assert text_of(await questioner.ask("!yes")) == "q send two: sent"
    assert await questioner.run_command("!yes") == CATALOG.no_open_question()
    assert text_of(await questioner.ask("!no", other)) == "q send three: kept"


async def test_no_agent_gets_an_answer_to_a_dropped_question(questioner, agent):
    await questioner.ask("send it")
    before = len(agent.requests)
    assert await questioner.run_command("!cancel") == CATALOG.question_dropped()
    assert await questioner.run_command("!yes") == CATALOG.no_open_question()
    assert await questioner.run_command("!cancel") == CATALOG.cancel_nothing()
    assert len(agent.requests) == before


async def test_an_old_question_expires_with_a_notice(make_bot, user, agent, synapse):
    agent.script = asking
    bot = await make_bot()
    internals = BotInternals(bot, synapse.url)
    await internals.start()
    onboarded = await onboard(user, bot.user_id)
    await onboarded.ask("send it")
    assert await bot.daemon.stop() == 0
    age = "json_set(memory, '$.question.asked_at', json_extract(memory, '$.question.asked_at') - ?)"
    internals.damage(
        f"UPDATE rooms SET memory = {age} WHERE room_id = ?", QUESTION_LIFETIME_S, onboarded.chat
    )
    await internals.start()
    before = len(agent.requests)
    assert await onboarded.run_command("!yes") == CATALOG.confirmation_expired()
    assert await onboarded.run_command("!yes") == CATALOG.no_open_question()
    assert len(agent.requests) == before
    assert text_of(await onboarded.ask("hello")) == "echo: hello"
