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
    (reply,) = await onboarded.person.replies_to(onboarded.chat, message_id)
    edits = [
        event
        for event in await onboarded.person.messages(onboarded.chat)
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
    message_id = await onboarded.person.send_text(onboarded.chat, "a long story, please")
    await answer_to(onboarded.person, onboarded.chat, message_id)
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
    message_id = await onboarded.person.send_text(onboarded.chat, "be brief")
    await answer_to(onboarded.person, onboarded.chat, message_id)
    (only,) = await versions(onboarded, message_id)
    assert only.body == "short and whole"


async def test_the_last_edit_keeps_its_distance_and_holds_the_whole_text(onboarded, agent):
    shown = anyio.Event()

    async def script(request):
        yield Text("the beginning")
        yield Wait(shown)
        yield Text(", and the end")
        yield End()

    agent.script = script
    message_id = await onboarded.person.send_text(onboarded.chat, "two halves, please")
    await onboarded.person.wait_for(lambda event: event.answers == message_id)
    shown.set()
    await answer_to(onboarded.person, onboarded.chat, message_id)
    begin, end = await versions(onboarded, message_id)
    assert end.content["m.new_content"]["body"] == "the beginning, and the end"
    assert end.sent_at_ms - begin.sent_at_ms >= BETWEEN_EDITS_MS


async def test_the_distance_counts_from_when_the_text_was_really_there(
    make_bot, person, agent, proxy
):
    bot = await make_bot(MATRIX_HOMESERVER=proxy.url)
    async with bot.daemon as daemon:
        await daemon.wait_live()
        onboarded = await onboard(person, bot.user_id)

        async def script(request):
            for n in range(40):
                yield Text(f"word{n} ")
                yield Wait(PACE_S)
            yield End()

        agent.script = script
        # The homeserver is a second late with everything that is said.
        proxy.fault = lambda proxied: Delay(1.0) if proxied.path.endswith(".1") else None
        message_id = await person.send_text(onboarded.chat, "slowly, please")
        await answer_to(person, onboarded.chat, message_id)
        shown = await versions(onboarded, message_id)
        assert len(proxy.faulted) == 1
        assert min(distances(shown)) >= BETWEEN_EDITS_MS
