"""An answer in progress, an empty, a refused and a missing one (contracts D9, D10)."""

import anyio
import pytest

from tests.support.agent_script import (
    End,
    Error,
    Text,
    Tool,
    ToolResult,
    Update,
    Wait,
)
from tests.system.users import PARTIAL, answer_to, text_of

pytestmark = pytest.mark.anyio


async def only_reply(localized, text):
    (answer,) = await localized.send_all(localized.onboarded.chat, text)
    assert answer.content.get("m.new_content", answer.content)["msgtype"] == "m.text"
    return text_of(answer)


async def test_an_agent_that_can_not_be_reached_is_reported_in_one_plain_reply(localized, agent):
    await agent.refuse(drop=True)
    try:
        reply = await only_reply(localized, "anyone there?")
    finally:
        await agent.accept()
    assert reply == localized.catalog.agent_gave_up("unreachable")


async def test_an_agent_that_stays_busy_is_reported_in_one_plain_reply(localized, agent):
    agent.script = lambda _: [Error("AGENT_BUSY")]
    assert await only_reply(localized, "hello?") == localized.catalog.agent_gave_up("AGENT_BUSY")


async def test_an_error_is_named_by_its_code(localized, agent):
    agent.script = lambda _: [Error("QUOTA_EXCEEDED", "none left this month")]
    reply = await only_reply(localized, "draw me a sheep")
    assert reply == localized.catalog.agent_error("QUOTA_EXCEEDED")
    assert "QUOTA_EXCEEDED" in reply


async def test_an_empty_answer_is_reported(localized, agent):
    agent.script = lambda _: [End()]
    assert await only_reply(localized, "say nothing") == localized.catalog.empty_answer()


@pytest.mark.parametrize("words", ["", "So far, so good."])
async def test_tools_and_progress_show_below_the_growing_text_and_not_in_the_end(
    localized, agent, words
):
    go_on = [anyio.Event(), anyio.Event()]

    async def script(request):
        if words:
            yield Text(words)
        yield Tool("search")
        yield Wait(go_on[0])
        yield ToolResult("found")
        yield Update({"kind": "progress", "text": "reading 3 of 7"})
        yield Wait(go_on[1])
        yield Text(" Done.")
        yield End(3)

    agent.script = script
    chat, user, catalog = localized.onboarded.chat, localized.user, localized.catalog
    asked = await user.send_text(chat, "look it up")
    for status, happened in zip(
        (catalog.tool_status("search"), catalog.progress("reading 3 of 7")), go_on, strict=True
    ):
        shown = await user.wait_for(
            lambda event, status=status: event.answers == asked and text_of(event).endswith(status)
        )
        assert PARTIAL in shown.content
        assert text_of(shown) == "\n\n".join(filter(None, (words, status)))
        happened.set()
    assert text_of(await answer_to(user, chat, asked)) == f"{words} Done."
    assert len(await user.replies_to(chat, asked)) == 1
