"""`!save`, `!load`, `!context`, `!clear`: the context of this chat, by its own id, of no other (K6, K7)."""

import pytest

from machines.i18n import catalog_for
from tests.support.agent_script import (
    End,
    Error,
    Text,
    Wait,
)
from tests.system.chat_commands.localized_user import one_answer_each, open_chat
from tests.system.users import answer_to, said

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")


@pytest.fixture
async def quiet(onboarded, agent):
    """An onboarded user whose agent saves and loads without a text, and echoes everything else."""

    def script(request):
        if request.payload.get("context"):
            return [End(7)]
        return [Text(f"echo: {request.text}"), End(11)]

    agent.script = script
    return onboarded


def orders(agent, home_chat_id):
    """Return what an agent was asked to keep or bring back in one context."""
    return [
        (request.payload["context"]["action"], request.payload["context"]["name"])
        for request in agent.requests
        if request.chat_id == home_chat_id and request.payload.get("context")
    ]


async def context_of(agent, onboarded, room=None):
    """Return the id of a chat's context, as the agent sees it."""
    answer = await onboarded.ask("which context is this?", room)
    return next(each.chat_id for each in agent.requests if each.message_id == answer.answers)


async def test_a_save_is_asked_for_in_words_and_in_a_field_and_answered_by_what_came_of_it(
    quiet, agent
):
    context = await context_of(agent, quiet)
    answer = await quiet.ask("!save before  lunch")
    assert (answer.msgtype, answer.body) == ("m.notice", CATALOG.save_done("before lunch"))
    request = agent.requests[-1]
    assert request.chat_id == context
    assert request.message_id == answer.answers
    assert request.payload["context"] == {"action": "save", "name": "before lunch"}
    assert "before lunch" in request.text


async def test_what_the_agent_says_to_a_save_is_part_of_its_answer(onboarded, agent):
    agent.script = lambda _: [Text("I shall not forget."), End(1)]
    answer = await onboarded.ask("!save lunch")
    assert answer.body == f"{CATALOG.save_done('lunch')}\n\nI shall not forget."


async def test_a_save_that_the_agent_refuses_is_reported_and_not_listed(onboarded, agent):
    agent.script = lambda _: [Error("NO_ROOM", "full")]
    expected = f"{CATALOG.save_failed('lunch')}\n\n{CATALOG.agent_error('NO_ROOM')}"
    assert await onboarded.tell("!save lunch") == expected
    assert await onboarded.tell("!load") == CATALOG.load_none()


async def test_saves_are_named_counted_and_listed_once_each(quiet, agent):
    context = await context_of(agent, quiet)
    for command in ("!save Save 2", "!save", "!save lunch", "!save", "!save lunch"):
        await quiet.tell(command)
    names = [name for _, name in orders(agent, context)]
    assert names[0] == "Save 2"
    assert names[2] == names[4] == "lunch"
    # A name of the bot's own choice never takes the place of another save.
    assert len({*names}) == 4
    assert await quiet.tell("!load") == CATALOG.load_list((names[0], names[1], names[3], "lunch"))
    assert await quiet.tell("!cancel") == CATALOG.load_left()


async def test_a_number_picks_from_the_open_list_once(quiet, agent):
    context = await context_of(agent, quiet)
    for command in ("!save one", "!save two"):
        await quiet.tell(command)
    assert said(await quiet.ask("2")) == "echo: 2"
    assert await quiet.tell("!load") == CATALOG.load_list(("one", "two"))
    assert await quiet.tell("2") == CATALOG.load_picked("two")
    request = agent.requests[-1]
    assert request.payload["context"] == {"action": "load", "name": "two"}
    assert "two" in request.text
    assert said(await quiet.ask("2")) == "echo: 2"
    assert orders(agent, context) == [("save", "one"), ("save", "two"), ("load", "two")]


@pytest.mark.parametrize("leave", ["0", "!cancel"])
async def test_zero_and_cancel_leave_the_list_and_other_words_do_not(quiet, agent, leave):
    context = await context_of(agent, quiet)
    await quiet.tell("!save one")
    await quiet.tell("!load")
    for outside in ("2", "9999"):
        assert await quiet.tell(outside) == CATALOG.load_invalid(1)
    for text in ("what was in it?", "1.", "1 or 2", "-1", "١"):
        assert said(await quiet.ask(text)) == f"echo: {text}"
    assert await quiet.tell("!help", quiet.entry)
    assert await quiet.tell(leave) == CATALOG.load_left()
    assert said(await quiet.ask("1")) == "echo: 1"
    assert orders(agent, context) == [("save", "one")]


async def test_a_list_that_is_asked_for_and_picked_from_in_one_breath(quiet, agent):
    person, chat = quiet.person, quiet.chat
    typed = ("1", "!save one", "!load", "1", "1")
    asked = [await person.send_text(chat, body) for body in typed]
    answers = await one_answer_each(person, chat, asked)
    assert said(answers[0]) == said(answers[4]) == "echo: 1"
    assert answers[3].body == CATALOG.load_picked("one")


async def test_the_page_counts_what_the_agent_says_it_used_and_asks_nobody(quiet, agent):
    assert await quiet.tell("!context") == CATALOG.context_page("", None, ())
    await quiet.ask("one")
    await quiet.ask("two")
    assert await quiet.tell("!context") == CATALOG.context_page("", 22, ())
    await quiet.tell("!save lunch")
    heard = len(agent.requests)
    assert await quiet.tell("!context") == CATALOG.context_page("lunch", 29, ("lunch",))
    assert len(agent.requests) == heard


async def test_another_chat_has_saves_and_a_list_of_its_own(quiet, agent):
    other = await open_chat(quiet, "Other")
    await quiet.tell("!save here")
    await quiet.tell("!load")
    assert await quiet.tell("!load", other) == CATALOG.load_none()
    assert said(await quiet.ask("1", other)) == "echo: 1"
    assert await quiet.tell("1") == CATALOG.load_picked("here")
    assert await context_of(agent, quiet) != await context_of(agent, quiet, other)


async def test_a_cleared_chat_has_a_context_of_its_own_and_hangs_up_the_old_one(quiet, agent):
    other = await open_chat(quiet, "Other")
    before = [await context_of(agent, quiet, room) for room in (quiet.chat, other)]
    agent.script = lambda request: [Wait(60.0)]
    asked = await quiet.person.send_text(quiet.chat, "a long story")
    while (request := await agent.next_request()).message_id != asked:
        pass
    assert await quiet.tell("!clear") == CATALOG.context_cleared()
    await agent.connections[request.connection - 1].closed.wait()
    agent.script = lambda request: [Text("afresh"), End(11)]
    assert said(await answer_to(quiet.person, quiet.chat, asked)) == CATALOG.stopped_nothing()
    after = [await context_of(agent, quiet, room) for room in (quiet.chat, other)]
    assert after[1] == before[1]
    assert after[0] not in {*before}
    assert await quiet.tell("!context") == CATALOG.context_page("", 11, ())
