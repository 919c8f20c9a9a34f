"""A message that replies to another carries that one's text to the agent (contract D18)."""

import json
from typing import Any

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.system.users import answer_to, onboard, text_of

pytestmark = pytest.mark.anyio

QUOTE_BYTES = 4096


def reply_to(event_id: str) -> dict[str, Any]:
    return {"m.relates_to": {"m.in_reply_to": {"event_id": event_id}}}


def in_thread(root: str, event_id: str, *, falls_back: bool) -> dict[str, Any]:
    relation = {
        "rel_type": "m.thread",
        "event_id": root,
        "is_falling_back": falls_back,
        "m.in_reply_to": {"event_id": event_id},
    }
    return {"m.relates_to": relation}


async def test_a_reply_to_an_own_message_carries_its_newest_text(onboarded, agent):
    first = await onboarded.user.send_text(onboarded.chat, "the first thing")
    await answer_to(onboarded.user, onboarded.chat, first)
    await onboarded.user.edit(onboarded.chat, first, "the better thing")
    await onboarded.ask("what did I mean?", **reply_to(first))
    assert agent.requests[-1].text == "what did I mean?"
    assert agent.requests[-1].payload["quoted"] == {"by": "user", "text": "the better thing"}
    await onboarded.ask("and now?")
    assert "quoted" not in agent.requests[-1].payload


async def test_a_reply_to_an_answer_carries_its_last_text(onboarded, agent):
    go_on = anyio.Event()

    async def script(request):
        yield Text("It begins")
        yield Wait(go_on)
        yield Text(", and it ends.")
        yield End()

    agent.script = script
    asked = await onboarded.user.send_text(onboarded.chat, "tell me")
    begun = await onboarded.user.wait_for(lambda event: event.answers == asked)
    go_on.set()
    ended = await answer_to(onboarded.user, onboarded.chat, asked)
    assert ended.replaces == begun.event_id
    await onboarded.ask("why?", **reply_to(begun.event_id))
    expected = {"by": "agent", "text": "It begins, and it ends."}
    assert agent.requests[-1].payload["quoted"] == expected


async def test_in_a_thread_a_quote_counts_and_the_fallback_does_not(onboarded, agent):
    root = await onboarded.user.send_text(onboarded.chat, "the root")
    await answer_to(onboarded.user, onboarded.chat, root)
    await onboarded.ask("no quote", **in_thread(root, root, falls_back=True))
    assert "quoted" not in agent.requests[-1].payload
    await onboarded.ask("a quote", **in_thread(root, root, falls_back=False))
    assert agent.requests[-1].payload["quoted"] == {"by": "user", "text": "the root"}


async def test_a_message_that_is_deleted_unknown_or_elsewhere_is_not_quoted(onboarded, agent):
    deleted = await onboarded.user.send_text(onboarded.chat, "a secret")
    await answer_to(onboarded.user, onboarded.chat, deleted)
    await onboarded.user.redact(onboarded.chat, deleted)
    elsewhere = await onboarded.user.send_text(onboarded.entry, "!help")
    await answer_to(onboarded.user, onboarded.entry, elsewhere)
    for target in (deleted, elsewhere, "$unknown", "$" + "x" * 43):
        answer = await onboarded.ask("what about it?", **reply_to(target))
        assert text_of(answer) == "echo: what about it?"
        assert "quoted" not in agent.requests[-1].payload


async def test_a_quote_is_cut_to_four_kilobytes(onboarded, agent):
    long = "жизнь " * 5_000
    asked = await onboarded.user.send_text(onboarded.chat, long)
    # The answer may have several parts.
    await onboarded.user.wait_for(lambda event: event.answers == asked)
    await onboarded.ask("which part?", **reply_to(asked))
    quoted = agent.requests[-1].payload["quoted"]
    size = len(json.dumps(quoted, ensure_ascii=False).encode())
    assert QUOTE_BYTES - 10 < size <= QUOTE_BYTES
    assert long.startswith(quoted["text"])


async def test_a_command_carries_no_quote(onboarded, agent):
    first = await onboarded.user.send_text(onboarded.chat, "the first thing")
    await answer_to(onboarded.user, onboarded.chat, first)
    await onboarded.ask("!save one", **reply_to(first))
    assert agent.requests[-1].payload["context"] == {"action": "save", "name": "one"}
    assert "quoted" not in agent.requests[-1].payload


async def test_an_attempt_after_a_kill_carries_the_same_quote(make_bot, user, agent):
    bot = await make_bot()
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)
        first = await user.send_text(onboarded.chat, "the first thing")
        await answer_to(user, onboarded.chat, first)
        asked = len(agent.requests)
        script, go_on = agent.script, anyio.Event()

        async def silent(request):
            yield Wait(go_on)

        agent.script = silent
        question = await user.send_text(onboarded.chat, "why?", **reply_to(first))
        with anyio.fail_after(20):
            while len(agent.requests) == asked:
                await anyio.lowlevel.checkpoint()
        await daemon.kill()
        agent.script = script
        await daemon.start()
        await answer_to(user, onboarded.chat, question)
        before, *others = agent.requests[asked:]
        assert before.payload["quoted"] == {"by": "user", "text": "the first thing"}
        assert all(each.payload == before.payload for each in others)
        assert others
