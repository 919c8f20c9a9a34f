"""`!save`, `!load`, `!context`, `!clear`: commands about the context of this chat only (K6, K7)."""

import pytest

from machines.i18n import catalog_for
from tests.support.agent_script import (
    End,
    Error,
    Text,
    Wait,
)
from tests.system.chat_commands.localized_user import one_answer_each, open_chat
from tests.system.users import answer_to, text_of

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


def orders(agent, context_id):
    """Return the saves and loads that an agent was asked for in one context."""
    return [
        (request.payload["context"]["action"], request.payload["context"]["name"])
        for request in agent.requests
        if request.chat_id == context_id and request.payload.get("context")
    ]


async def context_of(agent, onboarded, room=None):
    """Return the id of a chat's context, as the agent sees it."""
    answer = await onboarded.ask("which context is this?", room)
    return next(each.chat_id for each in agent.requests if each.message_id == answer.answers)


async def test_a_save_is_requested_as_text_and_as_a_field_and_answered_by_its_outcome(quiet, agent):
    context = await context_of(agent, quiet)
    answer = await quiet.ask("!save before  lunch")
    assert (answer.msgtype, answer.body) == ("m.notice", CATALOG.save_done("before lunch"))
    request = agent.requests[-1]
    assert request.chat_id == context
    assert request.message_id == answer.answers
    assert request.payload["context"] == {"action": "save", "name": "before lunch"}
    assert "before lunch" in request.text


async def test_the_agents_text_for_a_save_is_part_of_the_answer(onboarded, agent):
    agent.script = lambda _: [Text("I shall not forget."), End(1)]
    answer = await onboarded.ask("!save lunch")
    assert answer.body == f"{CATALOG.save_done('lunch')}\n\nI shall not forget."


async def test_a_save_that_the_agent_refuses_is_reported_and_not_listed(onboarded, agent):
    agent.script = lambda _: [Error("NO_ROOM", "full")]
    expected = CATALOG.save_failed("lunch", "NO_ROOM")
    assert await onboarded.run_command("!save lunch") == expected
    assert await onboarded.run_command("!load") == CATALOG.load_none()


async def test_saves_are_named_counted_and_listed_once_each(quiet, agent):
    context = await context_of(agent, quiet)
    for command in ("!save Save 2", "!save", "!save lunch", "!save", "!save lunch"):
        await quiet.run_command(command)
    names = [name for _, name in orders(agent, context)]
    assert names[0] == "Save 2"
    assert names[2] == names[4] == "lunch"
    # A name that the bot chooses never replaces another save.
    assert len({*names}) == 4
    assert await quiet.run_command("!load") == CATALOG.load_list(
        (names[0], names[1], names[3], "lunch")
    )
    assert await quiet.run_command("!cancel") == CATALOG.load_left()


async def test_a_number_picks_from_the_open_list_once(quiet, agent):
    context = await context_of(agent, quiet)
    for command in ("!save one", "!save two"):
        await quiet.run_command(command)
    assert text_of(await quiet.ask("2")) == "echo: 2"
    assert await quiet.run_command("!load") == CATALOG.load_list(("one", "two"))
    assert await quiet.run_command("2") == CATALOG.load_picked("two")
    request = agent.requests[-1]
    assert request.payload["context"] == {"action": "load", "name": "two"}
    assert "two" in request.text
    assert text_of(await quiet.ask("2")) == "echo: 2"
    assert orders(agent, context) == [("save", "one"), ("save", "two"), ("load", "two")]


@pytest.mark.parametrize("leave", ["0", "!cancel"])
async def test_zero_and_cancel_leave_the_list_and_other_texts_do_not(quiet, agent, leave):
    context = await context_of(agent, quiet)
    await quiet.run_command("!save one")
    await quiet.run_command("!load")
    for outside in ("2", "9999"):
        assert await quiet.run_command(outside) == CATALOG.load_invalid(1)
    for text in ("what was in it?", "1.", "1 or 2", "-1", "١"):
        assert text_of(await quiet.ask(text)) == f"echo: {text}"
    assert await quiet.run_command("!help", quiet.entry)
    assert await quiet.run_command(leave) == CATALOG.load_left()
    assert text_of(await quiet.ask("1")) == "echo: 1"
    assert orders(agent, context) == [("save", "one")]


async def test_a_list_can_be_requested_and_picked_from_without_waiting(quiet, agent):
    user, chat = quiet.user, quiet.chat
    typed = ("1", "!save one", "!load", "1", "1")
    asked = [await user.send_text(chat, body) for body in typed]
    answers = await one_answer_each(user, chat, asked)
    assert text_of(answers[0]) == text_of(answers[4]) == "echo: 1"
    assert answers[3].body == CATALOG.load_picked("one")


async def test_the_context_page_counts_the_tokens_of_the_agent_without_a_request(quiet, agent):
    assert await quiet.run_command("!context") == CATALOG.context_page("", None, ())
    await quiet.ask("one")
    await quiet.ask("two")
    assert await quiet.run_command("!context") == CATALOG.context_page("", 22, ())
    await quiet.run_command("!save lunch")
    requests_before = len(agent.requests)
    assert await quiet.run_command("!context") == CATALOG.context_page("lunch", 29, ("lunch",))
    assert len(agent.requests) == requests_before


async def test_each_chat_has_separate_saves_and_lists(quiet, agent):
    other = await open_chat(quiet, "Other")
    await quiet.run_command("!save here")
    await quiet.run_command("!load")
    assert await quiet.run_command("!load", other) == CATALOG.load_none()
    assert text_of(await quiet.ask("1", other)) == "echo: 1"
    assert await quiet.run_command("1") == CATALOG.load_picked("here")
    assert await context_of(agent, quiet) != await context_of(agent, quiet, other)


async def test_a_cleared_chat_has_a_new_context_and_closes_the_old_connection(quiet, agent):
    other = await open_chat(quiet, "Other")
    before = [await context_of(agent, quiet, room) for room in (quiet.chat, other)]
    agent.script = lambda request: [Wait(60.0)]
    asked = await quiet.user.send_text(quiet.chat, "a long story")
    while (request := await agent.next_request()).message_id != asked:
        pass
    assert await quiet.run_command("!clear") == CATALOG.context_cleared(has_saves=False)
    await agent.connections[request.connection - 1].closed.wait()
    agent.script = lambda request: [Text("afresh"), End(11)]
    assert text_of(await answer_to(quiet.user, quiet.chat, asked)) == CATALOG.stopped()
    after = [await context_of(agent, quiet, room) for room in (quiet.chat, other)]
    assert after[1] == before[1]
    assert after[0] not in {*before}
    assert await quiet.run_command("!context") == CATALOG.context_page("", 11, ())
