"""Answers appear while they grow, at a limited rate of edits (contract D6)."""

import itertools
import time

import anyio
import pytest

from tests.support.agent_script import End, Text, Wait
from tests.support.proxy import Delay
from tests.system.users import PARTIAL, answer_to, onboard

pytestmark = pytest.mark.anyio

FIRST_TEXT_MS = 1000
BETWEEN_EDITS_MS = 1500
MAX_EDITS = 20
CHUNKS = 70
PACE_S = 0.1


def times(events):
    return [event.sent_at_ms for event in events]


async def versions(onboarded, message_id):
    """The reply's event and its edits, in order."""
    (reply,) = await onboarded.user.replies_to(onboarded.chat, message_id)
    edits = [
        event
        for event in await onboarded.user.messages(onboarded.chat)
        if event.replaces == reply.event_id
    ]
    return [reply, *edits]


def distances(events):
    return [
        later - earlier for earlier, later in zip(times(events), times(events)[1:], strict=False)
    ]


async def test_text_shows_within_a_second_and_grows_by_edits_at_a_measured_pace(onboarded, agent):
    first_chunk_at = []
    words = [f"word{n} " for n in range(CHUNKS)]

    async def script(request):
        first_chunk_at.append(time.time())
        for word in words:
            yield Text(word)
            yield Wait(PACE_S)
        yield End()

    agent.script = script
    message_id = await onboarded.user.send_text(onboarded.chat, "a long story, please")
    await answer_to(onboarded.user, onboarded.chat, message_id)
    shown = await versions(onboarded, message_id)
    assert shown[0].sent_at_ms - first_chunk_at[0] * 1000 <= FIRST_TEXT_MS
    assert 3 <= len(shown) - 1 <= MAX_EDITS
    assert min(distances(shown)) >= BETWEEN_EDITS_MS
    texts = [event.content.get("m.new_content", event.content)["body"] for event in shown]
    assert texts[-1] == "".join(words).strip()
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(texts))
    assert [PARTIAL in event.content for event in shown] == [True] * (len(shown) - 1) + [False]
    assert {event.answers for event in shown} == {message_id}
    for event in shown:
        assert event.content.get("m.new_content", event.content)["m.mentions"] == {}


async def test_a_short_answer_at_once_is_one_event_without_edits(onboarded, agent):
    agent.script = lambda request: [Text("short "), Text("and "), Text("whole"), End()]
    message_id = await onboarded.user.send_text(onboarded.chat, "be brief")
    await answer_to(onboarded.user, onboarded.chat, message_id)
    (only,) = await versions(onboarded, message_id)
    assert only.body == "short and whole"


async def test_the_last_edit_waits_for_the_interval_and_has_the_whole_text(onboarded, agent):
    shown = anyio.Event()

    async def script(request):
        yield Text("the beginning")
        yield Wait(shown)
        yield Text(", and the end")
        yield End()

    agent.script = script
    message_id = await onboarded.user.send_text(onboarded.chat, "two halves, please")
    await onboarded.user.wait_for(lambda event: event.answers == message_id)
    shown.set()
    await answer_to(onboarded.user, onboarded.chat, message_id)
    begin, end = await versions(onboarded, message_id)
    assert end.content["m.new_content"]["body"] == "the beginning, and the end"
    assert end.sent_at_ms - begin.sent_at_ms >= BETWEEN_EDITS_MS


async def test_the_edit_interval_counts_from_the_response_to_the_last_edit(
    make_bot, user, agent, proxy
):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(user, bot.user_id)

        async def script(request):
            for n in range(40):
                yield Text(f"word{n} ")
                yield Wait(PACE_S)
            yield End()

        agent.script = script
        # The homeserver answers every message a second late.
        proxy.fault = lambda proxied: Delay(1.0) if proxied.path.endswith(".1") else None
        message_id = await user.send_text(onboarded.chat, "slowly, please")
        await answer_to(user, onboarded.chat, message_id)
        shown = await versions(onboarded, message_id)
        assert len(proxy.faulted) == 1
        assert min(distances(shown)) >= BETWEEN_EDITS_MS
