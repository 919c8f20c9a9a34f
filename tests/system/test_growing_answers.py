"""What a growing answer shows: a quiet line in silence, no structure that goes again, and formulas (D6, D7)."""

import time

import anyio
import pytest

from machines.i18n import catalog_for
from tests.support.agent_script import Close, End, Text, Tool, ToolResult, Wait
from tests.system.test_streaming import versions
from tests.system.users import PARTIAL, answer_to

pytestmark = pytest.mark.anyio

CATALOG = catalog_for("en", "Lambda")
QUIET_MS = 10_000


def body_of(event):
    return event.content.get("m.new_content", event.content)["body"]


def html_of(event):
    return event.content.get("m.new_content", event.content).get("formatted_body", "")


async def test_an_answer_that_is_whole_within_700_ms_is_one_event(onboarded, agent):
    agent.script = lambda request: [Text("short "), Wait(0.65), Text("and whole"), End()]
    message_id = await onboarded.user.send_text(onboarded.chat, "be brief")
    await answer_to(onboarded.user, onboarded.chat, message_id)
    (only,) = await versions(onboarded, message_id)
    assert body_of(only) == "short and whole"


async def test_after_ten_silent_seconds_a_line_shows_and_the_answer_takes_its_place(
    onboarded, agent
):
    ready = anyio.Event()
    chunk_at = []

    async def script(request):
        yield Tool("search")
        yield Wait(ready)
        yield ToolResult("found")
        chunk_at.append(time.time() * 1000)
        yield Text("Here it is")
        yield Wait(1.0)
        yield Text(", all of it.")
        yield End()

    agent.script = script
    asked_at = time.time() * 1000
    message_id = await onboarded.user.send_text(onboarded.chat, "take your time")
    await onboarded.user.wait_for(
        lambda event: (
            event.replaces is not None and CATALOG.no_text_yet("working") in body_of(event)
        )
    )
    ready.set()
    await answer_to(onboarded.user, onboarded.chat, message_id)
    status, line, text, last = await versions(onboarded, message_id)
    assert body_of(status) == CATALOG.tool_status("search")
    assert line.sent_at_ms - asked_at >= QUIET_MS
    assert (body_of(text), PARTIAL in text.content) == ("Here it is", True)
    assert text.sent_at_ms - chunk_at[0] <= 1000
    assert (body_of(last), PARTIAL in last.content) == ("Here it is, all of it.", False)
    assert last.sent_at_ms - text.sent_at_ms >= 1500


async def test_an_agent_that_can_not_be_reached_is_said_so_until_it_answers(onboarded, agent):
    def unreachable(request):
        return [Close()]

    agent.script = unreachable
    message_id = await onboarded.user.send_text(onboarded.chat, "are you there?")
    line = await onboarded.user.wait_for(lambda event: event.answers == message_id)
    assert body_of(line) == CATALOG.no_text_yet("failed")
    agent.script = lambda request: [Text("Now I am."), End()]
    await answer_to(onboarded.user, onboarded.chat, message_id)
    shown = await versions(onboarded, message_id)
    assert body_of(shown[-1]) == "Now I am."
    assert len(shown) == 2


async def test_an_unfinished_last_line_shows_no_heading(onboarded, agent):
    shown = anyio.Event()

    async def script(request):
        yield Text("Some words:\n-")
        yield Wait(shown)
        yield Text(" an item\n- another")
        yield End()

    agent.script = script
    message_id = await onboarded.user.send_text(onboarded.chat, "a list, please")
    await onboarded.user.wait_for(lambda event: event.answers == message_id)
    shown.set()
    await answer_to(onboarded.user, onboarded.chat, message_id)
    first, last = await versions(onboarded, message_id)
    assert (body_of(first), html_of(first)) == ("Some words:", "")
    assert "<li>an item</li>" in html_of(last)


async def test_formulas_arrive_whole(onboarded, agent):
    latex = r"\int_0^1 x\,dx"
    agent.script = lambda request: [Text(f"So \\({latex}\\) and\n$$\n{latex}\n$$\nfor $5."), End()]
    message_id = await onboarded.user.send_text(onboarded.chat, "integrate")
    answer = await answer_to(onboarded.user, onboarded.chat, message_id)
    assert f'<span data-mx-maths="{latex}"><code>{latex}</code></span>' in html_of(answer)
    assert f'<div data-mx-maths="{latex}"><code>{latex}</code></div>' in html_of(answer)
    assert body_of(answer).endswith("for $5.")
